//! A run as the store holds it: its state and logs, in memory or to be read when they are asked for.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use jiff::Timestamp;

use super::journal::{FileLogs, Folder, IndexEntry, RunFile};
use super::logs::RunLogs;
use super::run::RunState;
use super::store::lock;
use crate::executor::LogCursor;
use crate::id::{FencingToken, JobId, PipelineId, RunId, TenantId};
use crate::store::{Lease, LogAppend, LogPage, RunSummary, StoreError};

/// Where a run lies in a list: by the time of its creation, then by the order of creation.
pub(super) type RunPlace = (Timestamp, u64);

/// Those of these runs that are behind this one, the newest first.
pub(super) fn newest_first(
    runs: &BTreeMap<RunPlace, Arc<KeptRun>>,
    before: Option<RunPlace>,
) -> impl Iterator<Item = &Arc<KeptRun>> {
    let end = before.map_or(Bound::Unbounded, Bound::Excluded);
    runs.range((Bound::Unbounded, end)).rev().map(|(_, run)| run)
}

/// A run with its fence.
#[derive(Debug)]
pub(super) struct KeptRun {
    pub(super) id: RunId,
    /// Its place in the order of creation.
    pub(super) place: u64,
    created_at: Timestamp,
    pub(super) tenant: TenantId,
    /// Its pipeline, whatever that is called now.
    pub(super) pipeline: PipelineId,
    /// Its number there.
    pub(super) number: u64,
    /// The largest token that was seen. Every write holds it for reading and every lease for writing, so a write is
    /// wholly before a takeover or refused.
    token: RwLock<FencingToken>,
    state: Mutex<State>,
    logs: Mutex<Logs>,
    folder: Option<Arc<Folder>>,
}

#[derive(Debug)]
enum State {
    Here(Box<RunState>),
    /// In its file only: a closed run that nobody asked for.
    Stored(Box<RunSummary>),
}

#[derive(Debug)]
enum Logs {
    Memory(RunLogs),
    Files(FileLogs),
}

impl KeptRun {
    pub(super) fn new(
        place: u64,
        pipeline: PipelineId,
        token: FencingToken,
        state: RunState,
        logs: Option<FileLogs>,
        folder: Option<Arc<Folder>>,
    ) -> Self {
        let RunSummary { id, created_at, tenant, number, .. } = state.summary();
        Self {
            id,
            place,
            created_at,
            tenant,
            pipeline,
            number,
            token: RwLock::new(token),
            state: Mutex::new(State::Here(Box::new(state))),
            logs: Mutex::new(logs.map_or_else(|| Logs::Memory(RunLogs::default()), Logs::Files)),
            folder,
        }
    }

    /// A closed run out of the index.
    pub(super) fn stored(entry: IndexEntry, logs: FileLogs, folder: Arc<Folder>) -> Self {
        Self {
            id: entry.summary.id,
            place: entry.place,
            created_at: entry.summary.created_at,
            tenant: entry.summary.tenant,
            pipeline: entry.pipeline,
            number: entry.summary.number,
            token: RwLock::new(entry.token),
            state: Mutex::new(State::Stored(Box::new(entry.summary))),
            logs: Mutex::new(Logs::Files(logs)),
            folder: Some(folder),
        }
    }

    pub(super) fn in_order(&self) -> RunPlace {
        (self.created_at, self.place)
    }

    /// Does `write` unless a larger token was seen.
    pub(super) fn fenced<T>(
        &self,
        token: FencingToken,
        write: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let seen = self.token.read().unwrap_or_else(PoisonError::into_inner);
        if token < *seen {
            return Err(StoreError::Fenced);
        }
        if token == *seen {
            return write();
        }
        drop(seen);
        let mut seen = self.token.write().unwrap_or_else(PoisonError::into_inner);
        if token < *seen {
            return Err(StoreError::Fenced);
        }
        *seen = token;
        write()
    }

    pub(super) fn lease(&self, lease: Lease, now: Timestamp) -> Result<FencingToken, StoreError> {
        let mut seen = self.token.write().unwrap_or_else(PoisonError::into_inner);
        let token = self.with_state(|state| state.lease(lease, *seen, now))?;
        *seen = token;
        Ok(token)
    }

