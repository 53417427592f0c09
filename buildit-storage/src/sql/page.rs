//! Pages of a log, from the rows that hold it.

use buildit::store::{LogChunk, LogPage, StoreError};

use super::{encode, number};

/// From this many bytes on lines are compressed on a thread of their own.
const LARGE: usize = 32 * 1024;

/// How much text is in a row at most, unless a single chunk has more.
const ROW: usize = 512 * 1024;

/// How often lines are looked for that are elsewhere by the time they are read: logs are moved and removed once.
pub(crate) const TRIES: u32 = 4;

/// How many bytes of text chunks have.
pub(crate) fn text_bytes(chunks: &[LogChunk]) -> usize {
    chunks.iter().map(|chunk| chunk.text.len()).sum()
}

/// Chunks as the bytes of a column; many are compressed aside, so that nobody waits for it.
pub(crate) fn encode_aside(chunks: &[LogChunk]) -> impl Future<Output = Result<Vec<u8>, StoreError>> + Send + use<> {
    // Begun at once, so that several are under way together.
    let encoded = if text_bytes(chunks) < LARGE {
        Ok(encode(chunks))
    } else {
        let chunks = chunks.to_vec();
        Err(tokio::task::spawn_blocking(move || encode(&chunks)))
    };
    async move {
        match encoded {
            Ok(encoded) => encoded,
            Err(aside) => aside.await.map_err(|error| StoreError::backend("zstd", error))?,
        }
    }
}

/// A row of lines.
#[derive(Debug)]
pub(crate) struct LinesRow {
    pub(crate) first_line: i64,
    pub(crate) last_line: i64,
    /// The bytes of the lines that are appended before it, and of its own.
    pub(crate) before: i64,
    pub(crate) bytes: i64,
    pub(crate) data: Vec<u8>,
}

/// Chunks as rows: each is read as a whole, so a large append becomes several.
pub(crate) async fn rows_of(chunks: &[LogChunk]) -> Result<Vec<LinesRow>, StoreError> {
    let mut rows = Vec::new();
    let mut before = 0;
    let mut rest = chunks;
    while let Some(first) = rest.first() {
        let (mut count, mut bytes) = (1, first.text.len());
        while let Some(chunk) = rest.get(count)
            && bytes + chunk.text.len() <= ROW
        {
            (count, bytes) = (count + 1, bytes + chunk.text.len());
        }
        let (own, others) = rest.split_at(count);
        let last_line = own.last().map_or(0, LogChunk::last_line);
        rows.push((number(first.first_line), number(last_line), before, bytes as i64, encode_aside(own)));
        before += bytes as i64;
        rest = others;
    }
    let mut encoded = Vec::with_capacity(rows.len());
    for (first_line, last_line, before, bytes, data) in rows {
        encoded.push(LinesRow { first_line, last_line, before, bytes, data: data.await? });
    }
    Ok(encoded)
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
