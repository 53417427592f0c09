//! The logs of one run in their folder.

use std::path::PathBuf;

use indexmap::IndexMap;

use super::error::At;
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
}

impl FileLogs {
    /// The logs in this folder, which need not be there yet. `is_new`: there are certainly none.
    pub(in super::super) fn new(folder: PathBuf, is_new: IsNew) -> Self {
        Self { folder, logs: (is_new == IsNew::Yes).then(IndexMap::new) }
    }

    pub(in super::super) fn append(&mut self, append: &LogAppend<'_>) -> Result<(), StoreError> {
        if let Some(log) = self.log(append.job)? {
            return log.append(append);
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
        Ok(self.log(job)?.map(|log| log.cursor()).unwrap_or_default())
    }

    /// How to read lines of a log; `None` when there is none.
    pub(in super::super) fn page(
        &mut self,
        job: &JobId,
        after: u64,
        max_bytes: usize,
    ) -> Result<Option<LogPageReader>, StoreError> {
        Ok(self.log(job)?.map(|log| log.page(after, max_bytes)))
    }

    pub(in super::super) fn jobs(&mut self, run: RunId) -> Result<Vec<JobId>, StoreError> {
        let jobs = self.logs()?.keys();
        Ok(jobs.map(|(stage, attempt)| JobId { run, stage: stage.clone(), attempt: *attempt }).collect())
    }

    /// Forgets what can be read again.
    pub(in super::super) fn forget(&mut self) {
        self.logs = None;
    }

    fn log(&mut self, job: &JobId) -> Result<Option<&mut LogFile>, StoreError> {
        let Some(log) = self.logs()?.get_mut(&(job.stage.clone(), job.attempt)) else { return Ok(None) };
        if let Log::Unread(path) = log {
            *log = Log::Open(LogFile::load(path.clone())?);
        }
        match log {
            Log::Open(log) => Ok(Some(log)),
            Log::Unread(_) => Ok(None),
        }
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
            if let Some(title) = LogFile::title(&path)? {
                found.push((title, path));
            }
        }
        found.sort_by_key(|(title, _)| title.ordinal);
        Ok(found.into_iter().map(|(title, path)| ((title.stage, title.attempt), Log::Unread(path))).collect())
    }
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
