//! One reading of a log for all who watch it: each part of it is read, painted and written as a text once.
//!
//! ```text
//! the log ──> channel of the attempt: its last frames ──> readers that are among them
//!        └──────────────── a painter of its own ────────> a reader that is behind them
//! ```
//!
//! The channel goes on when one of its readers has all of it, so as fast as the fastest; what it keeps for the others is
//! bounded. A reader that falls behind that reads from the store by itself until it is there again: it holds up nobody, and
//! misses nothing. A channel ends with its log, or with its last reader.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use axum::extract::ws::Utf8Bytes;
use buildit::id::{JobId, StageName};
use buildit::job::Stream;
use buildit::store::{LogChunk, StoreError};
use futures_util::stream::StreamExt;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{Notify, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::follow::{LOG_BYTES, LOOK, log};
use crate::state::ServerState;
use crate::view::ansi::{Painter, lines};

/// How many bytes of texts a channel keeps for those who are not as fast.
const KEPT: usize = 4 * 1024 * 1024;

/// How many bytes a reader takes at once.
const TAKEN: usize = 256 * 1024;

/// Lines of a log, as they are sent.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    chunk: LogChunk,
    text: Utf8Bytes,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "log")]
struct Said<'a> {
    stage: &'a StageName,
    attempt: u32,
    stream: Stream,
    time: Timestamp,
    first_line: u64,
    lines: Vec<String>,
}

impl Frame {
    fn new(job: &JobId, painter: &mut Painter, chunk: LogChunk) -> Self {
        let lines = lines(painter, &chunk);
        let LogChunk { stream, time, first_line, .. } = chunk;
        let said = Said { stage: &job.stage, attempt: job.attempt, stream, time, first_line, lines };
        // Texts and numbers are always JSON.
        let text = serde_json::to_string(&said).unwrap_or_default();
        Self { chunk, text: text.into() }
    }

    /// The JSON text.
    pub(crate) fn text(&self) -> Utf8Bytes {
        self.text.clone()
    }
}

/// The channels of a server, by attempt.
#[derive(Debug, Default)]
pub(crate) struct Fanout(Mutex<HashMap<JobId, Weak<Channel>>>);

/// What the readers of an attempt hold; the last one ends it.
#[derive(Debug)]
struct Channel {
    shared: Arc<Shared>,
    _stop: DropGuard,
}

#[derive(Debug)]
struct Shared {
    kept: Mutex<Kept>,
    /// Told when there is more, or the end.
    news: watch::Sender<()>,
    /// Told when a reader has all that there is.
    wanted: Notify,
}

#[derive(Debug, Default)]
struct Kept {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// The last line that was in a frame, whether that is kept or not.
    last_line: u64,
    end: Option<Result<(), Arc<StoreError>>>,
}

/// What there is for a reader.
#[derive(Debug)]
enum Found {
    Frames(Vec<Frame>),
    /// It is behind what is kept.
    Behind,
    /// It has all that there is so far.
    All,
    End(Result<(), Arc<StoreError>>),
}

impl Fanout {
    /// Reads the log of an attempt after this line.
    pub(crate) fn read(&self, state: &ServerState, job: JobId, after: u64) -> LogReader {
        let channel = self.channel(state, &job, after);
        let news = channel.shared.news.subscribe();
        LogReader { state: state.clone(), job, after, channel, news, own: None }
    }

    fn channel(&self, state: &ServerState, job: &JobId, after: u64) -> Arc<Channel> {
        let mut channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = channels.get(job).and_then(Weak::upgrade) {
            return there;
        }
        channels.retain(|_, channel| channel.strong_count() > 0);
        let kept = Mutex::new(Kept { last_line: after, ..Kept::default() });
        let shared = Arc::new(Shared { kept, news: watch::Sender::default(), wanted: Notify::new() });
        let stop = CancellationToken::new();
        let feeding = feed(state.clone(), job.clone(), after, Arc::clone(&shared));
        tokio::spawn(stop.clone().run_until_cancelled_owned(feeding));
        let channel = Arc::new(Channel { shared, _stop: stop.drop_guard() });
        channels.insert(job.clone(), Arc::downgrade(&channel));
        channel
    }
}

/// Reads a log for its channel, as far as somebody wants it.
async fn feed(state: ServerState, job: JobId, after: u64, shared: Arc<Shared>) {
    let (mut chunks, mut painter) = (log(state, job.clone(), after), Painter::default());
    loop {
        shared.wanted.notified().await;
        let end = match chunks.next().await.transpose() {
            Ok(Some(chunk)) => {
                let frame = Frame::new(&job, &mut painter, chunk);
                shared.kept().push(frame);
                None
            }
            Ok(None) => Some(Ok(())),
            Err(error) => Some(Err(Arc::new(error))),
        };
        let is_over = end.is_some();
        shared.kept().end = end;
        shared.news.send_replace(());
        if is_over {
            return;
        }
    }
}

impl Shared {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn push(&mut self, frame: Frame) {
        self.last_line = frame.chunk.last_line();
        self.bytes += frame.text.len();
        self.frames.push_back(frame);
        while self.bytes > KEPT && self.frames.len() > 1 {
            self.bytes -= self.frames.pop_front().map_or(0, |frame| frame.text.len());
        }
    }

