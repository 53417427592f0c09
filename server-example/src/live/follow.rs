//! Events and logs as streams that go on until their end.
//!
//! Of a run that this server drives the engine tells what is new, from the moment at which it takes it up. Of any other the
//! store is looked at, often enough for a person.

use std::collections::VecDeque;
use std::time::Duration;

use buildit::engine::StageLog;
use buildit::event::{Event, EventBody};
use buildit::id::{JobId, RunId};
use buildit::store::{LogChunk, StoreError};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};

use crate::state::ServerState;

/// How often the store is looked at for what another server does.
pub(super) const LOOK: Duration = Duration::from_millis(300);

/// How much is read at once.
const EVENTS: usize = 512;
pub(super) const LOG_BYTES: usize = 256 * 1024;

/// Events of a run after number `after`, until the run's last one.
pub(crate) fn events(state: ServerState, run: RunId, after: u64) -> BoxStream<'static, Result<Event, StoreError>> {
    let reader = Events { state, run, after, engine: None, read: VecDeque::new(), is_over: false };
    stream::try_unfold(reader, |mut reader| async move { Ok(reader.next().await?.map(|event| (event, reader))) })
        .boxed()
}

/// Events of a run after number `after`, as far as they are stored.
pub(crate) fn stored(state: ServerState, run: RunId, after: u64) -> BoxStream<'static, Result<Event, StoreError>> {
    let pages = stream::try_unfold((state, after), move |(state, after)| async move {
        let events = state.store().events(run, after, EVENTS).await?.events;
        Ok::<_, StoreError>(
            events.last().map(|last| last.seq).map(|last| (stream::iter(events.into_iter().map(Ok)), (state, last))),
        )
    });
    pages.try_flatten().boxed()
}

/// Waits for the next look, or until this server takes the run up.
async fn wait(state: &ServerState, run: RunId) {
    let taken_up = state.engine().taken_up(run);
    // Whatever came of it, what is new is found in the same way.
    let _ = tokio::time::timeout(LOOK, taken_up).await;
}

struct Events {
    state: ServerState,
    run: RunId,
    after: u64,
    engine: Option<BoxStream<'static, Result<Event, StoreError>>>,
    read: VecDeque<Event>,
    is_over: bool,
}

impl Events {
    async fn next(&mut self) -> Result<Option<Event>, StoreError> {
        loop {
            if self.is_over {
                return Ok(None);
            }
            if let Some(engine) = &mut self.engine {
                match engine.next().await.transpose()? {
                    Some(event) => return Ok(Some(self.seen(event))),
                    // Another server has it now, or it has ended.
                    None => self.engine = None,
                }
            }
            if let Some(event) = self.read.pop_front() {
                return Ok(Some(self.seen(event)));
            }
            let page = self.state.store().events(self.run, self.after, EVENTS).await?;
            self.read.extend(page.events);
            if !self.read.is_empty() {
                continue;
            }
            // A reader that comes again may have seen the last one already.
            self.is_over = is_last(&self.state, self.run, page.last_seq).await?;
            self.engine = self.state.engine().run(self.run).map(|handle| handle.events_after(self.after));
            if self.engine.is_none() {
                wait(&self.state, self.run).await;
            }
        }
    }

    fn seen(&mut self, event: Event) -> Event {
        self.after = event.seq;
        self.is_over = matches!(event.body, EventBody::RunFinished { .. });
        event
    }
}

/// Whether the event of this number is the run's last one.
async fn is_last(state: &ServerState, run: RunId, seq: u64) -> Result<bool, StoreError> {
    if seq == 0 {
        return Ok(false);
    }
    let last = state.store().events(run, seq - 1, 1).await?.events;
    Ok(last.first().is_some_and(|event| matches!(event.body, EventBody::RunFinished { .. })))
}

/// The log of an attempt after this line, until its end.
pub(crate) fn log(state: ServerState, job: JobId, after: u64) -> BoxStream<'static, Result<LogChunk, StoreError>> {
    let reader = Log { state, job, after, engine: None, read: VecDeque::new(), seen: 0, is_over: false };
    stream::try_unfold(reader, |mut reader| async move { Ok(reader.next().await?.map(|chunk| (chunk, reader))) })
        .boxed()
}

struct Log {
    state: ServerState,
    job: JobId,
    after: u64,
    engine: Option<BoxStream<'static, Result<StageLog, StoreError>>>,
    read: VecDeque<LogChunk>,
    /// The last event that was looked at for the end of the attempt, and whether that was among them.
    seen: u64,
    is_over: bool,
}

impl Log {
    async fn next(&mut self) -> Result<Option<LogChunk>, StoreError> {
        loop {
            if let Some(engine) = &mut self.engine {
                match engine.next().await.transpose()? {
                    Some(log) => return Ok(Some(self.passed(log.chunk))),
                    None => self.engine = None,
                }
            }
            if let Some(chunk) = self.read.pop_front() {
                return Ok(Some(self.passed(chunk)));
            }
            // Looked at before the log is: all of it is stored before its end is.
            self.look().await?;
            self.read.extend(self.state.store().read_log(&self.job, self.after, LOG_BYTES).await?.chunks);
            if !self.read.is_empty() {
                continue;
            }
            if self.is_over {
                return Ok(None);
            }
            let handle = self.state.engine().run(self.job.run);
            self.engine = handle.map(|handle| {
                let JobId { stage, attempt, .. } = &self.job;
                handle.log_after(stage.clone(), *attempt, self.after, self.seen)
            });
            if self.engine.is_none() {
                wait(&self.state, self.job.run).await;
            }
        }
    }

    fn passed(&mut self, chunk: LogChunk) -> LogChunk {
        self.after = chunk.last_line();
        chunk
    }

    /// Looks whether the attempt has ended, or the run.
    async fn look(&mut self) -> Result<(), StoreError> {
        while !self.is_over {
            let page = self.state.store().events(self.job.run, self.seen, EVENTS).await?;
            let Some(last) = page.events.last() else { break };
            self.seen = last.seq;
            self.is_over = page.events.iter().any(|event| ends(&event.body, &self.job));
        }
        Ok(())
    }
}

/// Whether nothing more comes of this job after this event.
fn ends(event: &EventBody, job: &JobId) -> bool {
    match event {
        EventBody::RunFinished { .. } => true,
        EventBody::StageFinished { stage, .. } => *stage == job.stage,
        EventBody::AttemptFinished { stage, attempt, .. } => *stage == job.stage && *attempt == job.attempt,
        _ => false,
    }
}
