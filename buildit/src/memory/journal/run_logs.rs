//! The logs of one run in their folder.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::change_file::framed;
use super::error::At;
use super::file::FrameReader;
use super::folder;
use super::log_file::{LogFile, LogPageReader, LogTitle};
use crate::executor::LogCursor;
use crate::id::{JobId, RunId, StageName};
use crate::store::{LogAppend, StoreError};

/// The logs of one run, in the order of their first lines. What is in the folder is looked at when it is first asked
/// for, and each log when it is.
#[derive(Debug)]
pub(in super::super) struct FileLogs {
    folder: PathBuf,
    logs: Option<IndexMap<(StageName, u32), Log>>,
}

#[derive(Debug)]
enum Log {
    Unread(PathBuf),
    Open(LogFile),
    /// Its lines were removed; this is where it ended.
    Removed(LogCursor),
}

/// What stands in the place of a log that was removed: the second frame of its file, behind the title.
#[derive(Serialize, Deserialize)]
struct Stone {
    stdout: u64,
    stderr: u64,
    line: u64,
}

/// What the name of such a file ends with.
const STONE: &str = "removed";

impl FileLogs {
    /// The logs in this folder, which need not be there yet. `is_new`: there are certainly none.
    pub(in super::super) fn new(folder: PathBuf, is_new: IsNew) -> Self {
        Self { folder, logs: (is_new == IsNew::Yes).then(IndexMap::new) }
    }

