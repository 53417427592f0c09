//! The log of one job in its file.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::super::logs::check;
use super::error::{At, NAME, corrupt};
use super::file::{FrameReader, GrowingFile};
use super::frame::checksum;
use super::log_frame::{FIXED, Fixed, Numbers, decode_numbers, encode};
use crate::executor::LogCursor;
use crate::id::StageName;
use crate::store::{LogAppend, LogPage, StoreError};

/// How far apart the places lie that are remembered, in bytes.
const STRIDE: u64 = 256 * 1024;

/// What the file begins with: whose log it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct LogTitle {
    pub(super) stage: StageName,
    pub(super) attempt: u32,
    /// Its place among the logs of the run.
    pub(super) ordinal: u64,
}

/// A log that is open to be read and to grow. It holds no text.
#[derive(Debug)]
pub(super) struct LogFile {
    file: GrowingFile,
    cursor: LogCursor,
    /// The number of the first line of a frame and where the frame begins, one for each [`STRIDE`].
    places: Vec<(u64, u64)>,
}

impl LogFile {
    pub(super) fn create(path: PathBuf, title: &LogTitle) -> Result<Self, StoreError> {
        let payload = serde_json::to_vec(title).map_err(|error| StoreError::backend(NAME, error))?;
        let mut file = GrowingFile::create(path)?;
        if let Err(error) = file.append(&payload) {
            // A log without its title is no log; left behind, it is passed over.
            let _ = std::fs::remove_file(file.path());
            return Err(error);
        }
        Ok(Self { file, cursor: LogCursor::default(), places: Vec::new() })
    }

    /// Whose log this file is; `None` when a crash left not even that whole.
    pub(super) fn title(path: &Path) -> Result<Option<LogTitle>, StoreError> {
        let mut reader = FrameReader::open(path, 0, None)?;
        let Some(payload) = reader.next()? else { return Ok(None) };
        serde_json::from_slice(&payload).map(Some).map_err(|error| reader.damage(error))
    }

    /// Looks the file through and cuts off what a crash left unfinished.
    pub(super) fn load(path: PathBuf) -> Result<Self, StoreError> {
        let mut title = FrameReader::open(&path, 0, None)?;
        title.next()?;
        let mut reader = LogReader::open(&path, title.offset(), None)?;
        let mut places = Vec::new();
        let mut cursor = LogCursor::default();
        loop {
            let place = reader.offset;
            let Some((fixed, numbers)) = reader.numbers()? else { break };
            if !reader.skip_texts(&fixed)? {
                break;
            }
            note(&mut places, &numbers, place);
            cursor = fixed.cursor;
        }
        let file = GrowingFile::recovered(path, reader.offset)?;
        Ok(Self { file, cursor, places })
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    pub(super) fn length(&self) -> u64 {
        self.file.length()
    }

    pub(super) fn cursor(&self) -> LogCursor {
        self.cursor
    }

    /// Appends lines, all or none. They outlive this process at once; the machine may lose those of its last seconds.
    pub(super) fn append(&mut self, append: &LogAppend<'_>) -> Result<(), StoreError> {
        check(append, self.cursor.line)?;
        let (numbers, length) =
            encode(append).ok_or_else(|| StoreError::backend(NAME, "more than 4 GiB cannot be written at once"))?;
        let (place, _) = self.file.append_with(length, |file| {
            // Small texts are put together, large ones go to the file as they are.
            let mut buffer = BufWriter::with_capacity(16 * 1024, file);
            buffer.write_all(&numbers)?;
            append.chunks.iter().try_for_each(|chunk| buffer.write_all(&chunk.text))?;
            buffer.flush()
        })?;
        if let Some(first) = append.chunks.first()
            && self.places.last().is_none_or(|(_, last)| place >= last + STRIDE)
        {
            self.places.push((first.first_line, place));
        }
        self.cursor = append.cursor;
        Ok(())
    }

    /// How to read the lines after number `after`; see [`LogStore::read_log`](crate::store::LogStore::read_log).
    pub(super) fn page(&self, after: u64, max_bytes: usize) -> LogPageReader {
        let before = self.places.partition_point(|(first, _)| *first <= after.saturating_add(1));
        let place = self.places.get(before.saturating_sub(1)).map_or(self.file.length(), |(_, place)| *place);
        let (path, length) = (self.file.path().to_owned(), self.file.length());
        LogPageReader { path, place, length, after, max_bytes, last_line: self.cursor.line }
    }
}

/// Reads lines out of a log's file.
#[derive(Debug)]
pub(in super::super) struct LogPageReader {
    path: PathBuf,
    place: u64,
    length: u64,
    after: u64,
    max_bytes: usize,
    last_line: u64,
}

impl LogPageReader {
    pub(in super::super) fn read(self) -> Result<LogPage, StoreError> {
        let mut page = LogPage { chunks: Vec::new(), last_line: self.last_line };
        if self.after >= self.last_line {
            return Ok(page);
        }
        let mut reader = LogReader::open(&self.path, self.place, Some(self.length))?;
        let mut bytes = 0;
        while let Some((fixed, numbers)) = reader.numbers()? {
            if fixed.cursor.line <= self.after {
                reader.skip_texts(&fixed)?;
                continue;
            }
            let mut texts = reader.texts(&fixed)?;
            for chunk in numbers {
                let chunk = chunk.chunk(&mut texts).ok_or_else(|| reader.damage("a chunk is too long"))?;
                if let Some(chunk) = chunk.after(self.after) {
                    if bytes > 0 && bytes >= self.max_bytes {
                        return Ok(page);
                    }
                    bytes += chunk.text.len();
                    page.chunks.push(chunk);
                }
            }
            if bytes > 0 && bytes >= self.max_bytes {
                break;
            }
        }
        Ok(page)
    }
}

fn note(places: &mut Vec<(u64, u64)>, numbers: &[Numbers], place: u64) {
    if let Some(first) = numbers.first()
        && places.last().is_none_or(|(_, last)| place >= last + STRIDE)
    {
        places.push((first.first_line, place));
    }
}

/// Reads the frames of a log.
struct LogReader {
    path: PathBuf,
    file: BufReader<File>,
    /// Where the next frame begins.
    offset: u64,
    length: u64,
}

impl LogReader {
    fn open(path: &Path, offset: u64, length: Option<u64>) -> Result<Self, StoreError> {
        let mut file = File::open(path).at("open", path)?;
        let actual = file.metadata().at("look at", path)?.len();
        file.seek(SeekFrom::Start(offset)).at("read", path)?;
        let file = BufReader::with_capacity(16 * 1024, file);
        Ok(Self { path: path.to_owned(), file, offset, length: length.unwrap_or(actual) })
    }

