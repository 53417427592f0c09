//! Its runs.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::broken::Broken;
use super::faults::Fault;
use crate::event::Event;
use crate::id::{FencingToken, RunId, TenantId};
use crate::store::{
    EventPage, Lease, NewRun, QueueStore, RunFilter, RunRecord, RunStore, RunSummary, Standing, StoreError, TakenRun,
};

#[async_trait]
impl RunStore for Broken {
    async fn create_run(&self, mut run: NewRun) -> Result<RunRecord, StoreError> {
        if self.has(Fault::OneTenantOfRuns) {
            run.tenant = TenantId::NONE;
        }
        let id = run.id;
        if self.has(Fault::TakesIdsTwice)
            && let Ok(record) = self.inner.run(id).await
        {
            return Ok(record);
        }
        if self.has(Fault::CountsTwice) {
            let number = self.inner.runs(&RunFilter::default(), usize::MAX).await?.len() as u64 + 1;
            tokio::task::yield_now().await;
            self.numbers.lock().unwrap().insert(id, number);
        }
        self.created.lock().unwrap().push(id);
        if self.has(Fault::LeavesTheDead) {
            let dead = self.inner.dead_letters().await?;
            self.taken.lock().unwrap().extend(dead);
        }
        self.inner.create_run(run).await.map(|record| self.spoil(record))
    }

    async fn run(&self, run: RunId) -> Result<RunRecord, StoreError> {
        self.inner.run(run).await.map(|record| self.spoil(record))
    }

    async fn runs(&self, filter: &RunFilter, limit: usize) -> Result<Vec<RunSummary>, StoreError> {
        let mut filter = filter.clone();
        match self.fault {
            Fault::NarrowsByName => {
                let RunFilter { tenant, pipeline, before, .. } = filter;
                filter = RunFilter { tenant, pipeline, before, ..RunFilter::default() };
            }
            Fault::AlwaysFirstPage => filter.before = None,
            _ => {}
        }
        let mut runs = self.inner.runs(&filter, limit).await?;
        if self.has(Fault::HidesCommits) {
            runs.iter_mut().for_each(|run| run.commit.clear());
        }
        if let (Fault::LosesRenamed, Some(name)) = (self.fault, &filter.pipeline) {
            let mut of_name = Vec::new();
            for run in runs {
                let is_of_name = self.inner.run(run.id).await?.run.plan.name == *name;
                of_name.extend(is_of_name.then_some(run));
            }
            runs = of_name;
        }
        if self.has(Fault::OldestFirst) {
            runs.reverse();
        }
        Ok(runs)
    }

    async fn run_by_number(&self, tenant: TenantId, pipeline: &str, number: u64) -> Result<RunSummary, StoreError> {
        if self.has(Fault::FindsLatest) {
            let latest = self.inner.runs(&RunFilter::of_pipeline(pipeline), 1).await?.into_iter().next();
            return latest.ok_or_else(|| StoreError::NoSuchNumber { pipeline: pipeline.to_owned(), number });
        }
        self.inner.run_by_number(tenant, pipeline, number).await
    }

    async fn open_runs(&self) -> Result<Vec<RunId>, StoreError> {
        let mut open = self.inner.open_runs().await?;
        if self.has(Fault::ClosesAtTheEnd) {
            let ended = self
                .inner
                .runs(&RunFilter::default(), usize::MAX)
                .await?
                .into_iter()
                .filter(|run| run.status.is_final());
            let ended: BTreeSet<RunId> = ended.map(|run| run.id).collect();
            open.retain(|run| !ended.contains(run));
        }
        Ok(open)
    }

    async fn append(
        &self,
        run: RunId,
        expected_seq: u64,
        token: FencingToken,
        events: Arc<[Event]>,
    ) -> Result<(), StoreError> {
        let mut events = events.to_vec();
        if self.has(Fault::ClosesGaps) {
            events.iter_mut().zip(expected_seq + 1..).for_each(|(event, seq)| event.seq = seq);
        }
        match self.inner.append(run, expected_seq, self.token(token), events.into()).await {
            Err(StoreError::Conflict { .. }) if self.has(Fault::SaysStored) => Ok(()),
            appended => appended,
        }
    }

    async fn events(&self, run: RunId, after: u64, limit: usize) -> Result<EventPage, StoreError> {
        let limit = if self.has(Fault::IgnoresLimit) { usize::MAX } else { limit };
        match self.inner.events(run, after, limit).await {
            Err(StoreError::NoRun(_)) if self.has(Fault::InventsRuns) => Ok(EventPage::default()),
            Ok(mut page) if self.has(Fault::ReversesEvents) => {
                page.events.reverse();
                Ok(page)
            }
            page => page,
        }
    }

    async fn close_run(&self, run: RunId, token: FencingToken) -> Result<(), StoreError> {
        match self.inner.close_run(run, token).await {
            Err(StoreError::NotEnded(_)) if self.has(Fault::ClosesAnything) => Ok(()),
            closed => closed,
        }
    }

    async fn delete_run(&self, run: RunId) -> Result<(), StoreError> {
        if self.has(Fault::KeepsDeleted) {
            return Ok(());
        }
        match self.inner.delete_run(run).await {
            Err(StoreError::NotEnded(_)) if self.has(Fault::DeletesAnything) => Ok(()),
            deleted => deleted,
        }
    }

    async fn lease_run(&self, run: RunId, lease: Lease, now: Timestamp) -> Result<FencingToken, StoreError> {
        match self.inner.lease_run(run, lease, now).await {
            Err(StoreError::Fenced) if self.has(Fault::LeasesAnyway) => Ok(FencingToken(99)),
            Ok(_) if self.has(Fault::OneToken) => Ok(FencingToken(1)),
            Ok(FencingToken(token)) if self.has(Fault::NewTokens) => {
                let mut leases = self.leases.lock().unwrap();
                *leases += 1;
                Ok(FencingToken(token + *leases))
            }
            leased => leased,
        }
    }

    async fn take_up(&self, runs: &[RunId], lease: Lease, now: Timestamp) -> Result<Vec<TakenRun>, StoreError> {
        let mut taken = self.inner.take_up(runs, lease, now).await?;
        if self.has(Fault::TakesUpTheHeld) {
            for run in runs {
                if let Ok(record) = self.inner.run(*run).await
                    && taken.iter().all(|taken| taken.record != record)
                {
                    taken.push(TakenRun { token: FencingToken(99), record, events: Vec::new() });
                }
            }
        }
        Ok(taken)
    }

    async fn standings(&self, runs: &[RunId]) -> Result<Vec<Standing>, StoreError> {
        let mut standings = self.inner.standings(runs).await?;
        for standing in &mut standings {
            match self.fault {
                Fault::ForgetsGroups => standing.waits_for = None,
                Fault::NeverAsks => standing.cancel = None,
                _ => {}
            }
        }
        Ok(standings)
    }
}
