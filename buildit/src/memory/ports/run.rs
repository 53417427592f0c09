//! Runs.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::super::journal::sync;
use super::super::queue::QueueChange;
use super::super::run::Page;
use super::super::store::MemoryStore;
use crate::event::Event;
use crate::id::{FencingToken, RunId, TenantId};
use crate::store::{EventPage, Lease, NewRun, RunFilter, RunRecord, RunStore, RunSummary, Standing, StoreError};

#[async_trait]
impl RunStore for MemoryStore {
    async fn create_run(&self, run: NewRun) -> Result<RunRecord, StoreError> {
        let (record, asked) = self.runs_locked().create(run, self.folder())?;
        self.ask_to_end(record.run.id, asked);
        Ok(record)
    }

    async fn run(&self, run: RunId) -> Result<RunRecord, StoreError> {
        self.looked_at(run)?.with_state(|state| Ok(state.record()))
    }

    async fn runs(&self, filter: &RunFilter, limit: usize) -> Result<Vec<RunSummary>, StoreError> {
        let looked_at = if filter.asks_of_the_run() { usize::MAX } else { limit };
        let candidates = self.runs_locked().candidates(filter, looked_at)?;
        let runs = candidates.into_iter().map(|(run, pipeline)| run.summary(pipeline));
        Ok(runs.filter(|run| filter.lets_through(run)).take(limit).collect())
    }

    async fn run_by_number(&self, tenant: TenantId, pipeline: &str, number: u64) -> Result<RunSummary, StoreError> {
        let runs = self.runs_locked();
        let known = runs.pipelines.find(tenant, pipeline).and_then(|id| runs.pipelines.get(id));
        let run = known.and_then(|known| known.numbered(number)).cloned();
        drop(runs);
        let run = run.ok_or_else(|| StoreError::NoSuchNumber { pipeline: pipeline.to_owned(), number })?;
        Ok(run.summary(pipeline.to_owned()))
    }

    async fn open_runs(&self) -> Result<Vec<RunId>, StoreError> {
        Ok(self.runs_locked().open_runs())
    }

    async fn append(
        &self,
        run: RunId,
        expected_seq: u64,
        token: FencingToken,
        events: Arc<[Event]>,
    ) -> Result<(), StoreError> {
        let kept = self.kept(run)?;
        let file = kept.fenced(token, || kept.with_state(|state| state.append(expected_seq, token, events)))?;
        let synced = match file {
            Some(file) => sync(vec![file]).await,
            None => Ok(()),
        };
        match synced {
            Ok(()) => {
                if kept.with_state(|state| Ok(state.has_ended()))? {
                    let next = self.runs_locked().groups.leave(run);
                    self.free(next);
                }
                Ok(())
            }
            Err(error) => {
                kept.with_state(|state| {
                    state.sync_failed(&error);
                    Ok(())
                })?;
                Err(StoreError::backend("journal", error))
            }
        }
    }

    async fn events(&self, run: RunId, after: u64, limit: usize) -> Result<EventPage, StoreError> {
        // What is in a file is read without holding up whoever appends.
        match self.looked_at(run)?.with_state(|state| Ok(state.page(after, limit)))? {
            Page::Here(page) => Ok(page),
            Page::InFile(reader) => reader.read(),
        }
    }

    async fn close_run(&self, run: RunId, token: FencingToken) -> Result<(), StoreError> {
        let kept = self.kept(run)?;
        let is_new = kept.fenced(token, || kept.with_state(|state| state.close()))?;
        let mut runs = self.runs_locked();
        if is_new || runs.is_open(&kept) {
            runs.close(&kept)?;
            drop(runs);
            self.looked_at(run)?;
        }
        Ok(())
    }

    async fn delete_run(&self, run: RunId) -> Result<(), StoreError> {
        // In the order in which a claim takes the two.
        let mut journaled = self.queue_locked();
        self.runs_locked().check_closed(run)?;
        let queued = journaled.queue.contains(run).then_some(QueueChange::Removed { run });
        let asked = journaled.queue.asks_of(run).next().map(|_| QueueChange::Unasked { run });
        journaled.change(queued.into_iter().chain(asked).collect())?;
        drop(journaled);
        let gone = self.runs_locked().delete(run)?;
        // What may be gigabytes of logs holds nobody up.
        gone.remove_files()
    }

    async fn lease_run(&self, run: RunId, lease: Lease, now: Timestamp) -> Result<FencingToken, StoreError> {
        self.kept(run)?.lease(lease, now)
    }

    async fn standings(&self, runs: &[RunId]) -> Result<Vec<Standing>, StoreError> {
        let known = self.runs_locked();
        Ok(runs.iter().filter_map(|run| known.standing(*run)).collect())
    }
}

impl MemoryStore {
    /// These runs are asked to end by this one: they may be taken, so that they can.
    pub(super) fn ask_to_end(&self, by: RunId, asked: Vec<RunId>) {
        if let Err(error) = self.recall(&asked) {
            tracing::warn!(run = %by, %error, "dead letters of a group could not be asked to end");
        }
        self.free(asked);
    }

    /// Those of these runs that are dead letters may be taken once more, for they are asked to end.
    fn recall(&self, runs: &[RunId]) -> Result<(), StoreError> {
        if runs.is_empty() {
            return Ok(());
        }
        let mut journaled = self.queue_locked();
        let mut dead = journaled.queue.dead_letters();
        dead.retain(|run| runs.contains(run));
        journaled.change(dead.into_iter().map(|run| QueueChange::Recalled { run }).collect())
    }

    /// These runs are no longer behind others of their groups.
    fn free(&self, runs: impl IntoIterator<Item = RunId>) {
        let mut runs = runs.into_iter().peekable();
        if runs.peek().is_some() {
            let mut journaled = self.queue_locked();
            runs.for_each(|run| journaled.queue.free(run));
        }
    }
}
