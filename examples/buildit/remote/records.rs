//! The runs of a server.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use buildit::artifact::{BlobError, BlobStore};
use buildit::compare::RunFacts;
use buildit::event::RunStatus;
use buildit::id::{JobId, RunId, StageName, TenantId};
use buildit::job::{Artifact, Stream};
use buildit::store::{EventPage, LogChunk, LogPage, NewRun, RunFilter, RunRecord, RunSummary, StoreError};
use buildit_executors::reports::TestDifference;
use buildit_storage::ObjectBlobs;
use futures_util::stream::{self, TryStreamExt};
use jiff::Timestamp;
use serde::Deserialize;

use super::sse::Parser;
use super::{Client, RemoteError};
use crate::exit::Failure;
use crate::session::{Fetched, Records, tell_unread};

/// The runs of a server. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct RemoteRecords(pub(super) Arc<Client>);

/// A run in a list.
#[derive(Debug, Deserialize)]
pub(crate) struct RunLine {
    pub(crate) id: RunId,
    number: u64,
    pipeline: String,
    status: RunStatus,
    event: String,
    branch: String,
    commit: String,
    message: String,
    author: String,
    pull_request: Option<u64>,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    duration_ms: Option<u64>,
}

impl From<RunLine> for RunSummary {
    fn from(line: RunLine) -> Self {
        Self {
            id: line.id,
            tenant: TenantId::NONE,
            number: line.number,
            pipeline: line.pipeline,
            status: line.status,
            event: line.event,
            branch: line.branch,
            commit: line.commit,
            message: line.message,
            author: line.author,
            pull_request: line.pull_request,
            created_at: line.created_at,
            started_at: line.started_at,
            finished_at: line.finished_at,
            duration: line.duration_ms.map(Duration::from_millis),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Record {
    run: NewRun,
    number: u64,
    status: RunStatus,
    last_seq: u64,
    waits_for: Option<RunId>,
}

#[derive(Debug, Deserialize)]
struct Logged {
    stage: StageName,
    attempt: u32,
}

#[derive(Debug, Deserialize)]
struct Part {
    chunks: Vec<Chunk>,
    last_line: u64,
}

#[derive(Debug, Deserialize)]
struct Chunk {
    first_line: u64,
    time: Timestamp,
    stream: Stream,
    lines: Vec<String>,
}

/// What a server finds of the tests of two runs.
#[derive(Debug, Deserialize)]
struct Compared {
    tests: Vec<TestDifference>,
    unread_before: Vec<Unread>,
    unread_after: Vec<Unread>,
}

#[derive(Debug, Deserialize)]
struct Unread {
    stage: String,
    file: String,
    reason: String,
}

impl From<Chunk> for LogChunk {
    fn from(chunk: Chunk) -> Self {
        Self {
            first_line: chunk.first_line,
            lines: u32::try_from(chunk.lines.len()).unwrap_or(u32::MAX),
            time: chunk.time,
            stream: chunk.stream,
            text: chunk.lines.into_iter().flat_map(|line| [line, "\n".to_owned()]).collect::<String>().into(),
        }
    }
}

impl RemoteRecords {
    /// Those of this server.
    pub(crate) fn new(client: Client) -> Self {
        Self(Arc::new(client))
    }

    async fn record(&self, run: RunId) -> Result<Record, StoreError> {
        let found = self.0.get(&["runs", &run.to_string(), "record"], &[]).await;
        found.map_err(|error| or_else(error, StoreError::NoRun(run)))
    }

    /// Their server.
    pub(crate) fn client(&self) -> &Client {
        &self.0
    }

    async fn try_events(&self, run: RunId, after: u64) -> Result<EventPage, RemoteError> {
        let (run, from) = (run.to_string(), after.to_string());
        let mut answer = self.0.open_get(&["runs", &run, "events"], &[("after", &from), ("follow", "false")]).await?;
        let (mut parser, mut events) = (Parser::default(), Vec::new());
        while let Some(piece) = answer.chunk().await.map_err(|error| self.0.unreachable(error))? {
            let server = || self.0.base().to_string();
            parser.take(&piece).map_err(|source| RemoteError::Foreign { server: server(), source })?;
            events.extend(std::iter::from_fn(|| parser.next()));
        }
        let last_seq = events.last().map_or(after, |event| event.seq);
        Ok(EventPage { events, last_seq })
    }
}

/// What is not there, in the words of a store.
fn or_else(error: RemoteError, absent: StoreError) -> StoreError {
    if error.status() == Some(404) { absent } else { error.into_store() }
}

#[async_trait]
impl Records for RemoteRecords {
    fn place(&self) -> &'static str {
        "server"
    }

    fn pace(&self) -> Duration {
        Duration::from_secs(1)
    }

    async fn runs(&self, filter: &RunFilter, limit: usize) -> Result<Vec<RunSummary>, StoreError> {
        let query: Vec<_> = filter.pipeline.iter().map(|name| ("pipeline", name.as_str())).collect();
        let lines: Vec<RunLine> = self.0.list(&["runs"], &query, limit).await.map_err(RemoteError::into_store)?;
        Ok(lines.into_iter().map(RunSummary::from).collect())
    }

    async fn run(&self, run: RunId) -> Result<RunRecord, StoreError> {
        let Record { run, number, status, last_seq, .. } = self.record(run).await?;
        Ok(RunRecord { run, number, status, last_seq })
    }

    async fn waits_for(&self, run: RunId) -> Result<Option<RunId>, StoreError> {
        Ok(self.record(run).await?.waits_for)
    }

    /// All of them at once: a server sends them as they are read.
    async fn events(&self, run: RunId, after: u64, _: usize) -> Result<EventPage, StoreError> {
        let mut tries = 0;
        loop {
            match self.try_events(run, after).await {
                Err(error) if self.0.pause(&error, &mut tries).await => {}
                read => return read.map_err(|error| or_else(error, StoreError::NoRun(run))),
            }
        }
    }

    async fn logs_of_run(&self, run: RunId) -> Result<Vec<JobId>, StoreError> {
        let found = self.0.list::<Logged>(&["runs", &run.to_string(), "logs"], &[], usize::MAX).await;
        let logged = found.map_err(|error| or_else(error, StoreError::NoRun(run)))?;
        Ok(logged.into_iter().map(|Logged { stage, attempt }| JobId { run, stage, attempt }).collect())
    }

    async fn read_log(&self, job: &JobId, after: u64, bytes: usize) -> Result<LogPage, StoreError> {
        let (run, attempt) = (job.run.to_string(), job.attempt.to_string());
        let path = ["runs", &run, "stages", &job.stage, "attempts", &attempt, "log"];
        let part = self.0.get(&path, &[("after", &after.to_string()), ("bytes", &bytes.to_string())]).await;
        let Part { chunks, last_line } = part.map_err(|error| match error.status() {
            Some(410) => StoreError::LogRemoved(Box::new(job.clone())),
            _ => or_else(error, StoreError::NoLog(Box::new(job.clone()))),
        })?;
        Ok(LogPage { chunks: chunks.into_iter().map(LogChunk::from).collect(), last_line })
    }

    async fn artifact(&self, run: RunId, stage: &StageName, artifact: &Artifact) -> Result<Fetched, Failure> {
        let run = run.to_string();
        let answer = self.0.open_get(&["runs", &run, "stages", stage, "artifacts", &artifact.name], &[]).await?;
        let folder = tempfile::tempdir().map_err(Failure::backend)?;
        let blobs = ObjectBlobs::open(folder.path()).map_err(Failure::backend)?;
        let content = stream::try_unfold(answer, |mut answer| async move {
            Ok::<_, reqwest::Error>(answer.chunk().await?.map(|piece| (piece, answer)))
        });
        // Under the digest of what came: one that was cut off, or is another, is not found under that of the artifact.
        blobs
            .put(Box::pin(content.map_err(|error| BlobError::backend("server", error))))
            .await
            .map_err(Failure::backend)?;
        Ok(Fetched { blobs: Arc::new(blobs), _folder: Some(folder) })
    }

    async fn test_changes(&self, before: &RunFacts, after: &RunFacts) -> Result<Vec<TestDifference>, Failure> {
        let (earlier, later) = (before.record.run.id.to_string(), after.record.run.id.to_string());
        let found: Compared = self.0.get(&["runs", &later, "diff"], &[("before", &earlier)]).await?;
        let sides = [(before.record.number, found.unread_before), (after.record.number, found.unread_after)];
        for (number, unread) in sides {
            for Unread { stage, file, reason } in unread {
                let what = if file.is_empty() { reason } else { format!("{file} is no report: {reason}") };
                tell_unread(number, &stage, &what);
            }
        }
        Ok(found.tests)
    }
}
