//! `buildit explain`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use buildit::event::{Event, RunStatus};
use buildit::id::RunId;
use buildit::plan::Plan;
use buildit::run::{Explanation, Holder, Run, RunInfo, Why};
use buildit::store::{RunRecord, StoreError};
use serde::Serialize;

use super::kept::find;
use crate::args::{DataOutput, ExplainArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::look::Look;
use crate::out::Out;
use crate::remote::failed;
use crate::report::{Mark, Theme};
use crate::session::{Records, each_event, records};
use crate::text::{clean, pad, width};

pub(crate) async fn explain(args: ExplainArgs, look: Look) -> Outcome {
    let records = records(&args.place).await?;
    let records = &*records;
    let record = records.run(find(records, &args.run).await?).await.map_err(failed)?;
    let events = events(records, &record).await?;
    let plan = Plan::restore(record.run.plan.clone()).map_err(Failure::refused)?;
    let info = RunInfo { id: record.run.id, number: record.number };
    let (spec, graph, context) = (plan.spec().clone(), plan.graph().clone(), record.run.context.clone());
    let run = Run::replay(spec, graph, context, info, &events).map_err(Failure::backend)?;
    let holder = holder(records, &record).await?;
    let mut explained = run.explain(&events, holder);
    if let Some(stage) = &args.stage {
        // A matrix is all of its cells.
        let meant: Vec<_> = run.graph().resolve(stage).map(|stage| run.graph().name(stage).clone()).collect();
        if meant.is_empty() {
            return Err(Failure::usage(format!("the run has no stage `{stage}`")));
        }
        explained.retain(|one| meant.contains(&one.stage));
    }
    let explained = with_messages(records, explained).await?;
    let mut out = Out::stdout();
    match args.output {
        DataOutput::Json => {
            for (explanation, message) in &explained {
                let line = Line { run: record.run.id, explanation, message };
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
    run: RunId,
    #[serde(flatten)]
    explanation: &'a Explanation,
    message: &'a str,
}

/// Each with its sentence, in which the run that a result is of goes by its number, as long as it is kept.
async fn with_messages(
    records: &dyn Records,
    explained: Vec<Explanation>,
) -> Result<Vec<(Explanation, String)>, Failure> {
    let mut names: HashMap<RunId, String> = HashMap::new();
    let mut told = Vec::with_capacity(explained.len());
    for one in explained {
        let message = match one.why.earlier() {
            None => one.why.to_string(),
            Some(run) => {
                let name = match names.entry(run) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(place) => place.insert(name(records, run).await?),
                };
                one.why.naming(name).to_string()
            }
        };
        told.push((one, message));
    }
    Ok(told)
}

async fn name(records: &dyn Records, run: RunId) -> Result<String, Failure> {
    match records.run(run).await {
        Ok(record) => Ok(format!("#{}", record.number)),
        Err(StoreError::NoRun(run)) => Ok(run.to_string()),
        Err(error) => Err(failed(error)),
    }
}

async fn events(records: &dyn Records, record: &RunRecord) -> Result<Vec<Event>, Failure> {
    let mut events: Vec<Event> = Vec::new();
    let read = each_event(records, record.run.id, 0, |event| {
        events.push(event);
    });
    read.await.map_err(failed)?;
    Ok(events)
}

/// The run that this one waits for in its concurrency group.
async fn holder(records: &dyn Records, record: &RunRecord) -> Result<Option<Holder>, Failure> {
    if record.status != RunStatus::Queued || record.run.group.is_none() {
        return Ok(None);
    }
    let waits_for = records.waits_for(record.run.id).await.map_err(failed)?;
    let Some(run) = waits_for else { return Ok(None) };
    let number = records.run(run).await.map_err(failed)?.number;
    Ok(Some(Holder { run, number }))
}

/// A line for each stage, and below it where that is written and what a key does not hold.
fn told(explained: &[(Explanation, String)], theme: Theme) -> Vec<String> {
    let column = explained.iter().map(|(one, _)| width(&clean(&one.stage))).max().unwrap_or_default();
    let mut lines = Vec::new();
    for (one, message) in explained {
        let name = pad(&clean(&one.stage), column);
        let why = clean(message);
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