    fn after(&self, line: u64) -> Found {
        let first = self.frames.front().map_or(self.last_line + 1, |frame| frame.chunk.first_line);
        if line.saturating_add(1) < first {
            return Found::Behind;
        }
        let from = self.frames.partition_point(|frame| frame.chunk.last_line() <= line);
        if from == self.frames.len() {
            return self.end.clone().map_or(Found::All, Found::End);
        }
        let mut bytes = 0;
        let fits = |frame: &&Frame| {
            let is_first = bytes == 0;
            bytes += frame.text.len();
            is_first || bytes <= TAKEN
        };
        Found::Frames(self.frames.range(from..).take_while(fits).cloned().collect())
    }
}

/// Somebody who reads a log.
pub(crate) struct LogReader {
    state: ServerState,
    job: JobId,
    /// The last line that was taken.
    after: u64,
    channel: Arc<Channel>,
    news: watch::Receiver<()>,
    /// What it draws with by itself, while it is behind.
    own: Option<Painter>,
}

impl LogReader {
    /// Whose log it is.
    pub(crate) fn job(&self) -> &JobId {
        &self.job
    }

    /// What comes next, one frame or more; `None` at the end. Cancel safe: what is not given is given the next time.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the log cannot be read.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Frame>>, Arc<StoreError>> {
        loop {
            // Seen from here on, so that what comes while it looks wakes it.
            self.news.borrow_and_update();
            let found = self.channel.shared.kept().after(self.after);
            match found {
                Found::Frames(frames) => return Ok(Some(self.took(frames))),
                Found::End(end) => return end.map(|()| None),
                Found::All => {
                    self.channel.shared.wanted.notify_one();
                    // It cannot fail, for the channel is held.
                    let _ = self.news.changed().await;
                }
                Found::Behind => {
                    let read = self.state.store().read_log(&self.job, self.after, LOG_BYTES).await?;
                    if read.chunks.is_empty() {
                        // What is sent may not be kept yet.
                        tokio::time::sleep(LOOK).await;
                        continue;
                    }
                    let painter = self.own.get_or_insert_default();
                    let frames = read.chunks.into_iter().map(|chunk| Frame::new(&self.job, painter, chunk)).collect();
                    return Ok(Some(self.passed(frames)));
                }
            }
        }
    }

    /// Takes frames of the channel, of the first one what it does not have yet.
    fn took(&mut self, mut frames: Vec<Frame>) -> Vec<Frame> {
        if let Some(first) = frames.first_mut()
            && first.chunk.first_line <= self.after
            && let Some(rest) = first.chunk.after(self.after)
        {
            *first = Frame::new(&self.job, self.own.get_or_insert_default(), rest);
        }
        self.own = None;
        self.passed(frames)
    }

    fn passed(&mut self, frames: Vec<Frame>) -> Vec<Frame> {
        self.after = frames.last().map_or(self.after, |last| last.chunk.last_line());
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first_line: u64, lines: u32, size: usize) -> Frame {
        let text = "x".repeat(size);
        let chunk = LogChunk {
            first_line,
            lines,
            time: Timestamp::UNIX_EPOCH,
            stream: Stream::Stdout,
            text: text.clone().into(),
        };
        Frame { chunk, text: text.into() }
    }

    fn firsts(found: Found) -> Vec<u64> {
        match found {
            Found::Frames(frames) => frames.iter().map(|frame| frame.chunk.first_line).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_reader_gets_what_it_does_not_have() {
        let mut kept = Kept { last_line: 10, ..Kept::default() };
        assert!(matches!(kept.after(9), Found::Behind), "what was before the channel is read elsewhere");
        assert!(matches!(kept.after(10), Found::All));
        kept.push(frame(11, 2, 10));
        kept.push(frame(13, 1, 10));
        assert_eq!(firsts(kept.after(10)), [11, 13]);
        assert_eq!(firsts(kept.after(11)), [11, 13], "the rest of a frame is cut from it");
        assert_eq!(firsts(kept.after(12)), [13]);
        assert!(matches!(kept.after(13), Found::All));
        assert!(matches!(kept.after(u64::MAX), Found::All));
        kept.end = Some(Ok(()));
        assert_eq!(firsts(kept.after(12)), [13]);
        assert!(matches!(kept.after(13), Found::End(Ok(()))));
    }

    #[test]
    fn what_is_kept_is_bounded_and_so_is_what_is_taken() {
        let mut kept = Kept::default();
        for line in 1..=100 {
            kept.push(frame(line, 1, KEPT / 50));
        }
        assert!(kept.bytes <= KEPT && kept.frames.len() == 50, "{} frames", kept.frames.len());
        assert!(matches!(kept.after(49), Found::Behind));
        let taken = firsts(kept.after(50));
        assert!(!taken.is_empty() && taken.len() <= TAKEN / (KEPT / 50), "{taken:?}");
        kept.push(frame(101, 1, KEPT * 2));
        assert_eq!(firsts(kept.after(100)), [101], "a frame that is larger than all of it is kept alone");
    }
}
