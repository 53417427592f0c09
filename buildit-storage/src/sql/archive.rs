//! Logs as blobs: the lines of one job in frames, one behind the other, each of which can be read by itself.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use buildit::artifact::{BlobError, BlobStore};
use buildit::id::{Digest, JobId};
use buildit::store::{LogChunk, LogStore, StoreError};
use bytes::Bytes;
use futures_util::stream;

use super::frame::{decode, sum};
use super::page::{PageReader, encode_aside};
use super::words::count;

/// How much text is in a frame: what a reader looks at first, so that the rest of a long log costs it nothing.
const FRAME: usize = 64 * 1024;

/// How large the parts of a frame are at most, so that it is filled.
const PART: usize = 8 * 1024;

/// How much of a log is read at once.
const PAGE: usize = 1024 * 1024;

/// Where some lines are in a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) last_line: u64,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    /// The bytes of its text.
    pub(crate) bytes: u64,
    pub(crate) sum: i64,
}

/// A frame as a row: its last line, its place and length, the bytes of its text, its checksum.
pub(crate) type FrameRow = (i64, i64, i64, i64, i64);

/// Frames out of their rows.
pub(crate) fn frames(rows: &[FrameRow]) -> Result<Vec<Frame>, StoreError> {
    let frame = |&(last_line, offset, length, bytes, sum): &FrameRow| {
        Ok(Frame {
            last_line: count(last_line)?,
            offset: count(offset)?,
            length: count(length)?,
            bytes: count(bytes)?,
            sum,
        })
    };
    rows.iter().map(frame).collect()
}

/// Where the blob of this address is to be read, by the words of a row.
pub(crate) fn archived<'a>(
    blobs: Option<&'a Arc<dyn BlobStore>>,
    digest: &str,
) -> Result<(&'a dyn BlobStore, Digest), StoreError> {
    let digest = digest.parse().map_err(|_| StoreError::Corrupt(format!("`{digest}` is no digest")))?;
    let missing = || StoreError::backend("blobs", "the log is in a blob store, and this store was opened without one");
    Ok((&**blobs.ok_or_else(missing)?, digest))
}

/// Keeps the lines of a log as a blob, and tells where in it they are.
pub(crate) async fn archive<S: LogStore + Clone>(
    store: &S,
    blobs: &dyn BlobStore,
    job: &JobId,
) -> Result<(Digest, Vec<Frame>), StoreError> {
    let frames = Arc::new(Mutex::new(Vec::new()));
    let framer = Framer {
        store: store.clone(),
        job: job.clone(),
        after: 0,
        read: VecDeque::new(),
        offset: 0,
        frames: Arc::clone(&frames),
    };
    let content = stream::try_unfold(framer, |mut framer| async move {
        let frame = framer.next().await.map_err(|error| BlobError::Backend { name: "log", source: error.into() })?;
        Ok(frame.map(|frame| (frame, framer)))
    });
    let (digest, _) = blobs.put(Box::pin(content)).await.map_err(failed)?;
    let frames = std::mem::take(&mut *frames.lock().unwrap_or_else(PoisonError::into_inner));
    Ok((digest, frames))
}

/// Reads the first of these frames, which follow each other in the blob, until the page is full. How many were read.
pub(crate) async fn read_frames(
    blobs: &dyn BlobStore,
    digest: &Digest,
    frames: &[Frame],
    page: &mut PageReader,
) -> Result<usize, StoreError> {
    let mut room = page.room() as u64;
    let wanted = frames.iter().take_while(|frame| {
        let more = room > 0;
        room = room.saturating_sub(frame.bytes);
        more
    });
    let wanted = &frames[..wanted.count()];
    let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else { return Ok(0) };
    let range = first.offset..last.offset + last.length;
    let mut content = blobs.read_range(digest, range).await.map_err(failed)?;
    for frame in wanted {
        let corrupt = || StoreError::Corrupt(format!("blob {digest}, an archived log, is not what was stored"));
        let length = usize::try_from(frame.length).unwrap_or(usize::MAX);
        if content.len() < length {
            return Err(corrupt());
        }
        let data = content.split_to(length);
        if sum(&data) != Some(frame.sum) {
            return Err(corrupt());
        }
        page.add(decode(&data)?);
    }
    Ok(wanted.len())
}

/// Whether it is one log that cannot be read, and not the store that fails.
pub(crate) fn is_damaged(error: &StoreError) -> bool {
    matches!(error, StoreError::Corrupt(_) | StoreError::Newer { .. } | StoreError::LogRemoved(_))
}

/// What went wrong with a blob; an error of the log itself comes back as it was.
fn failed(error: BlobError) -> StoreError {
    match error {
        BlobError::Backend { source, name } => match source.downcast() {
            Ok(error) => *error,
            Err(source) => StoreError::Backend { name, source },
        },
        BlobError::Corrupt(digest) => StoreError::Corrupt(format!("blob {digest}, an archived log")),
        error => StoreError::backend("blobs", error),
    }
}

/// Makes frames of the lines of a log.
struct Framer<S> {
    store: S,
    job: JobId,
    /// The last line that was read.
    after: u64,
    read: VecDeque<LogChunk>,
    offset: u64,
    frames: Arc<Mutex<Vec<Frame>>>,
}

impl<S: LogStore> Framer<S> {
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        let mut chunks = Vec::new();
        let mut bytes = 0;
        while let Some(chunk) = self.peek().await? {
            if bytes > 0 && bytes + chunk.text.len() > FRAME {
                break;
            }
            bytes += chunk.text.len();
            chunks.extend(self.read.pop_front());
        }
        let Some(last) = chunks.last() else { return Ok(None) };
        let last_line = last.last_line();
        let data = encode_aside(&chunks).await?;
        let sum = sum(&data).unwrap_or_default();
        let length = data.len() as u64;
        let frame = Frame { last_line, offset: self.offset, length, bytes: bytes as u64, sum };
        self.frames.lock().unwrap_or_else(PoisonError::into_inner).push(frame);
        self.offset += length;
        Ok(Some(data.into()))
    }

    async fn peek(&mut self) -> Result<Option<&LogChunk>, StoreError> {
        if self.read.is_empty() {
            let page = self.store.read_log(&self.job, self.after, PAGE).await?;
            self.after = page.chunks.last().map_or(self.after, LogChunk::last_line);
            self.read.extend(page.chunks.into_iter().flat_map(|chunk| chunk.parts(PART)));
        }
        Ok(self.read.front())
    }
}
