//! Events and logs as streams that are read from the store, as far as it is.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt};

use super::bus::RunBus;
use super::core::Core;
use crate::event::{Event, EventBody};
use crate::id::{JobId, StageName};
use crate::store::{LogChunk, StoreError};

/// How many events are read at once: enough that a reader that lags catches up quickly.
const EVENTS: usize = 512;

/// How much of a log is read at once.
const LOG_BYTES: usize = 256 * 1024;

/// Consecutive lines of an attempt's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageLog {
    /// The attempt, from 1; 0 for what an earlier result brought.
    pub attempt: u32,
    /// The lines.
    pub chunk: LogChunk,
}

/// Reads in a task of its own. A stream that nobody asks for a while may be in the middle of a read, and must not keep
/// what the store reads with, for which the one that is asked may be waiting.
async fn aside<T: Send + 'static>(
    read: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::spawn(read).await.unwrap_or_else(|error| Err(StoreError::backend("runtime", error)))
}

/// Events after number `after`, until the last event of the run or until this engine drives it no more.
pub(super) fn events(core: Arc<Core>, bus: Arc<RunBus>, after: u64) -> BoxStream<'static, Result<Event, StoreError>> {
    let (seq, ended) = (bus.seq.subscribe(), bus.ended.subscribe());
    let reader = Events { core, bus, seq, ended, after, read: VecDeque::new(), done: false };
    stream::try_unfold(reader, |mut reader| async move { Ok(reader.next().await?.map(|event| (event, reader))) })
        .boxed()
}

struct Events {
    core: Arc<Core>,
    bus: Arc<RunBus>,
    seq: tokio::sync::watch::Receiver<u64>,
    ended: tokio::sync::watch::Receiver<Option<Result<Arc<crate::run::Run>, super::error::RunError>>>,
    after: u64,
    read: VecDeque<Event>,
    done: bool,
}

impl Events {
    async fn next(&mut self) -> Result<Option<Event>, StoreError> {
        loop {
            if let Some(event) = self.read.pop_front() {
                self.after = event.seq;
                self.done = matches!(event.body, EventBody::RunFinished { .. });
                return Ok(Some(event));
            }
            if self.done {
                return Ok(None);
            }
            // Looked at before the store is: what ended before has stored all that it will.
            let is_last_look = self.ended.borrow().is_some();
            if *self.seq.borrow_and_update() > self.after || is_last_look {
                let (store, run, after) = (Arc::clone(&self.core.store), self.bus.info.id, self.after);
                let page = aside(async move { store.events(run, after, EVENTS).await }).await?;
                self.read.extend(page.events);
                if self.read.is_empty() && is_last_look {
                    return Ok(None);
                }
                if !self.read.is_empty() {
                    continue;
                }
            }
            tokio::select! {
                _ = self.seq.changed() => {}
                _ = self.ended.wait_for(Option::is_some) => {}
            }
        }
    }
}

/// From where a log is read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LogFrom {
    /// The attempt; all of them, one after another, without.
    pub(super) attempt: Option<u32>,
    /// The line before the first one.
    pub(super) line: u64,
    /// The end is looked for among the events after this number.
    pub(super) event: u64,
}

/// The log of a stage.
pub(super) fn logs(
    core: Arc<Core>,
    bus: Arc<RunBus>,
    stage: StageName,
    from: LogFrom,
) -> BoxStream<'static, Result<StageLog, StoreError>> {
    let reader = Logs {
        events: events(Arc::clone(&core), Arc::clone(&bus), from.event),
        changed: bus.logs.subscribe(),
        job: JobId { run: bus.info.id, stage, attempt: from.attempt.unwrap_or(1) },
        only: from.attempt.is_some(),
        core,
        after: from.line,
        finished: 0,
        over: false,
        read: VecDeque::new(),
    };
    stream::try_unfold(reader, |mut reader| async move { Ok(reader.next().await?.map(|log| (log, reader))) }).boxed()
}

struct Logs {
    core: Arc<Core>,
    events: BoxStream<'static, Result<Event, StoreError>>,
    changed: tokio::sync::watch::Receiver<u64>,
    job: JobId,
    only: bool,
    after: u64,
    /// The last attempt that is known to have ended.
    finished: u32,
    /// Whether nothing more can come.
    over: bool,
    read: VecDeque<LogChunk>,
}

impl Logs {
    async fn next(&mut self) -> Result<Option<StageLog>, StoreError> {
        loop {
            if let Some(chunk) = self.read.pop_front() {
                self.after = chunk.last_line();
                return Ok(Some(StageLog { attempt: self.job.attempt, chunk }));
            }
            // Known before the store is looked at: the whole log is stored before the end of an attempt is.
            let (is_over, is_finished) = (self.over, self.finished >= self.job.attempt);
            self.changed.borrow_and_update();
            let (store, job, after) = (Arc::clone(&self.core.store), self.job.clone(), self.after);
            let page = aside(async move { store.read_log(&job, after, LOG_BYTES).await }).await?;
            self.read.extend(page.chunks);
            if !self.read.is_empty() {
                continue;
            }
            if is_finished && !self.only {
                self.job.attempt += 1;
                self.after = 0;
                if !is_over {
                    continue;
                }
            }
            if is_over || (is_finished && self.only) {
                return Ok(None);
            }
            tokio::select! {
                _ = self.changed.changed() => {}
                event = self.events.next() => self.heed(event.transpose()?),
            }
        }
    }

    fn heed(&mut self, event: Option<Event>) {
        match event.map(|event| event.body) {
            None | Some(EventBody::RunFinished { .. }) => self.over = true,
            Some(EventBody::AttemptFinished { stage, attempt, .. }) if stage == self.job.stage => {
                self.finished = attempt;
            }
            // The log of an earlier result is there, and no other will be.
            Some(EventBody::ResultTaken { stage, .. }) if stage == self.job.stage && !self.only => {
                (self.job.attempt, self.after) = (0, 0);
            }
            Some(EventBody::StageFinished { stage, .. }) if stage == self.job.stage => self.over = true,
            Some(_) => {}
        }
    }
}
