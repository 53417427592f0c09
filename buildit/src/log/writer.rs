//! [`LogWriter`].

use std::fmt::{self, Debug};
use std::num::NonZeroU64;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::lane::{Lane, Piece};
use super::limit::{Cut, Limit};
use crate::clock::Clock;
use crate::executor::{LeaseLost, LogCursor, LogError, LogWrite, Physical};
use crate::id::{FencingToken, JobId};
use crate::job::Stream;
use crate::secret::Masker;
use crate::store::{LogAppend, LogChunk, Store, StoreError};

/// How many bytes may wait to be stored: enough to read, mask and store at the same time, little enough for many jobs.
const WAITING: usize = 4 * 1024 * 1024;

/// How many bytes go into one append at most; a slow store gets larger appends, not more memory.
const APPEND: usize = 2 * 1024 * 1024;

/// Told of every chunk once it is stored: the live side of a log.
pub trait LogObserver: Debug + Send + Sync + 'static {
    /// These chunks of the job's log are stored. It must not block.
    fn stored(&self, job: &JobId, chunks: &[LogChunk]);
}

/// Takes the bytes of one job's log and stores its lines, masked and numbered, in a task of its own: reading,
/// masking and storing overlap. Clones are the same writer.
///
/// When the last clone is dropped, what was taken is still stored, except a line that has no end yet.
#[derive(Clone)]
pub struct LogWriter {
    sender: mpsc::UnboundedSender<Message>,
    room: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
    progress: Arc<std::sync::Mutex<Progress>>,
}

impl Debug for LogWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogWriter").field("progress", &self.progress).finish_non_exhaustive()
    }
}

/// What a writer does beside storing.
#[derive(Clone, Debug, Default)]
pub struct LogOptions {
    /// Who is told of what is stored.
    pub observer: Option<Arc<dyn LogObserver>>,
    /// How much of the job's output is stored, in bytes as the job wrote them; `None` for all. What is beyond is read
    /// and left out but for its end, with a [notice](LogWriter::close).
    pub limit: Option<NonZeroU64>,
}

enum Message {
    Write {
        stream: Stream,
        bytes: Bytes,
        position: Option<(Physical, u64)>,
        time: Timestamp,
        room: Option<OwnedSemaphorePermit>,
    },
    Flush(Ending, oneshot::Sender<()>),
}

/// What is flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// What was taken so far.
    SoFar,
    /// The log: nothing more comes.
    ForGood,
}

/// How far the log is stored, and why it goes no further.
#[derive(Debug, Default)]
struct Progress {
    cursor: LogCursor,
    failure: Option<Failure>,
}

#[derive(Clone, Debug)]
enum Failure {
    LeaseLost,
    Store(Arc<StoreError>),
}

impl From<Failure> for LogError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::LeaseLost => LeaseLost.into(),
            Failure::Store(error) => Self::Store(Box::new(error)),
        }
    }
}

