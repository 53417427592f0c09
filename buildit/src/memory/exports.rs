//! Runs that somebody elsewhere is to be told of, journaled.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::journal::{ChangeFile, Folder};
use crate::id::RunId;
use crate::store::{Export, StoreError};

/// How long the file may grow beyond what is to be told, in bytes, before it is written anew.
const SLACK: u64 = 1024 * 1024;

/// How often a run was tried, and when it is due; `None` for one that is settled.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct ExportChange {
    run: RunId,
    due: Option<(u32, Timestamp)>,
}

#[derive(Debug, Default)]
pub(super) struct JournaledExports {
    due: BTreeMap<RunId, (u32, Timestamp)>,
    file: Option<ChangeFile>,
}

impl JournaledExports {
    pub(super) fn open(folder: &Folder) -> Result<Self, StoreError> {
        let mut opened = Self::default();
        let file = ChangeFile::open(folder, "exports", |change| opened.apply(change))?;
        Ok(Self { file: Some(file), ..opened })
    }

    pub(super) fn add(&mut self, run: RunId, now: Timestamp) -> Result<(), StoreError> {
        if self.due.contains_key(&run) { Ok(()) } else { self.change(vec![ExportChange { run, due: Some((0, now)) }]) }
    }

    pub(super) fn take(&mut self, now: Timestamp, until: Timestamp, limit: usize) -> Result<Vec<Export>, StoreError> {
        let due = self.due.iter().filter(|(_, (_, at))| *at <= now);
        let mut due: Vec<_> = due.map(|(run, (tries, at))| (*at, *run, tries + 1)).collect();
        due.sort_unstable();
        due.truncate(limit);
        self.change(
            due.iter().map(|(_, run, tries)| ExportChange { run: *run, due: Some((*tries, until)) }).collect(),
        )?;
        Ok(due.into_iter().map(|(_, run, tries)| Export { run, tries }).collect())
    }

    pub(super) fn settle(&mut self, export: Export, again: Option<Timestamp>) -> Result<bool, StoreError> {
        let Export { run, tries } = export;
        let is_last = self.due.get(&run).is_some_and(|(last, _)| *last == tries);
        if is_last {
            self.change(vec![ExportChange { run, due: again.map(|at| (tries, at)) }])?;
        }
        Ok(is_last)
    }

    fn change(&mut self, changes: Vec<ExportChange>) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        if let Some(file) = &mut self.file {
            file.append_durably(&changes)?;
        }
        changes.into_iter().for_each(|change| self.apply(change));
        match &mut self.file {
            Some(file) if file.length() > SLACK + 256 * self.due.len() as u64 => {
                let now = self.due.iter().map(|(run, due)| ExportChange { run: *run, due: Some(*due) });
                file.replace(&now.collect::<Vec<_>>())
            }
            _ => Ok(()),
        }
    }

    fn apply(&mut self, change: ExportChange) {
        match change.due {
            Some(due) => drop(self.due.insert(change.run, due)),
            None => drop(self.due.remove(&change.run)),
        }
    }
}
