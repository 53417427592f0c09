//! `buildit plan`.

use buildit::condition::{NotTriggered, triggers};
use buildit::pipeline::RunContext;
use buildit::plan::Plan;
use buildit::run::{Forecast, forecast};
use buildit_executors::source::Source;
use serde::Serialize;

use crate::args::{DataOutput, PlanArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::look::Look;
use crate::out::Out;
use crate::pipelines::{self, Compiled};
use crate::report::{Mark, Theme, VERSION};
use crate::session::context;
use crate::source;
use crate::text::{clean, pad, width};

#[derive(Serialize)]
#[serde(rename_all = "snake_case", tag = "type")]
enum Line<'a> {
    Trigger { event: &'a str, matches: bool, reason: Option<String> },
    Stage { stage: &'a str, decision: &'static str, reason: Option<String>, approval: bool, needs: Vec<&'a str> },
}

#[derive(Serialize)]
struct Object<'a> {
    v: u8,
    #[serde(flatten)]
    line: Line<'a>,
}

pub(crate) async fn plan(args: PlanArgs, look: Look) -> Outcome {
    let teller = args.output.teller(look);
    let Compiled { pipeline, plan, file } = pipelines::compile(&pipelines::file(args.file), teller)?;
    let source = Source::open(source::folder(args.context.source.as_deref())?, &[]).await.map_err(Failure::refused)?;
    let context = context(&args.context, &source, &plan).await?;
    pipeline.spec().check_params(&context.params).map_err(Failure::refused)?;
    plan.graph().select(plan.spec(), context.only.iter().map(String::as_str)).map_err(|found| {
        teller.tell(&found, pipeline.sources(), &file);
        Failure::Told
    })?;
    let lines = lines(&plan, &context)?;
    let mut out = Out::stdout();
    match args.output {
        DataOutput::Json => {
            for line in lines {
                out.line(&serde_json::to_string(&Object { v: VERSION, line }).map_err(Failure::refused)?);
            }
        }
        DataOutput::Human => out.text(&human(&plan, &context, &lines, look.stdout())),
    }
    Ok(Exit::Succeeded)
}

fn lines<'a>(plan: &'a Plan, context: &RunContext) -> Result<Vec<Line<'a>>, Failure> {
    let triggers = plan.spec().triggers.iter().map(|trigger| {
        let matched = triggers(trigger, context);
        let reason = matched.as_ref().err().map(NotTriggered::to_string);
        Line::Trigger { event: &trigger.event, matches: matched.is_ok(), reason }
    });
    let forecasts = forecast(plan, context).map_err(Failure::refused)?;
    let stages = plan.spec().stages.iter().zip(forecasts).map(|(stage, forecast)| {
        let (decision, reason) = match &forecast {
            Forecast::Runs => ("run", None),
            Forecast::Skipped(reason) => ("skip", Some(reason.to_string())),
            Forecast::AfterFailure => ("undecided", Some("only if a stage before it fails".to_owned())),
            Forecast::Undecided => ("undecided", Some("its condition looks at other stages".to_owned())),
        };
        Line::Stage {
            stage: &stage.name,
            decision,
            reason,
            approval: stage.approval.is_some(),
            needs: stage.needs.iter().map(|need| need.as_str()).collect(),
        }
    });
    Ok(triggers.chain(stages).collect())
}

fn human(plan: &Plan, context: &RunContext, lines: &[Line<'_>], theme: Theme) -> String {
    let git = &context.git;
    let of = [context.event.as_str(), &git.branch, &git.tag, git.short_sha()];
    let of: Vec<&str> = of.into_iter().filter(|word| !word.is_empty()).collect();
    let mut text = format!("{}  {}\n\n", theme.strong(&clean(&plan.spec().name)), theme.faint(&clean(&of.join(" · "))));
    for line in lines {
        if let Line::Trigger { event, matches, reason } = line {
            let mark = if *matches { Mark::Succeeded } else { Mark::Skipped };
            let reason = reason.as_ref().map(|reason| format!(": {}", clean(reason))).unwrap_or_default();
            let verb = if *matches { "starts it" } else { "does not start it" };
            text.push_str(&format!("  {}on {event:?} {verb}{reason}\n", theme.shape(mark)));
        }
    }
    if plan.spec().triggers.is_empty() {
        text.push_str(&format!("  {}\n", theme.faint("nothing starts it by itself: it has no `on`")));
    }
    text.push('\n');
    let longest = plan.spec().stages.iter().map(|stage| width(&stage.name)).max().unwrap_or(0).min(48);
    let (mut runs, mut stages) = (0, 0);
    for line in lines {
        let Line::Stage { stage, decision, reason, approval, .. } = line else { continue };
        let mark = match *decision {
            "skip" => Mark::Skipped,
            _ if *approval => Mark::Waiting,
            _ => Mark::Queued,
        };
        stages += 1;
        runs += usize::from(*decision == "run");
        let mut what: Vec<&str> = reason.iter().map(String::as_str).collect();
        if *approval && *decision != "skip" {
            what.push("waits for approval");
        }
        let row = format!("  {}{}  {}", theme.shape(mark), pad(stage, longest), theme.faint(&clean(&what.join(", "))));
        text.push_str(&format!("{}\n", row.trim_end()));
    }
    text.push_str(&format!("\n  {runs} of {stages} stages would run\n"));
    text
}
