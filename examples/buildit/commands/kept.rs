//! Runs that a store keeps, as the commands about them find them.

use std::collections::HashSet;

use buildit::event::EventBody;
use buildit::id::{JobId, RunId, StageName};
use buildit::store::{RunFilter, StoreError};

use crate::exit::Failure;
use crate::remote::failed;
use crate::session::{Records, each_event};

/// How many runs are looked through for the beginning of an id.
const MOST: usize = 100_000;

/// The run that somebody means: by its id, the beginning of it, or `@N`, the N-th latest.
pub(super) async fn find(records: &dyn Records, text: &str) -> Result<RunId, Failure> {
    if let Some(place) = text.strip_prefix('@') {
        let place: usize = place.parse().ok().filter(|place| *place > 0).ok_or_else(|| {
            Failure::usage(format!("`{text}` names no run: `@1` is the latest, `@2` the one before it"))
        })?;
        let runs = records.runs(&RunFilter::default(), place).await.map_err(failed)?;
        let run = runs.get(place - 1).map(|run| run.id);
        return run
            .ok_or_else(|| Failure::usage(format!("there are only {} runs in this {}", runs.len(), records.place())));
    }
    if let Ok(id) = text.parse::<RunId>() {
        return match records.run(id).await {
            Ok(_) => Ok(id),
            Err(StoreError::NoRun(_)) => Err(none(records, text)),
            Err(error) => Err(failed(error)),
        };
    }
    let runs = records.runs(&RunFilter::default(), MOST).await.map_err(failed)?;
    let mut found = runs.iter().map(|run| run.id).filter(|id| !text.is_empty() && id.to_string().starts_with(text));
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(id),
        (Some(one), Some(two)) => {
            Err(Failure::usage(format!("`{text}` is the beginning of more than one run: {one}, {two}")))
        }
        _ => Err(none(records, text)),
    }
}

/// The stages of one run that took a kept result. The log of attempt 0 is theirs alone: of a result that was given up in
/// the end, and of one that is still about to be taken, it is there all the same.
#[derive(Debug, Default)]
pub(super) struct Hits {
    stages: HashSet<StageName>,
    /// How far the run's events were read.
    seq: u64,
}

impl Hits {
    /// Whether a log of this run counts, by what is stored by now. The events are read for that of an attempt 0 alone.
    pub(super) async fn count(&mut self, records: &dyn Records, job: &JobId) -> Result<bool, Failure> {
        if job.attempt > 0 || self.stages.contains(&job.stage) {
            return Ok(true);
        }
        let read = each_event(records, job.run, self.seq, |event| {
            if let EventBody::ResultTaken { stage, result } = event.body
                && result.key.is_some()
            {
                self.stages.insert(stage);
            }
        });
        self.seq = read.await.map_err(failed)?;
        Ok(self.stages.contains(&job.stage))
    }
}

fn none(records: &dyn Records, text: &str) -> Failure {
    let place = records.place();
    Failure::usage(format!("there is no run `{text}` in this {place}; `buildit runs` lists them"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use buildit::event::{Event, TakenResult};
    use buildit::id::Digest;
    use buildit::memory::MemoryStore;
    use buildit::pipeline::{PipelineBuilder, RunContext};
    use buildit::store::{Lease, NewRun, RunStore};
    use jiff::Timestamp;

    use super::*;
    use crate::session::Stores;

    #[tokio::test]
    async fn the_log_of_attempt_0_counts_once_its_result_is_taken() {
        let (store, run, time) = (Arc::new(MemoryStore::new()), RunId::new(), Timestamp::UNIX_EPOCH);
        let new = NewRun { id: run, ..NewRun::new(PipelineBuilder::new("shop").build(), RunContext::manual(), time) };
        store.create_run(new).await.unwrap();
        let lease = Lease { worker: "one".into(), until: Timestamp::MAX };
        let token = store.lease_run(run, lease, time).await.unwrap();
        let taken = |seq, stage: &str, key| {
            let result = TakenResult { key, run, stage: stage.into(), attempt: 1, products: None };
            Event { seq, time, body: EventBody::ResultTaken { stage: stage.into(), result: Box::new(result) } }
        };
        let key = Some(Digest::of(b"key"));
        store.append(run, 0, token, [taken(1, "hit", key), taken(2, "carried", None)].into()).await.unwrap();
        let (records, mut hits) = (Stores::new(Arc::clone(&store), store.clone()), Hits::default());
        for (stage, attempt, counts) in [("hit", 0, true), ("carried", 0, false), ("late", 0, false), ("late", 1, true)]
        {
            let job = JobId { run, stage: stage.into(), attempt };
            assert_eq!(hits.count(&records, &job).await.unwrap(), counts, "{stage} {attempt}");
        }
        store.append(run, 2, token, [taken(3, "late", key)].into()).await.unwrap();
        assert!(hits.count(&records, &JobId { run, stage: "late".into(), attempt: 0 }).await.unwrap());
    }
}
