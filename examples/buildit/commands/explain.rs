//! `buildit explain`.

use buildit::event::{Event, RunStatus};
use buildit::plan::Plan;
use buildit::run::{Explanation, Holder, Run, RunInfo, Why};
use buildit::store::{RunRecord, Store, StoreError, each_event};
use serde::Serialize;

use super::kept::find;
use crate::args::{DataOutput, ExplainArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::look::Look;
use crate::out::Out;
use crate::report::{Mark, Theme};
use crate::session::Keep;
use crate::text::{clean, pad, width};

pub(crate) async fn explain(args: ExplainArgs, look: Look) -> Outcome {
    let keep = Keep::store(&args.store).await?;
    let store = &*keep.stores.store;
    let record = store.run(find(store, &args.run).await?).await.map_err(Failure::backend)?;
    let events = events(store, &record).await?;
    let plan = Plan::restore(record.run.plan.clone()).map_err(Failure::refused)?;
    let info = RunInfo { id: record.run.id, number: record.number };
    let (spec, graph, context) = (plan.spec().clone(), plan.graph().clone(), record.run.context.clone());
    let run = Run::replay(spec, graph, context, info, &events).map_err(Failure::backend)?;
    let holder = holder(store, &record).await?;
    let mut explained = run.explain(&events, holder);
    if let Some(stage) = &args.stage {
        // A matrix is all of its cells.
        let meant: Vec<_> = run.graph().resolve(stage).map(|stage| run.graph().name(stage).clone()).collect();
        if meant.is_empty() {
            return Err(Failure::usage(format!("the run has no stage `{stage}`")));
        }
        explained.retain(|one| meant.contains(&one.stage));
    }
    let mut out = Out::stdout();
    match args.output {
        DataOutput::Json => {
            for one in &explained {
                let line = Line { run: record.run.id, message: one.why.to_string(), explanation: one };
                out.line(&serde_json::to_string(&line).map_err(Failure::backend)?);
            }
        }
        DataOutput::Human => {
            let title = format!("{} #{} {}", clean(&record.run.plan.name), record.number, run.status().as_str());
            out.line(&look.stdout().strong(&title));
            told(&explained, look.stdout()).iter().for_each(|line| out.line(line));
        }
    }
    Ok(Exit::Succeeded)
}

#[derive(Serialize)]
struct Line<'a> {
    run: buildit::id::RunId,
    #[serde(flatten)]
    explanation: &'a Explanation,
    message: String,
}

async fn events(store: &dyn Store, record: &RunRecord) -> Result<Vec<Event>, Failure> {
    let mut events: Vec<Event> = Vec::new();
    let read = each_event(store, record.run.id, 0, |event| {
        events.push(event);
        Ok::<_, StoreError>(())
    });
    read.await.map_err(Failure::backend)?;
    Ok(events)
}

/// The run that this one waits for in its concurrency group.
async fn holder(store: &dyn Store, record: &RunRecord) -> Result<Option<Holder>, Failure> {
    if record.status != RunStatus::Queued || record.run.group.is_none() {
        return Ok(None);
    }
    let standings = store.standings(&[record.run.id]).await.map_err(Failure::backend)?;
    let Some(run) = standings.into_iter().find_map(|standing| standing.waits_for) else { return Ok(None) };
    let number = store.run(run).await.map_err(Failure::backend)?.number;
    Ok(Some(Holder { run, number }))
}

/// A line for each stage, and below it where that is written and what a key does not hold.
fn told(explained: &[Explanation], theme: Theme) -> Vec<String> {
    let column = explained.iter().map(|one| width(&clean(&one.stage))).max().unwrap_or_default();
    let mut lines = Vec::new();
    for one in explained {
        let name = pad(&clean(&one.stage), column);
        let why = clean(&one.why.to_string()).into_owned();
        lines.push(format!("{}{}  {why}", theme.shape(mark(one)), theme.strong(&name)));
        let mut below = |text: String| lines.push(format!("{}{}", " ".repeat(column + 4), theme.faint(&text)));
        if let Some(place) = &one.place {
            below(format!("at {}", clean(place)));
        }
        let is_looked_up = matches!(&one.why, Why::Hit { .. } | Why::Ran { miss: Some(_), .. });
        if one.host_tools && is_looked_up {
            below("the tools of the host are no part of what it is made of".into());
        }
    }
    lines
}

fn mark(one: &Explanation) -> Mark {
    match one.state {
        "succeeded" => Mark::Succeeded,
        "failed" | "timed_out" | "lost" => Mark::Failed,
        "cancelled" => Mark::Cancelled,
        "skipped" => Mark::Skipped,
        "running" => Mark::Running,
        "waiting" => Mark::Waiting,
        _ => Mark::Queued,
    }
}
