//! What forges are to say of commits, journaled.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::journal::{ChangeFile, Folder};
use crate::id::{RepositoryId, StatusId};
use crate::store::{CommitStatus, DispatchStatus, Report, Settled, StoreError};

/// How long the file may grow beyond what is known, in bytes, before it is written anew.
const SLACK: u64 = 1024 * 1024;

/// How many are forgotten at once.
const SWEPT: usize = 500;

/// Of which commit, in which context.
type Place = (RepositoryId, String, String);

fn place(status: &CommitStatus) -> Place {
    (status.repository, status.commit.clone(), status.context.clone())
}

/// A change of what is known.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StatusChange {
    Now(Box<Report>),
    Forgotten(RepositoryId, StatusId),
}

/// By their places, and by what they are looked for.
#[derive(Debug, Default)]
struct Known {
    all: BTreeMap<Place, Report>,
    ids: BTreeMap<(RepositoryId, StatusId), Place>,
    sending: BTreeMap<StatusId, Place>,
    waiting: BTreeSet<(Timestamp, StatusId, Place)>,
}

impl Known {
    fn apply(&mut self, change: StatusChange) {
        match change {
            StatusChange::Now(report) => {
                let at = place(&report.status);
                self.remove(&at);
                self.ids.insert((report.status.repository, report.status.id), at.clone());
                if let Some(sending) = report.sending {
                    self.sending.insert(sending, at.clone());
                }
                if report.progress == DispatchStatus::Waiting {
                    self.waiting.insert((report.next_at, report.status.id, at.clone()));
                }
                self.all.insert(at, *report);
            }
            StatusChange::Forgotten(repository, id) => {
                if let Some(at) = self.ids.get(&(repository, id)).cloned() {
                    self.remove(&at);
                }
            }
        }
    }

    fn remove(&mut self, at: &Place) {
        if let Some(gone) = self.all.remove(at) {
            self.ids.remove(&(gone.status.repository, gone.status.id));
            self.waiting.remove(&(gone.next_at, gone.status.id, at.clone()));
            if let Some(sending) = gone.sending {
                self.sending.remove(&sending);
            }
        }
    }
}

/// What forges are to say of commits.
#[derive(Debug, Default)]
pub(super) struct JournaledStatuses {
    known: Known,
    file: Option<ChangeFile>,
}

impl JournaledStatuses {
    pub(super) fn open(folder: &Folder) -> Result<Self, StoreError> {
        let mut known = Known::default();
        let file = ChangeFile::open(folder, "statuses", |change| known.apply(change))?;
        Ok(Self { known, file: Some(file) })
    }

    pub(super) fn report(&mut self, status: CommitStatus) -> Result<bool, StoreError> {
        let report = match self.known.all.get(&place(&status)) {
            Some(there) if !status.is_newer_than(&there.status) => return Ok(false),
            Some(there) => there.clone().replaced_by(status),
            None => Report::of_new(status),
        };
        self.save(vec![report]).map(|()| true)
    }

    pub(super) fn take(&mut self, now: Timestamp, until: Timestamp, limit: usize) -> Result<Vec<Report>, StoreError> {
        let due = self.known.waiting.iter().take_while(|(next_at, ..)| *next_at <= now).take(limit);
        let taken = due.filter_map(|(.., at)| {
            let there = self.known.all.get(at)?.clone();
            Some(Report { tries: there.tries + 1, next_at: until, sending: Some(there.status.id), ..there })
        });
        let taken: Vec<Report> = taken.collect();
        self.save(taken.clone())?;
        Ok(taken)
    }

    pub(super) fn settle(&mut self, id: StatusId, tries: u32, how: Settled) -> Result<bool, StoreError> {
        let there = self.known.sending.get(&id).and_then(|at| self.known.all.get(at)).cloned();
        let Some(there) = there else { return Ok(false) };
        if there.status.id != id {
            return self.save(vec![Report { next_at: how.at(), sending: None, ..there }]).map(|()| false);
        }
        if there.tries != tries {
            return Ok(false);
        }
        self.save(vec![there.settled(how)]).map(|()| true)
    }

    pub(super) fn retry(&mut self, repository: RepositoryId, id: StatusId, now: Timestamp) -> Result<bool, StoreError> {
        let there = self.known.ids.get(&(repository, id)).and_then(|at| self.known.all.get(at));
        let is_it = |there: &&Report| there.progress != DispatchStatus::Sent && there.sending.is_none();
        let Some(there) = there.filter(is_it).cloned() else { return Ok(false) };
        let progress = DispatchStatus::Waiting;
        self.save(vec![Report { progress, tries: 0, next_at: now, ended_at: None, ..there }]).map(|()| true)
    }

    pub(super) fn list(&self, repository: RepositoryId, before: Option<StatusId>, limit: usize) -> Vec<Report> {
        let first = (repository, uuid::Uuid::nil().into());
        let end = (repository, before.unwrap_or_else(|| uuid::Uuid::max().into()));
        let places = self.known.ids.range(first..end).rev().take(limit);
        places.filter_map(|(_, at)| self.known.all.get(at).cloned()).collect()
    }

    pub(super) fn sweep(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        let ended = self.known.all.values().filter(|there| there.ended_at.is_some_and(|end| end < before));
        let old = ended.take(SWEPT).map(|there| StatusChange::Forgotten(there.status.repository, there.status.id));
        let old: Vec<StatusChange> = old.collect();
        let count = old.len() as u64;
        self.change(old).map(|()| count)
    }

    fn save(&mut self, reports: Vec<Report>) -> Result<(), StoreError> {
        self.change(reports.into_iter().map(|report| StatusChange::Now(Box::new(report))).collect())
    }

    /// Makes changes; they are durable when it returns.
    fn change(&mut self, changes: Vec<StatusChange>) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        if let Some(file) = &mut self.file {
            file.append_durably(&changes)?;
        }
        changes.into_iter().for_each(|change| self.known.apply(change));
        match &mut self.file {
            Some(file) if file.length() > SLACK + 4096 * self.known.all.len() as u64 => {
                let now = self.known.all.values().cloned().map(|there| StatusChange::Now(Box::new(there)));
                file.replace(&now.collect::<Vec<_>>())
            }
            _ => Ok(()),
        }
    }
}
