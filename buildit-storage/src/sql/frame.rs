//! Lines of a log as the bytes of a column: compressed with zstd, and shown by a checksum to be whole.
//!
//! ```text
//! 0x01, BLAKE3 of the rest (8 bytes), zstd frame of the chunks, one after the other:
//!     first line (u64), lines (u32), stream (u8), seconds (i64), nanoseconds (i32), bytes (u32), text
//! ```
//!
//! Numbers are little-endian.

use std::cell::RefCell;
use std::io;

use buildit::job::Stream;
use buildit::store::{LogChunk, StoreError};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use jiff::Timestamp;
use zstd::bulk::{Compressor, Decompressor};

/// The number of this form.
const FORM: u8 = 1;
/// Bytes before the compressed part.
const HEAD: usize = 9;
/// Bytes of a chunk before its text.
const CHUNK_HEAD: usize = 29;
/// What text compresses well enough with, and at hundreds of MiB a second.
const LEVEL: i32 = 1;

/// Chunks as bytes.
pub(crate) fn encode(chunks: &[LogChunk]) -> Result<Vec<u8>, StoreError> {
    let size: usize = chunks.iter().map(|chunk| CHUNK_HEAD + chunk.text.len()).sum();
    let mut plain = BytesMut::with_capacity(size);
    for chunk in chunks {
        plain.put_u64_le(chunk.first_line);
        plain.put_u32_le(chunk.lines);
        plain.put_u8(match chunk.stream {
            Stream::Stdout => 1,
            Stream::Stderr => 2,
            Stream::Command => 3,
        });
        plain.put_i64_le(chunk.time.as_second());
        plain.put_i32_le(chunk.time.subsec_nanosecond());
        let length = u32::try_from(chunk.text.len());
        plain.put_u32_le(length.map_err(|_| StoreError::Corrupt("a chunk of more than 4 GiB".into()))?);
        plain.put_slice(&chunk.text);
    }
    let mut bytes = vec![FORM; HEAD + zstd::zstd_safe::compress_bound(plain.len())];
    let length = compress(&plain, &mut bytes[HEAD..]).map_err(|error| StoreError::backend("zstd", error))?;
    bytes.truncate(HEAD + length);
    let sum = checksum(&bytes[HEAD..]);
    bytes[1..HEAD].copy_from_slice(&sum);
    Ok(bytes)
}

/// The chunks in these bytes.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<LogChunk>, StoreError> {
    let corrupt = |what: &str| StoreError::Corrupt(format!("a part of a log {what}"));
    match bytes.split_at_checked(HEAD) {
        Some(([FORM, sum @ ..], rest)) if *sum == checksum(rest) => {}
        Some(([form, ..], _)) if *form > FORM => {
            return Err(StoreError::Newer { found: u32::from(*form), supported: u32::from(FORM) });
        }
        _ => return Err(corrupt("is not what was written")),
    }
    let plain = decompress(&bytes[HEAD..]).map_err(|error| corrupt(&error.to_string()))?;
    let mut plain = Bytes::from(plain);
    let mut chunks = Vec::new();
    while !plain.is_empty() {
        if plain.len() < CHUNK_HEAD {
            return Err(corrupt("is cut off"));
        }
        let (first_line, lines) = (plain.get_u64_le(), plain.get_u32_le());
        let stream = match plain.get_u8() {
            1 => Stream::Stdout,
            2 => Stream::Stderr,
            3 => Stream::Command,
            _ => return Err(corrupt("is of no stream")),
        };
        let time = Timestamp::new(plain.get_i64_le(), plain.get_i32_le()).map_err(|_| corrupt("has no time"))?;
        let length = plain.get_u32_le() as usize;
        if plain.len() < length {
            return Err(corrupt("is cut off"));
        }
        chunks.push(LogChunk { first_line, lines, time, stream, text: plain.split_to(length) });
    }
    Ok(chunks)
}

thread_local! {
    /// What compresses is megabytes of tables: too much to make for each frame.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

fn compress(plain: &[u8], to: &mut [u8]) -> io::Result<usize> {
    COMPRESSOR.with_borrow_mut(|kept| {
        let compressor = match kept {
            Some(compressor) => compressor,
            None => kept.insert(Compressor::new(LEVEL)?),
        };
        compressor.compress_to_buffer(plain, to)
    })
}

fn decompress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let length = zstd::zstd_safe::get_frame_content_size(bytes).ok().flatten();
    let Some(length) = length.and_then(|length| usize::try_from(length).ok()) else {
        // The first version did not write it.
        return zstd::stream::decode_all(bytes);
    };
    DECOMPRESSOR.with_borrow_mut(|kept| {
        let decompressor = match kept {
            Some(decompressor) => decompressor,
            None => kept.insert(Decompressor::new()?),
        };
        decompressor.decompress(bytes, length)
    })
}

/// The checksum that is in these bytes.
pub(crate) fn sum(bytes: &[u8]) -> Option<i64> {
    bytes.get(1..HEAD).and_then(|sum| sum.try_into().ok()).map(i64::from_le_bytes)
}

fn checksum(bytes: &[u8]) -> [u8; 8] {
    let mut sum = [0; 8];
    sum.copy_from_slice(&blake3::hash(bytes).as_bytes()[..8]);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks() -> Vec<LogChunk> {
        let time = Timestamp::constant(1_767_225_600, 123_456_789);
        let chunk = |first_line, lines, stream, text: &'static str| LogChunk {
            first_line,
            lines,
            time,
            stream,
            text: text.into(),
        };
        vec![
            chunk(1, 2, Stream::Stdout, "a\n\u{fc}\r\n"),
            chunk(3, 1, Stream::Stderr, "\n"),
            chunk(4, 1, Stream::Command, "$ make\n"),
        ]
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(decode(&encode(&chunks()).unwrap()).unwrap(), chunks());
        assert_eq!(decode(&encode(&[]).unwrap()).unwrap(), []);
    }

    #[test]
    fn what_was_written_without_its_length_is_read() {
        let bytes = encode(&chunks()).unwrap();
        let plain = decompress(&bytes[HEAD..]).unwrap();
        let mut streamed = vec![FORM; HEAD];
        zstd::stream::copy_encode(&*plain, &mut streamed, LEVEL).unwrap();
        let sum = checksum(&streamed[HEAD..]);
        streamed[1..HEAD].copy_from_slice(&sum);
        assert_eq!(decode(&streamed).unwrap(), chunks());
    }

    #[test]
    fn no_changed_byte_is_read() {
        let bytes = encode(&chunks()).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x40;
            assert!(decode(&changed).is_err(), "byte {at}");
            assert!(matches!(decode(&bytes[..at]), Err(StoreError::Corrupt(_))), "cut at {at}");
        }
    }
}
