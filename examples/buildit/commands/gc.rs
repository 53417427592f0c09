//! `buildit gc`.

use std::time::Duration;

use buildit::artifact::CacheQuota;
use buildit::log::DamagedLogs;
use buildit::store::{Collected, LogRetention, Retention, expired_runs, find_garbage};
use jiff::Timestamp;
use serde::Serialize;

use crate::args::{DataOutput, GcArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::out::Out;
use crate::session::{GRACE, Keep, Policy, Stores, Tidied, tidy};
use crate::text::{clean, size};

pub(crate) async fn gc(args: GcArgs) -> Outcome {
    let keep = match &args.journal {
        // It would be made.
        Some(journal) if !journal.is_dir() => {
            return Err(Failure::usage(format!("there is no journal {}", journal.display())));
        }
        Some(journal) => Keep::journal(journal)?,
        None => Keep::store(&args.store).await?,
    };
    // A journal belongs to this process, so nobody else is about to refer to anything.
    let grace = args.grace.unwrap_or(if args.journal.is_some() { Duration::ZERO } else { GRACE });
    let policy = Policy {
        runs: Retention { age: args.older_than, latest: args.keep },
        logs: LogRetention { max_age: args.logs_older_than, max_bytes: args.log_quota, max_runs: args.keep_logs },
        caches: CacheQuota { scope_bytes: None, total_bytes: args.cache_quota },
        grace,
    };
    let now = Timestamp::now();
    let done = if args.dry_run {
        let Stores { store, blobs, references, .. } = &keep.stores;
        let runs = expired_runs(&**store, None, policy.runs, now).await.map_err(Failure::backend)?.len() as u64;
        let before = policy.before(now);
        let collected = find_garbage(&**references, &**blobs, before).await.map_err(Failure::backend)?;
        Done::new(&Tidied { runs, collected, ..Tidied::default() })
    } else {
        let tidied = tidy(&keep.stores, &policy, now).await.map_err(Failure::Backend)?;
        for DamagedLogs { run, message } in &tidied.logs.damaged {
            let line = format!("buildit: the logs of run {run} stay, for not all can be read: {message}");
            Out::stderr().line(&clean(&line));
        }
        Done::new(&tidied)
    };
    let mut out = Out::stdout();
    match args.output {
        DataOutput::Json => out.line(&serde_json::to_string(&done).map_err(Failure::backend)?),
        DataOutput::Human => {
            let verb = if args.dry_run { "would remove" } else { "removed" };
            out.line(&format!(
                "{verb} {} runs, the logs of {}, {} caches, {} blobs ({})",
                done.runs,
                done.logs,
                done.caches,
                done.blobs,
                size(done.bytes)
            ));
            out.line(&format!("kept {} blobs ({})", done.kept_blobs, size(done.kept_bytes)));
        }
    }
    Ok(Exit::Succeeded)
}

/// What went, or would go.
#[derive(Serialize)]
struct Done {
    runs: u64,
    /// Of how many runs the logs alone went.
    logs: u64,
    /// Of how many runs the logs were to go and are damaged.
    damaged_logs: u64,
    /// How many logs were moved to the blobs, and how many can be searched now that could not before.
    archived_logs: u64,
    indexed_logs: u64,
    caches: u64,
    blobs: u64,
    bytes: u64,
    kept_blobs: u64,
    kept_bytes: u64,
}

impl Done {
    fn new(tidied: &Tidied) -> Self {
        let Tidied { runs, logs, evicted, collected: Collected { kept, removed } } = tidied;
        Self {
            runs: *runs,
            logs: logs.removed,
            damaged_logs: logs.damaged.len() as u64,
            archived_logs: logs.archived,
            indexed_logs: logs.indexed,
            caches: evicted.caches,
            blobs: removed.blobs,
            bytes: removed.bytes,
            kept_blobs: kept.blobs,
            kept_bytes: kept.bytes,
        }
    }
}
