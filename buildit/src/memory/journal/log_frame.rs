//! One append of a log as it lies in a file: its numbers first, then the text, so that a log is looked through
//! without its text being read.

use bytes::Bytes;
use jiff::Timestamp;

use super::frame::{checksum, first8};
use crate::executor::LogCursor;
use crate::job::Stream;
use crate::store::{LogAppend, LogChunk};

/// The length of what every frame begins with.
pub(super) const FIXED: usize = 48;
/// The length of a chunk's numbers.
const CHUNK: usize = 32;
/// The length of the checksum behind all numbers.
const SUM: usize = 8;
const MAGIC: u32 = u32::from_le_bytes(*b"BILF");

/// What a frame begins with: how long it is, and the cursor behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fixed {
    pub(super) chunks: u32,
    pub(super) text_length: u32,
    pub(super) text_sum: u64,
    pub(super) cursor: LogCursor,
}

impl Fixed {
    /// The length of the numbers of all chunks and of their checksum.
    pub(super) fn numbers_length(&self) -> usize {
        self.chunks as usize * CHUNK + SUM
    }

    /// The length of the frame.
    pub(super) fn frame_length(&self) -> u64 {
        (FIXED + self.numbers_length()) as u64 + u64::from(self.text_length)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&MAGIC.to_le_bytes());
        out.extend_from_slice(&self.chunks.to_le_bytes());
        out.extend_from_slice(&self.text_length.to_le_bytes());
        // The lengths have a checksum of their own: a damaged one must not pass for a frame that was cut short.
        let lengths_sum = checksum(&out[start..]);
        out.extend_from_slice(&lengths_sum.to_le_bytes()[..4]);
        for number in [self.text_sum, self.cursor.stdout, self.cursor.stderr, self.cursor.line] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }

    /// `None` when these bytes begin no frame.
    pub(super) fn decode(bytes: &[u8; FIXED]) -> Option<Self> {
        if number32(bytes, 0) != MAGIC || bytes[12..16] != checksum(&bytes[..12]).to_le_bytes()[..4] {
            return None;
        }
        Some(Self {
            chunks: number32(bytes, 4),
            text_length: number32(bytes, 8),
            text_sum: number64(bytes, 16),
            cursor: LogCursor { stdout: number64(bytes, 24), stderr: number64(bytes, 32), line: number64(bytes, 40) },
        })
    }
}

/// The numbers of a frame, and its length; the texts follow them. `None` when the texts are longer than 4 GiB.
pub(super) fn encode(append: &LogAppend<'_>) -> Option<(Vec<u8>, u64)> {
    let mut hasher = blake3::Hasher::new();
    let mut text_length = 0_u32;
    for chunk in append.chunks {
        hasher.update(&chunk.text);
        text_length = text_length.checked_add(u32::try_from(chunk.text.len()).ok()?)?;
    }
    let fixed = Fixed {
        chunks: u32::try_from(append.chunks.len()).ok()?,
        text_length,
        text_sum: first8(hasher.finalize().as_bytes()),
        cursor: append.cursor,
    };
    let mut numbers = Vec::with_capacity(FIXED + fixed.numbers_length());
    fixed.encode(&mut numbers);
    for chunk in append.chunks {
        numbers.extend_from_slice(&chunk.first_line.to_le_bytes());
        numbers.extend_from_slice(&chunk.time.as_second().to_le_bytes());
        numbers.extend_from_slice(&chunk.time.subsec_nanosecond().to_le_bytes());
        numbers.extend_from_slice(&chunk.lines.to_le_bytes());
        numbers.extend_from_slice(&u32::try_from(chunk.text.len()).ok()?.to_le_bytes());
        numbers.extend_from_slice(&(chunk.stream as u32).to_le_bytes());
    }
    let sum = checksum(&numbers);
    numbers.extend_from_slice(&sum.to_le_bytes());
    Some((numbers, fixed.frame_length()))
}

/// A chunk's numbers and the length of its text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    pub(super) first_line: u64,
    lines: u32,
    time: Timestamp,
    stream: Stream,
    text_length: u32,
}

impl Numbers {
    /// The chunk, whose text is taken from the front of `texts`.
    pub(super) fn chunk(self, texts: &mut Bytes) -> Option<LogChunk> {
        let length = self.text_length as usize;
        if length > texts.len() {
            return None;
        }
        let text = texts.split_to(length);
        Some(LogChunk { first_line: self.first_line, lines: self.lines, time: self.time, stream: self.stream, text })
    }
}

/// The numbers of a frame's chunks, read from behind its fixed part; `None` when they are damaged.
pub(super) fn decode_numbers(fixed: &[u8; FIXED], bytes: &[u8]) -> Option<Vec<Numbers>> {
    let (numbers, sum) = bytes.split_at_checked(bytes.len().checked_sub(SUM)?)?;
    let mut all = fixed.to_vec();
    all.extend_from_slice(numbers);
    if checksum(&all).to_le_bytes() != sum {
        return None;
    }
    let chunk = |bytes: &[u8]| {
        let nanos = i32::from_le_bytes(number32(bytes, 16).to_le_bytes());
        let seconds = i64::from_le_bytes(number64(bytes, 8).to_le_bytes());
        Some(Numbers {
            first_line: number64(bytes, 0),
            time: Timestamp::new(seconds, nanos).ok()?,
            lines: number32(bytes, 20),
            text_length: number32(bytes, 24),
            stream: match number32(bytes, 28) {
                0 => Stream::Stdout,
                1 => Stream::Stderr,
                2 => Stream::Command,
                _ => return None,
            },
        })
    };
    numbers.chunks_exact(CHUNK).map(chunk).collect()
}

fn number32(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

fn number64(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}