impl LogWriter {
    /// A writer that goes on at `cursor`, where the stored log of the job ends.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn new(
        store: Arc<dyn Store>,
        job: JobId,
        token: FencingToken,
        cursor: LogCursor,
        masker: Arc<Masker>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self::with(store, job, token, cursor, masker, clock, LogOptions::default())
    }

    /// The same, with these options.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn with(
        store: Arc<dyn Store>,
        job: JobId,
        token: FencingToken,
        cursor: LogCursor,
        masker: Arc<Masker>,
        clock: Arc<dyn Clock>,
        options: LogOptions,
    ) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let progress = Arc::new(std::sync::Mutex::new(Progress { cursor, failure: None }));
        let task = Task {
            lanes: Lanes::new(&masker, cursor),
            limit: options.limit.map(|limit| Limit::new(limit, cursor)),
            append: Appender { store, job, token, cursor, observer: options.observer },
            progress: Arc::clone(&progress),
        };
        tokio::spawn(task.run(receiver));
        Self { sender, room: Arc::new(Semaphore::new(WAITING)), clock, progress }
    }

    /// Takes bytes, waits while too much is waiting to be stored, and says which line was the last that was stored.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log cannot be stored, also for bytes that were taken earlier. Then nothing more is taken:
    /// a new writer has to go on at the stored cursor.
    ///
    /// # Cancel safety
    ///
    /// A dropped future has taken nothing.
    pub async fn write(&self, write: LogWrite) -> Result<u64, LogError> {
        let line = self.stored()?;
        let LogWrite { stream, bytes, position } = write;
        let wanted = u32::try_from(bytes.len().min(WAITING)).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        let room = Arc::clone(&self.room).acquire_many_owned(wanted).await.ok();
        let time = self.clock.now();
        self.send(Message::Write { stream, bytes, position, time, room })?;
        Ok(line)
    }

    /// Ends lines that were begun, waits until all is stored, and says which line is the last.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log cannot be stored.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves the flush to the writer's task.
    pub async fn flush(&self) -> Result<u64, LogError> {
        self.end(Ending::SoFar).await
    }

    /// Flushes a log that has ended. When it has gone beyond its limit, its last lines are stored now, behind a
    /// notice of how much before them is left out.
    ///
    /// # Errors
    ///
    /// [`LogError`] when the log cannot be stored.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves it to the writer's task.
    pub async fn close(&self) -> Result<u64, LogError> {
        self.end(Ending::ForGood).await
    }

    async fn end(&self, ending: Ending) -> Result<u64, LogError> {
        let (done, stored) = oneshot::channel();
        self.send(Message::Flush(ending, done))?;
        let ended = stored.await;
        let line = self.stored()?;
        ended.map_err(|_| gone())?;
        Ok(line)
    }

    /// How far the log is stored by now.
    #[must_use]
    pub fn cursor(&self) -> LogCursor {
        self.progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner).cursor
    }

    fn stored(&self) -> Result<u64, LogError> {
        let progress = self.progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match &progress.failure {
            Some(failure) => Err(failure.clone().into()),
            None => Ok(progress.cursor.line),
        }
    }

    fn send(&self, message: Message) -> Result<(), LogError> {
        self.sender.send(message).map_err(|_| self.stored().err().unwrap_or_else(gone))
    }
}

/// The runtime was shut down under the writer.
fn gone() -> LogError {
    LogError::Store("the runtime has stopped".into())
}

/// What a job's bytes come in by: its two physical outputs, and for each stream what comes from nowhere.
struct Lanes {
    physical: [Lane; 2],
    other: [Lane; 3],
}

impl Lanes {
    fn new(masker: &Arc<Masker>, cursor: LogCursor) -> Self {
        let lane = |offset| Lane::new(Arc::clone(masker), offset);
        Self { physical: [lane(cursor.stdout), lane(cursor.stderr)], other: [lane(0), lane(0), lane(0)] }
    }
}

struct Task {
    lanes: Lanes,
    limit: Option<Limit>,
    append: Appender,
    progress: Arc<std::sync::Mutex<Progress>>,
}

impl Task {
    async fn run(mut self, mut receiver: mpsc::UnboundedReceiver<Message>) {
        let mut messages = Vec::new();
        let mut pieces = Vec::new();
        let mut rooms = Vec::new();
        let mut batch = Batch::default();
        while receiver.recv_many(&mut messages, 64).await > 0 {
            for message in messages.drain(..) {
                let done = match message {
                    Message::Write { stream, bytes, position, time, room } => {
                        let (lane, physical, end) = match position {
                            Some((physical, end)) => {
                                (&mut self.lanes.physical[physical as usize], Some(physical), Some(end))
                            }
                            None => (&mut self.lanes.other[stream as usize], None, None),
                        };
                        lane.push(stream, bytes, end, &mut pieces);
                        rooms.extend(room);
                        batch.add(physical, time, &mut pieces);
                        if batch.bytes < APPEND {
                            continue;
                        }
                        None
                    }
                    Message::Flush(ending, done) => {
                        self.finish_lanes(&mut pieces, &mut batch);
                        Some((ending, done))
                    }
                };
                let ending = done.as_ref().map_or(Ending::SoFar, |(ending, _)| *ending);
                if !self.store(&mut batch, ending).await {
                    return;
                }
                rooms.clear();
                if let Some((_, done)) = done {
                    // Whoever asked may be gone.
                    let _ = done.send(());
                }
            }
            if !self.store(&mut batch, Ending::SoFar).await {
                return;
            }
            rooms.clear();
        }
    }

