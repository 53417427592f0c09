//! The log of a kept result as bytes: each chunk as a line of JSON that says what it is, and then its text.

use std::io;

use bytes::Bytes;
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

/// The chunks of an encoded log.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidData`] when it is none: its lines are not numbered from 1 without gaps, or it breaks off.
pub fn decode_log(mut encoded: Bytes) -> io::Result<Vec<LogChunk>> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "a kept log is damaged");
    let mut chunks: Vec<LogChunk> = Vec::new();
    while !encoded.is_empty() {
        let end = memchr::memchr(b'\n', &encoded).ok_or_else(broken)?;
        let head: Head = serde_json::from_slice(&encoded[..end])?;
        let text = end + 1..(end + 1).checked_add(head.bytes).filter(|end| *end <= encoded.len()).ok_or_else(broken)?;
        let (after, text) = (text.end, encoded.slice(text));
        let next = chunks.last().map_or(1, |chunk| chunk.last_line() + 1);
        if head.first != next || head.lines == 0 || memchr::memchr_iter(b'\n', &text).count() != head.lines as usize {
            return Err(broken());
        }
        chunks.push(LogChunk { first_line: head.first, lines: head.lines, time: head.time, stream: head.stream, text });
        encoded = encoded.slice(after..);
    }
    Ok(chunks)
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
        assert_eq!(decode_log(bytes.clone().into()).unwrap(), chunks);
        assert!(decode_log(Bytes::new()).unwrap().is_empty());
        for cut in 1..bytes.len() {
            let decoded = decode_log(bytes[..cut].to_vec().into());
            assert!(decoded.is_err() || decoded.unwrap() == chunks[..1], "cut at {cut}");
        }
        let mut gap = Vec::new();
        encode_log(&[chunk(2, "a\n")], &mut gap);
        assert!(decode_log(gap.into()).is_err());
    }
}
