//! A file that only grows.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{At, NAME, corrupt};
use super::folder;
use super::frame::{HEAD, Head, checksum, frame};
use crate::store::StoreError;

/// A file that grows by frames. It is opened for each write: a thousand runs that wait hold no descriptor.
#[derive(Debug)]
pub(super) struct GrowingFile {
    path: PathBuf,
    /// The length up to which it is whole.
    length: u64,
    condition: Condition,
}

/// What is behind the whole part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    /// Nothing.
    Whole,
    /// What a write left that failed.
    Torn,
    /// Syncing failed like this: nobody can tell what the disk holds.
    Unknown(String),
}

impl GrowingFile {
    /// Makes the file; there must be none.
    pub(super) fn create(path: PathBuf) -> Result<Self, StoreError> {
        folder::private_file().write(true).create_new(true).open(&path).at("create", &path)?;
        Ok(Self { path, length: 0, condition: Condition::Whole })
    }

    /// The file that was read and found whole up to `length`; what is behind is cut off.
    pub(super) fn recovered(path: PathBuf, length: u64) -> Result<Self, StoreError> {
        let actual = std::fs::metadata(&path).at("look at", &path)?.len();
        let condition = if actual > length { Condition::Torn } else { Condition::Whole };
        let mut file = Self { path, length, condition };
        file.open_to_append()?;
        Ok(file)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Appends one frame and says where it begins; the file is given back to be synced. After an error the file is
    /// as it was.
    pub(super) fn append(&mut self, payload: &[u8]) -> Result<(u64, Arc<File>), StoreError> {
        let bytes =
            frame(payload).ok_or_else(|| StoreError::backend(NAME, "more than 4 GiB cannot be written at once"))?;
        self.append_with(bytes.len() as u64, |file| file.write_all(&bytes))
    }

    /// Appends `length` bytes, which `write` writes.
    pub(super) fn append_with(
        &mut self,
        length: u64,
        write: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<(u64, Arc<File>), StoreError> {
        let mut file = self.open_to_append()?;
        let start = self.length;
        if let Err(error) = write(&mut file) {
            self.condition = Condition::Torn;
            // Tried at once, since the disk may be full; a failure is tried again before the next write.
            let _ = self.cut_off(&file);
            return Err(error).at("write", &self.path);
        }
        self.length += length;
        Ok((start, Arc::new(file)))
    }

    /// Says that the file could not be synced, and why: it takes no more writes.
    pub(super) fn sync_failed(&mut self, error: &io::Error) {
        self.condition = Condition::Unknown(error.to_string());
    }

    /// Whether the file still takes writes.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let Condition::Unknown(error) = &self.condition else { return Ok(()) };
        let path = self.path.display();
        let message = format!("{path} could not be synced earlier ({error}): open the store again");
        Err(StoreError::backend(NAME, message))
    }

    fn open_to_append(&mut self) -> Result<File, StoreError> {
        self.check()?;
        let file = std::fs::OpenOptions::new().append(true).open(&self.path).at("open", &self.path)?;
        if self.condition == Condition::Torn {
            self.cut_off(&file).at("cut off what is unfinished of", &self.path)?;
        }
        Ok(file)
    }

    fn cut_off(&mut self, file: &File) -> io::Result<()> {
        file.set_len(self.length)?;
        self.condition = Condition::Whole;
        Ok(())
    }
}

/// Reads the frames of a file.
#[derive(Debug)]
pub(super) struct FrameReader {
    path: PathBuf,
    file: BufReader<File>,
    offset: u64,
    length: u64,
}

impl FrameReader {
    /// Reads from `offset`, where a frame begins, up to `length` or the end of the file.
    pub(super) fn open(path: &Path, offset: u64, length: Option<u64>) -> Result<Self, StoreError> {
        let mut file = File::open(path).at("open", path)?;
        let actual = file.metadata().at("look at", path)?.len();
        file.seek(SeekFrom::Start(offset)).at("read", path)?;
        let length = length.unwrap_or(actual);
        Ok(Self { path: path.to_owned(), file: BufReader::with_capacity(64 * 1024, file), offset, length })
    }

    /// Where the next frame begins: behind the last whole one.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next frame; `None` at the end and before what a crash left unfinished there.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        let left = self.length.saturating_sub(self.offset);
        if left < HEAD as u64 {
            return Ok(None);
        }
        let mut head = [0; HEAD];
        self.file.read_exact(&mut head).at("read", &self.path)?;
        let Some(head) = Head::decode(&head) else {
            // A crash of the machine may leave a file that is longer than what was written to it.
            return if head == [0; HEAD] && self.rest_is_zero()? { Ok(None) } else { Err(self.damage("no frame")) };
        };
        let end = HEAD as u64 + u64::from(head.length);
        if end > left {
            return Ok(None);
        }
        let mut payload = vec![0; head.length as usize];
        self.file.read_exact(&mut payload).at("read", &self.path)?;
        if checksum(&payload) != head.checksum {
            // No payload ends with a zero, so this one was not written to its end.
            let is_unfinished = end == left && payload.ends_with(&[0]);
            return if is_unfinished { Ok(None) } else { Err(self.damage("the checksum is wrong")) };
        }
        self.offset += end;
        Ok(Some(payload))
    }

    pub(super) fn damage(&self, what: impl std::fmt::Display) -> StoreError {
        corrupt(&self.path, self.offset, what)
    }

    fn rest_is_zero(&mut self) -> Result<bool, StoreError> {
        let mut buffer = [0; 4096];
        loop {
            match self.file.read(&mut buffer).at("read", &self.path)? {
                0 => return Ok(true),
                count if buffer[..count].iter().any(|&byte| byte != 0) => return Ok(false),
                _ => {}
            }
        }
    }
}