    fn finish_lanes(&mut self, pieces: &mut Vec<Piece>, batch: &mut Batch) {
        let time = batch.last_time;
        for (physical, lane) in [Physical::Stdout, Physical::Stderr].into_iter().zip(&mut self.lanes.physical) {
            lane.finish(pieces);
            batch.add(Some(physical), time, pieces);
        }
        for lane in &mut self.lanes.other {
            lane.finish(pieces);
            batch.add(None, time, pieces);
        }
    }

    /// Stores the batch; `false` when it cannot be stored, which is noted.
    async fn store(&mut self, batch: &mut Batch, ending: Ending) -> bool {
        let mut passed = None;
        if let Some(limit) = &mut self.limit {
            limit.sift(&mut batch.pieces);
            if ending == Ending::ForGood {
                batch.pieces.extend(limit.close(batch.last_time));
            }
            passed = limit.passed(self.append.cursor);
        }
        let stored = self.append.store(batch, passed).await;
        let mut progress = self.progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match stored {
            Ok(()) => progress.cursor = self.append.cursor,
            Err(StoreError::Fenced) => progress.failure = Some(Failure::LeaseLost),
            Err(error) => progress.failure = Some(Failure::Store(Arc::new(error))),
        }
        progress.failure.is_none()
    }
}

/// Lines that go into one append.
#[derive(Default)]
struct Batch {
    pieces: Vec<Cut>,
    bytes: usize,
    last_time: Timestamp,
}

impl Batch {
    fn add(&mut self, physical: Option<Physical>, time: Timestamp, pieces: &mut Vec<Piece>) {
        self.last_time = time;
        for piece in pieces.drain(..) {
            self.bytes += piece.text.len();
            self.pieces.push(Cut { piece, physical, time });
        }
    }
}

struct Appender {
    store: Arc<dyn Store>,
    job: JobId,
    token: FencingToken,
    cursor: LogCursor,
    observer: Option<Arc<dyn LogObserver>>,
}

impl Appender {
    /// Stores the batch behind what was passed over, if anything was.
    async fn store(&mut self, batch: &mut Batch, passed: Option<LogCursor>) -> Result<(), StoreError> {
        batch.bytes = 0;
        if batch.pieces.is_empty() && passed.is_none() {
            return Ok(());
        }
        let mut cursor = passed.unwrap_or(self.cursor);
        let mut chunks = Vec::with_capacity(batch.pieces.len());
        for Cut { piece, physical, time } in batch.pieces.drain(..) {
            if let Some(physical) = physical {
                cursor.set_offset(physical, piece.end.max(cursor.offset(physical)));
            }
            let Piece { stream, text, lines, .. } = piece;
            chunks.push(LogChunk { first_line: cursor.line + 1, lines, time, stream, text });
            cursor.line += u64::from(lines);
        }
        let expected_line = self.cursor.line;
        let append = LogAppend { job: &self.job, token: self.token, expected_line, chunks: &chunks, cursor };
        self.store.append_log(append).await?;
        self.cursor = cursor;
        if let Some(observer) = &self.observer
            && !chunks.is_empty()
        {
            observer.stored(&self.job, &chunks);
        }
        Ok(())
    }
}
