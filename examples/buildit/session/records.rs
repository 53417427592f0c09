//! Runs as the commands look at them: those of a store, or of a server.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use buildit::artifact::BlobStore;
use buildit::compare::RunFacts;
use buildit::event::Event;
use buildit::id::{JobId, RunId, StageName};
use buildit::job::Artifact;
use buildit::store::{EventPage, LogPage, RunFilter, RunRecord, RunSummary, StoreError};
use buildit_executors::reports::TestDifference;
use tempfile::TempDir;

use super::reports::test_changes;
use super::{Keep, Stores};
use crate::args::WhereArgs;
use crate::exit::Failure;
use crate::remote::{Client, RemoteRecords};

/// How many events are read at once.
const PAGE: usize = 512;

/// Kept runs, wherever they are. What is asked, and what is wrong with it, is as with a [`Store`](buildit::store::Store).
#[async_trait]
pub(crate) trait Records: Send + Sync {
    /// What people call the place.
    fn place(&self) -> &'static str;

    /// How often it may be asked for more.
    fn pace(&self) -> Duration;

    /// Runs, the newest first.
    async fn runs(&self, filter: &RunFilter, limit: usize) -> Result<Vec<RunSummary>, StoreError>;

    /// One run.
    async fn run(&self, run: RunId) -> Result<RunRecord, StoreError>;

    /// The run of its concurrency group that it waits for.
    async fn waits_for(&self, run: RunId) -> Result<Option<RunId>, StoreError>;

    /// Its events after a number, as far as they are stored.
    async fn events(&self, run: RunId, after: u64, limit: usize) -> Result<EventPage, StoreError>;

    /// The jobs of it that have a log.
    async fn logs_of_run(&self, run: RunId) -> Result<Vec<JobId>, StoreError>;

    /// A part of a log.
    async fn read_log(&self, job: &JobId, after: u64, bytes: usize) -> Result<LogPage, StoreError>;

    /// Where an artifact of a stage can be read by its digest.
    async fn artifact(&self, run: RunId, stage: &StageName, artifact: &Artifact) -> Result<Fetched, Failure>;

    /// The tests of two runs that do not end alike. What of their reports cannot be read is told, and passed over.
    async fn test_changes(&self, before: &RunFacts, after: &RunFacts) -> Result<Vec<TestDifference>, Failure>;
}

/// Blobs that can be read here.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// They.
    pub(crate) blobs: Arc<dyn BlobStore>,
    /// The folder that they are in, when they came for this alone.
    pub(crate) _folder: Option<TempDir>,
}

/// The runs of the store or of the server that is asked for.
pub(crate) async fn records(args: &WhereArgs) -> Result<Box<dyn Records>, Failure> {
    Ok(match args.server() {
        Some(server) => Box::new(RemoteRecords::new(Client::open(&server)?)),
        None => Box::new(Keep::store(&args.store).await?.stores),
    })
}

/// Takes each event of a run after this number, as far as they are stored, and gives the number of the last one.
pub(crate) async fn each_event(
    records: &dyn Records,
    run: RunId,
    after: u64,
    mut each: impl FnMut(Event) + Send,
) -> Result<u64, StoreError> {
    let mut seen = after;
    loop {
        let page = records.events(run, seen, PAGE).await?;
        let is_empty = page.events.is_empty();
        for event in page.events {
            seen = event.seq;
            each(event);
        }
        if is_empty || seen >= page.last_seq {
            return Ok(seen);
        }
    }
}

#[async_trait]
impl Records for Stores {
    fn place(&self) -> &'static str {
        "store"
    }

    fn pace(&self) -> Duration {
        Duration::from_millis(200)
    }

    async fn runs(&self, filter: &RunFilter, limit: usize) -> Result<Vec<RunSummary>, StoreError> {
        self.store.runs(filter, limit).await
    }

    async fn run(&self, run: RunId) -> Result<RunRecord, StoreError> {
        self.store.run(run).await
    }

    async fn waits_for(&self, run: RunId) -> Result<Option<RunId>, StoreError> {
        Ok(self.store.standings(&[run]).await?.into_iter().find_map(|standing| standing.waits_for))
    }

    async fn events(&self, run: RunId, after: u64, limit: usize) -> Result<EventPage, StoreError> {
        self.store.events(run, after, limit).await
    }

    async fn logs_of_run(&self, run: RunId) -> Result<Vec<JobId>, StoreError> {
        self.store.logs_of_run(run).await
    }

    async fn read_log(&self, job: &JobId, after: u64, bytes: usize) -> Result<LogPage, StoreError> {
        self.store.read_log(job, after, bytes).await
    }

    async fn artifact(&self, _: RunId, _: &StageName, _: &Artifact) -> Result<Fetched, Failure> {
        Ok(Fetched { blobs: self.blobs.clone(), _folder: None })
    }

    async fn test_changes(&self, before: &RunFacts, after: &RunFacts) -> Result<Vec<TestDifference>, Failure> {
        let blobs: Arc<dyn BlobStore> = self.blobs.clone();
        Ok(test_changes(&blobs, before, after).await)
    }
}
