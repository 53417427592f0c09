//! Pages of a log, from the rows that hold it.

use buildit::store::{LogChunk, LogPage, StoreError};

use super::encode;

/// From this many bytes on lines are compressed on a thread of their own.
const LARGE: usize = 32 * 1024;

/// How often lines are looked for that are elsewhere by the time they are read: logs are moved and removed once.
pub(crate) const TRIES: u32 = 4;

/// How many bytes of text chunks have.
pub(crate) fn text_bytes(chunks: &[LogChunk]) -> usize {
    chunks.iter().map(|chunk| chunk.text.len()).sum()
}

/// Chunks as the bytes of a column; many are compressed aside, so that nobody waits for it.
pub(crate) async fn encode_aside(chunks: &[LogChunk]) -> Result<Vec<u8>, StoreError> {
    if text_bytes(chunks) < LARGE {
        return encode(chunks);
    }
    let chunks = chunks.to_vec();
    let encoded = tokio::task::spawn_blocking(move || encode(&chunks)).await;
    encoded.map_err(|error| StoreError::backend("zstd", error))?
}

/// A page that is being read.
#[derive(Debug)]
pub(crate) struct PageReader {
    page: LogPage,
    after: u64,
    bytes: usize,
    max_bytes: usize,
}

impl PageReader {
    /// A page of the lines after number `after` of a log that ends at `last_line`.
    pub(crate) fn new(last_line: u64, after: u64, max_bytes: usize) -> Self {
        Self { page: LogPage { chunks: Vec::new(), last_line }, after, bytes: 0, max_bytes }
    }

    /// Whether it has all that it may have.
    pub(crate) fn is_full(&self) -> bool {
        !self.page.chunks.is_empty() && self.bytes >= self.max_bytes
    }

    /// How many bytes it may still have.
    pub(crate) fn room(&self) -> usize {
        if self.is_full() { 0 } else { self.max_bytes.saturating_sub(self.bytes).max(1) }
    }

    /// Whether it lacks lines that the log had when its end was looked at: they have moved since.
    pub(crate) fn is_outrun(&self) -> bool {
        self.page.chunks.is_empty() && self.after < self.page.last_line
    }

    /// Adds what it may have of the next lines.
    pub(crate) fn add(&mut self, chunks: Vec<LogChunk>) {
        for chunk in chunks {
            if self.is_full() {
                break;
            }
            if let Some(chunk) = chunk.after(self.after) {
                self.bytes += chunk.text.len();
                self.page.chunks.push(chunk);
            }
        }
    }

    /// The page.
    pub(crate) fn finish(self) -> LogPage {
        self.page
    }
}
