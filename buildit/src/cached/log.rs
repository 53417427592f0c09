//! The log of a kept result as bytes: each chunk as a line of JSON that says what it is, and then its text.

use std::io;

use bytes::BytesMut;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::job::Stream;
use crate::store::LogChunk;

#[derive(Serialize, Deserialize)]
struct Head {
    first: u64,
    lines: u32,
    time: Timestamp,
    stream: Stream,
    bytes: usize,
}

/// Adds chunks of a log to `out`.
pub fn encode_log(chunks: &[LogChunk], out: &mut Vec<u8>) {
    for chunk in chunks {
        let LogChunk { first_line, lines, time, stream, text } = chunk;
        let head = Head { first: *first_line, lines: *lines, time: *time, stream: *stream, bytes: text.len() };
        // Numbers, a time and a word always serialize.
        out.extend(serde_json::to_vec(&head).unwrap_or_default());
        out.push(b'\n');
        out.extend_from_slice(text);
    }
}

/// Reads an encoded log that comes in pieces.
#[derive(Debug, Default)]
pub struct LogDecoder {
    bytes: BytesMut,
    last_line: u64,
}

impl LogDecoder {
    /// Takes the next piece and gives the chunks that are whole by now.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidData`] when it is no log: lines that are not numbered from 1 without gaps.
    pub fn read(&mut self, piece: &[u8]) -> io::Result<Vec<LogChunk>> {
        self.bytes.extend_from_slice(piece);
        let mut chunks = Vec::new();
        while let Some(end) = memchr::memchr(b'\n', &self.bytes) {
            let Head { first, lines, time, stream, bytes } = serde_json::from_slice(&self.bytes[..end])?;
            let whole = (end + 1).checked_add(bytes).ok_or_else(broken)?;
            if whole > self.bytes.len() {
                break;
            }
            let text = self.bytes.split_to(whole).freeze().slice(end + 1..);
            let is_whole = text.is_empty() || text.ends_with(b"\n");
            let counted = memchr::memchr_iter(b'\n', &text).count();
            if first != self.last_line + 1 || lines == 0 || counted != lines as usize || !is_whole {
                return Err(broken());
            }
            self.last_line += u64::from(lines);
            chunks.push(LogChunk { first_line: first, lines, time, stream, text });
        }
        Ok(chunks)
    }

    /// There is no further piece.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidData`] when the log breaks off.
    pub fn end(self) -> io::Result<()> {
        if self.bytes.is_empty() { Ok(()) } else { Err(broken()) }
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a kept log is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(first_line: u64, text: &'static str) -> LogChunk {
        let lines = text.matches('\n').count() as u32;
        LogChunk { first_line, lines, time: Timestamp::UNIX_EPOCH, stream: Stream::Stdout, text: text.into() }
    }

    #[test]
    fn a_log_comes_back_as_it_was_and_a_damaged_one_is_refused() {
        let chunks = [chunk(1, "a\r\n{\"b\":1}\n"), chunk(3, "c\n")];
        let mut bytes = Vec::new();
        encode_log(&chunks, &mut bytes);
        assert_eq!(decoded(&bytes, bytes.len()).unwrap(), chunks);
        assert_eq!(decoded(&bytes, 3).unwrap(), chunks);
        assert!(decoded(b"", 1).unwrap().is_empty());
        for cut in 1..bytes.len() {
            let decoded = decoded(&bytes[..cut], 7);
            assert!(decoded.is_err() || decoded.unwrap() == chunks[..1], "cut at {cut}");
        }
        let mut gap = Vec::new();
        encode_log(&[chunk(2, "a\n")], &mut gap);
        assert!(decoded(&gap, 100).is_err());
    }

    fn decoded(bytes: &[u8], piece: usize) -> io::Result<Vec<LogChunk>> {
        let mut decoder = LogDecoder::default();
        let mut chunks = Vec::new();
        for piece in bytes.chunks(piece) {
            chunks.extend(decoder.read(piece)?);
        }
        decoder.end().map(|()| chunks)
    }
}
