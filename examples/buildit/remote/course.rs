//! A run that goes on on a server.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use buildit::engine::StageLog;
use buildit::event::{Approval, Event, EventBody};
use buildit::id::{JobId, RunId, StageName};
use buildit::store::LogChunk;
use futures_util::stream::{self, BoxStream, StreamExt};
use indexmap::IndexMap;
use reqwest::{Method, Response};
use serde::Serialize;

use super::client::{body, nothing};
use super::sse::Parser;
use super::{Client, RemoteError, RemoteRecords};
use crate::session::{Course, Killed, Pieces, Records};

/// How often a log is asked for more.
const LOOK: Duration = Duration::from_millis(500);

/// How much of a log is asked for at once.
const LOG_BYTES: usize = 256 * 1024;

/// A run on a server.
#[derive(Debug)]
pub(crate) struct RemoteRun {
    records: RemoteRecords,
    run: RunId,
    /// The attempts of whose end is known: their logs are whole.
    ended: Arc<Mutex<HashSet<(StageName, u32)>>>,
}

/// An answer to a stage that waits for a person.
#[derive(Debug, Serialize)]
pub(crate) struct Answer<'a> {
    pub(crate) stage: &'a str,
    pub(crate) fields: &'a IndexMap<String, String>,
}

impl RemoteRun {
    /// This run.
    pub(crate) fn new(records: RemoteRecords, run: RunId) -> Self {
        Self { records, run, ended: Arc::default() }
    }
}

#[async_trait]
impl Course for RemoteRun {
    fn events(&self) -> Pieces<Event> {
        let client = Arc::clone(&self.records.0);
        let events =
            Events { client, run: self.run, after: 0, answer: None, parser: Parser::default(), is_over: false };
        let ended = Arc::clone(&self.ended);
        let read =
            stream::try_unfold(
                events,
                |mut events| async move { Ok(events.next().await?.map(|event| (event, events))) },
            );
        read.inspect(move |event| {
            if let Ok(Event { body: EventBody::AttemptFinished { stage, attempt, .. }, .. }) = event {
                ended.lock().unwrap_or_else(PoisonError::into_inner).insert((stage.clone(), *attempt));
            }
        })
        .boxed()
    }

    fn log(&self, stage: &StageName, attempt: u32, _: u64) -> Pieces<StageLog> {
        let job = JobId { run: self.run, stage: stage.clone(), attempt };
        let (records, ended) = (self.records.clone(), Arc::clone(&self.ended));
        let log = Log { records, job, ended, after: 0, read: VecDeque::new() };
        stream::try_unfold(log, |mut log| async move { Ok(log.next().await?.map(|piece| (piece, log))) }).boxed()
    }

    fn notices(&self) -> BoxStream<'static, Arc<str>> {
        stream::pending().boxed()
    }

    async fn approve(&self, stage: &StageName, approval: Approval) -> anyhow::Result<()> {
        let way = if approval.approved { "approve" } else { "reject" };
        let answer = Answer { stage, fields: &approval.fields };
        let run = self.run.to_string();
        let body = Some(serde_json::to_value(&answer)?);
        match self.records.0.tell(Method::POST, &["runs", &run, way], body).await {
            // Somebody else was faster, or the stage waits no more.
            Err(error) if error.status() == Some(409) => Ok(()),
            told => Ok(told?),
        }
    }

    async fn cancel(&self, _: &str) -> anyhow::Result<()> {
        let run = self.run.to_string();
        Ok(self.records.0.tell(Method::POST, &["runs", &run, "cancel"], nothing()).await?)
    }

    fn kill(&self, _: &str) -> Killed {
        Killed::Elsewhere
    }
}

/// The events of a run, over as many connections as it takes.
struct Events {
    client: Arc<Client>,
    run: RunId,
    /// The last one that was seen.
    after: u64,
    answer: Option<Response>,
    parser: Parser,
    is_over: bool,
}

impl Events {
    async fn next(&mut self) -> Result<Option<Event>, RemoteError> {
        let mut tries = 0;
        loop {
            if self.is_over {
                return Ok(None);
            }
            if let Some(event) = self.parser.next() {
                self.after = event.seq;
                self.is_over = matches!(event.body, EventBody::RunFinished { .. });
                return Ok(Some(event));
            }
            match self.read().await {
                // It says something: whatever goes wrong next is another matter.
                Ok(true) => tries = 0,
                Ok(false) => {}
                Err(error) => {
                    self.answer = None;
                    if !self.client.pause(&error, &mut tries).await {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Reads on. A connection that has ended before the run is made anew, from behind what was seen.
    async fn read(&mut self) -> Result<bool, RemoteError> {
        let Some(answer) = &mut self.answer else {
            let (run, after) = (self.run.to_string(), self.after.to_string());
            self.parser = Parser::default();
            self.answer = Some(self.client.open_get(&["runs", &run, "events"], &[("after", &after)]).await?);
            return Ok(false);
        };
        let Some(piece) = answer.chunk().await.map_err(|error| self.client.unreachable(error))? else {
            self.answer = None;
            tokio::time::sleep(LOOK).await;
            return Ok(false);
        };
        let server = || self.client.base().to_string();
        self.parser.take(&piece).map_err(|source| RemoteError::Foreign { server: server(), source })?;
        Ok(true)
    }
}

/// The log of an attempt, to its end.
struct Log {
    records: RemoteRecords,
    job: JobId,
    ended: Arc<Mutex<HashSet<(StageName, u32)>>>,
    /// The last line that was seen.
    after: u64,
    read: VecDeque<LogChunk>,
}

impl Log {
    async fn next(&mut self) -> anyhow::Result<Option<StageLog>> {
        loop {
            if let Some(chunk) = self.read.pop_front() {
                self.after = chunk.last_line();
                return Ok(Some(StageLog { attempt: self.job.attempt, chunk }));
            }
            // Looked at before the log is: all of it is stored before its end is. What an earlier result brought is whole.
            let is_over = self.job.attempt == 0 || self.has_ended();
            match self.records.read_log(&self.job, self.after, LOG_BYTES).await {
                Ok(page) => self.read.extend(page.chunks),
                // It has printed nothing yet, or its log was removed meanwhile.
                Err(buildit::store::StoreError::NoLog(_) | buildit::store::StoreError::LogRemoved(_)) => {}
                Err(error) => return Err(error.into()),
            }
            if !self.read.is_empty() {
                continue;
            }
            if is_over {
                return Ok(None);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn has_ended(&self) -> bool {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.contains(&(self.job.stage.clone(), self.job.attempt))
    }
}

/// Answers as people give them on the command line.
pub(crate) fn answer(
    stage: &str,
    fields: &IndexMap<String, String>,
) -> Result<Option<serde_json::Value>, crate::exit::Failure> {
    body(&Answer { stage, fields })
}