    pub(in super::super) fn append(&mut self, append: &LogAppend<'_>) -> Result<(), StoreError> {
        match self.log(append.job)? {
            Some(Log::Open(log)) => return log.append(append),
            Some(Log::Removed(_)) => return Err(removed(append.job)),
            Some(Log::Unread(_)) | None => {}
        }
        super::super::logs::check(append, 0)?;
        folder::make(&self.folder)?;
        let path = self.folder.join(file_name(append.job));
        // A file of this name without a title is what an earlier process left unfinished.
        let _ = std::fs::remove_file(&path);
        let logs = self.logs()?;
        let ordinal = logs.len() as u64;
        let title = LogTitle { stage: append.job.stage.clone(), attempt: append.job.attempt, ordinal };
        let mut log = LogFile::create(path.clone(), &title)?;
        if let Err(error) = log.append(append) {
            // There is no log until it has a line.
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        logs.insert((title.stage, title.attempt), Log::Open(log));
        Ok(())
    }

    pub(in super::super) fn cursor(&mut self, job: &JobId) -> Result<LogCursor, StoreError> {
        Ok(match self.log(job)? {
            Some(Log::Open(log)) => log.cursor(),
            Some(Log::Removed(cursor)) => *cursor,
            Some(Log::Unread(_)) | None => LogCursor::default(),
        })
    }

    /// How to read lines of a log; `None` when there is none.
    pub(in super::super) fn page(
        &mut self,
        job: &JobId,
        after: u64,
        max_bytes: usize,
    ) -> Result<Option<LogPageReader>, StoreError> {
        match self.log(job)? {
            Some(Log::Open(log)) => Ok(Some(log.page(after, max_bytes))),
            Some(Log::Removed(_)) => Err(removed(job)),
            Some(Log::Unread(_)) | None => Ok(None),
        }
    }

    pub(in super::super) fn jobs(&mut self, run: RunId) -> Result<Vec<JobId>, StoreError> {
        let jobs = self.logs()?.keys();
        Ok(jobs.map(|(stage, attempt)| JobId { run, stage: stage.clone(), attempt: *attempt }).collect())
    }

    /// Forgets what can be read again.
    pub(in super::super) fn forget(&mut self) {
        self.logs = None;
    }

    /// The bytes of the text of all logs, about; `None` when none is there.
    pub(in super::super) fn bytes(&mut self) -> Result<Option<u64>, StoreError> {
        let mut bytes = None;
        for log in self.logs()?.values_mut() {
            let length = match log {
                Log::Unread(path) if is_stone(path) => continue,
                Log::Unread(path) => std::fs::metadata(&*path).at("look at", path)?.len(),
                Log::Open(log) => log.length(),
                Log::Removed(_) => continue,
            };
            *bytes.get_or_insert(0) += length;
        }
        Ok(bytes)
    }

    /// Removes all lines. What stands in their place is there first. A log that is damaged stays and is told of in the
    /// end.
    pub(in super::super) fn remove(&mut self) -> Result<(), StoreError> {
        let logs = self.logs()?;
        let mut damage = None;
        for (ordinal, ((stage, attempt), log)) in logs.iter_mut().enumerate() {
            match log.load() {
                Err(error @ StoreError::Corrupt(_)) => {
                    damage.get_or_insert(error);
                    continue;
                }
                loaded => loaded?,
            }
            let Log::Open(open) = log else { continue };
            let title = LogTitle { stage: stage.clone(), attempt: *attempt, ordinal: ordinal as u64 };
            let (path, cursor) = (open.path().to_owned(), open.cursor());
            let LogCursor { stdout, stderr, line } = cursor;
            let content = [framed(&title)?, framed(&Stone { stdout, stderr, line })?].concat();
            folder::write_whole(&path.with_extension(STONE), &content)?;
            std::fs::remove_file(&path).at("remove", &path)?;
            *log = Log::Removed(cursor);
        }
        damage.map_or(Ok(()), Err)
    }

    fn log(&mut self, job: &JobId) -> Result<Option<&mut Log>, StoreError> {
        let Some(log) = self.logs()?.get_mut(&(job.stage.clone(), job.attempt)) else { return Ok(None) };
        log.load()?;
        Ok(Some(log))
    }

    fn logs(&mut self) -> Result<&mut IndexMap<(StageName, u32), Log>, StoreError> {
        let logs = match self.logs.take() {
            Some(logs) => logs,
            None => self.list()?,
        };
        Ok(self.logs.insert(logs))
    }

    fn list(&self) -> Result<IndexMap<(StageName, u32), Log>, StoreError> {
        let mut found = Vec::new();
        let entries = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(IndexMap::new()),
            entries => entries.at("read", &self.folder)?,
        };
        for entry in entries {
            let path = entry.at("read", &self.folder)?.path();
            if path.extension().is_some_and(|end| end == "new") {
                continue;
            }
            if let Some(title) = LogFile::title(&path)? {
                found.push((title, path));
            }
        }
        // Of a log whose removal was broken off, what stands in its place comes last and counts.
        found.sort_by_key(|(title, path)| (title.ordinal, is_stone(path)));
        for (_, path) in found.iter().filter(|(_, path)| is_stone(path)) {
            let _ = std::fs::remove_file(path.with_extension(""));
        }
        Ok(found.into_iter().map(|(title, path)| ((title.stage, title.attempt), Log::Unread(path))).collect())
    }
}

impl Log {
    /// Looks at its file, if nobody did.
    fn load(&mut self) -> Result<(), StoreError> {
        let Self::Unread(path) = self else { return Ok(()) };
        *self = if is_stone(path) { Self::Removed(stone(path)?) } else { Self::Open(LogFile::load(path.clone())?) };
        Ok(())
    }
}

fn is_stone(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == STONE)
}

fn stone(path: &Path) -> Result<LogCursor, StoreError> {
    let mut reader = FrameReader::open(path, 0, None)?;
    reader.next()?;
    let payload = reader.next()?.ok_or_else(|| reader.damage("it is cut off"))?;
    let Stone { stdout, stderr, line } = serde_json::from_slice(&payload).map_err(|error| reader.damage(error))?;
    Ok(LogCursor { stdout, stderr, line })
}

fn removed(job: &JobId) -> StoreError {
    StoreError::LogRemoved(Box::new(job.clone()))
}

/// Whether a run was made just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum IsNew {
    Yes,
    No,
}

/// A stage's name may hold anything, and be long: its digest stands for it.
fn file_name(job: &JobId) -> String {
    let stage = blake3::hash(job.stage.as_bytes()).to_hex();
    format!("{}-{}", &stage[..24], job.attempt)
}