    /// The numbers of the next frame; `None` at the end and before what a crash left unfinished there. Its texts
    /// are to be read or skipped next.
    fn numbers(&mut self) -> Result<Option<(Fixed, Vec<Numbers>)>, StoreError> {
        let left = self.length.saturating_sub(self.offset);
        if left < FIXED as u64 {
            return Ok(None);
        }
        let mut bytes = [0; FIXED];
        self.file.read_exact(&mut bytes).at("read", &self.path)?;
        let Some(fixed) = Fixed::decode(&bytes) else {
            // A crash of the machine may leave a file that is longer than what was written to it.
            return if bytes == [0; FIXED] { Ok(None) } else { Err(self.damage("no frame")) };
        };
        if fixed.frame_length() > left {
            return Ok(None);
        }
        let mut numbers = vec![0; fixed.numbers_length()];
        self.file.read_exact(&mut numbers).at("read", &self.path)?;
        match decode_numbers(&bytes, &numbers) {
            Some(numbers) => Ok(Some((fixed, numbers))),
            None if fixed.frame_length() == left && numbers.ends_with(&[0; 8]) => Ok(None),
            None => Err(self.damage("the checksum is wrong")),
        }
    }

    /// Passes over the texts of the frame; `false` when it is the last and they were not written to their end.
    fn skip_texts(&mut self, fixed: &Fixed) -> Result<bool, StoreError> {
        if self.offset + fixed.frame_length() == self.length {
            return match self.texts(fixed) {
                Ok(_) => Ok(true),
                Err(StoreError::Corrupt(_)) => Ok(false),
                Err(error) => Err(error),
            };
        }
        self.file.seek_relative(i64::from(fixed.text_length)).at("read", &self.path)?;
        self.offset += fixed.frame_length();
        Ok(true)
    }

    fn texts(&mut self, fixed: &Fixed) -> Result<Bytes, StoreError> {
        let mut texts = vec![0; fixed.text_length as usize];
        self.file.read_exact(&mut texts).at("read", &self.path)?;
        if checksum(&texts) != fixed.text_sum {
            return Err(self.damage("the checksum of the text is wrong"));
        }
        self.offset += fixed.frame_length();
        Ok(texts.into())
    }

    fn damage(&self, what: &str) -> StoreError {
        corrupt(&self.path, self.offset, what)
    }
}