    /// The run's state, read from its file if it is not here.
    pub(super) fn with_state<T>(
        &self,
        with: impl FnOnce(&mut RunState) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut state = lock(&self.state);
        loop {
            match (&mut *state, &self.folder) {
                (State::Here(state), _) => return with(state),
                (State::Stored(_), Some(folder)) => {
                    let (file, stored) = RunFile::load(&folder.run(self.id))?.ok_or(StoreError::NoRun(self.id))?;
                    *state = State::Here(Box::new(RunState::stored(file, stored)));
                }
                (State::Stored(_), None) => return Err(StoreError::NoRun(self.id)),
            }
        }
    }

    /// What a list shows of it, when its pipeline has this name.
    pub(super) fn summary(&self, pipeline: String) -> RunSummary {
        RunSummary { pipeline, ..self.first_summary() }
    }

    /// The same with the name that its pipeline had at first.
    fn first_summary(&self) -> RunSummary {
        match &*lock(&self.state) {
            State::Here(state) => state.summary(),
            State::Stored(summary) => RunSummary::clone(summary),
        }
    }

    /// When it ended.
    pub(super) fn finished_at(&self) -> Option<Timestamp> {
        self.first_summary().finished_at
    }

    /// What the index says of it.
    pub(super) fn index_entry(&self) -> IndexEntry {
        let token = *self.token.read().unwrap_or_else(PoisonError::into_inner);
        let is_closed = match &*lock(&self.state) {
            State::Here(state) => state.is_closed(),
            State::Stored(_) => true,
        };
        IndexEntry { place: self.place, pipeline: self.pipeline, summary: self.first_summary(), token, is_closed }
    }

    /// Forgets what can be read again, if the run is closed and kept in files.
    pub(super) fn forget(&self) {
        let mut state = lock(&self.state);
        if self.folder.is_some()
            && let State::Here(here) = &*state
            && here.is_closed()
        {
            *state = State::Stored(Box::new(here.summary()));
            if let Logs::Files(logs) = &mut *lock(&self.logs) {
                logs.forget();
            }
        }
    }

    /// Removes what is in files, the run's own last.
    pub(super) fn remove_files(&self) -> Result<(), StoreError> {
        match &self.folder {
            Some(folder) => folder.remove(self.id),
            None => Ok(()),
        }
    }

    pub(super) fn append_log(&self, append: &LogAppend<'_>) -> Result<(), StoreError> {
        self.fenced(append.token, || match &mut *lock(&self.logs) {
            Logs::Memory(logs) => logs.append(append),
            Logs::Files(logs) => logs.append(append),
        })
    }

    pub(super) fn log_cursor(&self, job: &JobId) -> Result<LogCursor, StoreError> {
        match &mut *lock(&self.logs) {
            Logs::Memory(logs) => Ok(logs.cursor(job)),
            Logs::Files(logs) => logs.cursor(job),
        }
    }

    pub(super) fn read_log(&self, job: &JobId, after: u64, max_bytes: usize) -> Result<LogPage, StoreError> {
        let reader = match &mut *lock(&self.logs) {
            Logs::Memory(logs) => return logs.read(job, after, max_bytes),
            Logs::Files(logs) => logs.page(job, after, max_bytes)?,
        };
        // What is in a file is read without holding up whoever appends.
        reader.map_or_else(|| Ok(LogPage::default()), |reader| reader.read())
    }

    pub(super) fn jobs_with_logs(&self) -> Result<Vec<JobId>, StoreError> {
        match &mut *lock(&self.logs) {
            Logs::Memory(logs) => Ok(logs.jobs(self.id)),
            Logs::Files(logs) => logs.jobs(self.id),
        }
    }

    /// The bytes of the text of its logs; `None` when none is there.
    pub(super) fn log_bytes(&self) -> Result<Option<u64>, StoreError> {
        match &mut *lock(&self.logs) {
            Logs::Memory(logs) => Ok(logs.bytes()),
            Logs::Files(logs) => logs.bytes(),
        }
    }

    pub(super) fn remove_logs(&self) -> Result<(), StoreError> {
        match &mut *lock(&self.logs) {
            Logs::Memory(logs) => {
                logs.remove();
                Ok(())
            }
            Logs::Files(logs) => logs.remove(),
        }
    }
}
