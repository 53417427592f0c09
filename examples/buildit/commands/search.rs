//! `buildit logs --search`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use buildit::id::RunId;
use buildit::job::{LogLine, Stream};
use buildit::store::{LogHit, LogQuery};
use jiff::Timestamp;
use serde::Serialize;

use super::kept::{Hits, find};
use crate::args::{DataOutput, LogsArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::look::Look;
use crate::out::Out;
use crate::report::{self, sign};
use crate::session::Keep;
use crate::text::{clean, sanitize};

/// How many lines are asked for at once.
const PAGE: usize = 100;

pub(crate) async fn search(args: LogsArgs, look: Look) -> Outcome {
    let query =
        LogQuery::new(args.search.as_deref().unwrap_or_default()).map_err(|error| Failure::usage(error.to_string()))?;
    if args.place.server().is_some() {
        return Err(Failure::usage("logs are searched in a store alone: --store names one"));
    }
    let keep = Keep::store(&args.place.store).await?;
    let stores = &keep.stores;
    let query = match &args.run {
        Some(run) => query.in_run(find(stores, run).await?),
        None => query,
    };
    // What has ended since somebody last looked after the store.
    stores.logs.index_logs().await.map_err(Failure::backend)?;
    let controls = look.is_terminal().then(|| report::keep(look.stdout()));
    let (mut out, mut left, mut place) = (Out::stdout(), args.limit, None);
    let mut names: HashMap<RunId, String> = HashMap::new();
    let mut taken: HashMap<RunId, Hits> = HashMap::new();
    while left > 0 {
        let page = stores.logs.search_logs(&query, place, left.min(PAGE)).await.map_err(Failure::backend)?;
        for hit in page.hits {
            if args.stage.as_ref().is_some_and(|stage| *hit.job.stage != **stage) {
                continue;
            }
            if !taken.entry(hit.job.run).or_default().count(stores, &hit.job).await? {
                continue;
            }
            left -= 1;
            if args.output == DataOutput::Json {
                out.line(&serde_json::to_string(&Line::of(&hit)).map_err(Failure::backend)?);
                continue;
            }
            let name = match names.entry(hit.job.run) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let record = stores.store.run(hit.job.run).await.map_err(Failure::backend)?;
                    new.insert(format!("{} #{}", clean(&record.run.plan.name), record.number))
                }
            };
            let text = match controls {
                Some(keep) => sanitize(&hit.line.text, keep),
                None => hit.line.text.as_str().into(),
            };
            let (stage, line) = (clean(&hit.job.stage), hit.line.line);
            out.line(&format!("{name} {stage}:{line} | {}{text}", sign(&hit.line)));
        }
        place = page.next;
        if place.is_none() {
            break;
        }
    }
    Ok(Exit::Succeeded)
}

#[derive(Serialize)]
struct Line<'a> {
    run: RunId,
    stage: &'a str,
    attempt: u32,
    line: u64,
    time: Timestamp,
    stream: Stream,
    text: &'a str,
}

impl<'a> Line<'a> {
    fn of(hit: &'a LogHit) -> Self {
        let LogHit { job, line: LogLine { line, time, stream, text } } = hit;
        Self {
            run: job.run,
            stage: &job.stage,
            attempt: job.attempt.max(1),
            line: *line,
            time: *time,
            stream: *stream,
            text,
        }
    }
}
