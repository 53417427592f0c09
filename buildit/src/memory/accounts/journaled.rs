//! Accounts and the audit log, journaled.

use super::change::AccountChange;
use super::state::Accounts;
use crate::account::{AuditEntry, AuditRecord};
use crate::memory::journal::{ChangeFile, Folder};
use crate::store::{AuditFilter, StoreError};

/// How long the file of accounts may grow beyond what they are, in bytes, before it is written anew.
const SLACK: u64 = 1024 * 1024;

#[derive(Debug, Default)]
pub(in crate::memory) struct JournaledAccounts {
    pub(in crate::memory) accounts: Accounts,
    file: Option<ChangeFile>,
}

impl JournaledAccounts {
    pub(in crate::memory) fn open(folder: &Folder) -> Result<Self, StoreError> {
        let mut accounts = Accounts::default();
        let file = ChangeFile::open(folder, "accounts", |change| accounts.apply(change))?;
        Ok(Self { accounts, file: Some(file) })
    }

    /// Makes these changes, all or none; they are durable when it returns. What is gone stays in the file until that
    /// is written anew, which is when most of it is such.
    pub(in crate::memory) fn change(&mut self, changes: Vec<AccountChange>) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        if let Some(file) = &mut self.file {
            file.append_durably(&changes)?;
        }
        self.apply(changes)
    }

    /// Makes a change that may be lost with the machine.
    pub(in crate::memory) fn note(&mut self, change: AccountChange) -> Result<(), StoreError> {
        if let Some(file) = &mut self.file {
            file.append(&change)?;
        }
        self.apply(vec![change])
    }

    fn apply(&mut self, changes: Vec<AccountChange>) -> Result<(), StoreError> {
        changes.into_iter().for_each(|change| self.accounts.apply(change));
        match &mut self.file {
            Some(file) if file.length() > SLACK + 2048 * self.accounts.len() as u64 => {
                file.replace(&self.accounts.as_changes())
            }
            _ => Ok(()),
        }
    }
}

/// The audit log: an entry's place follows from how many are before it.
#[derive(Debug, Default)]
pub(in crate::memory) struct JournaledAudit {
    entries: Vec<AuditEntry>,
    file: Option<ChangeFile>,
}

impl JournaledAudit {
    pub(in crate::memory) fn open(folder: &Folder) -> Result<Self, StoreError> {
        let mut entries = Vec::new();
        let file = ChangeFile::open(folder, "audit", |entry| entries.push(entry))?;
        Ok(Self { entries, file: Some(file) })
    }

    pub(in crate::memory) fn add(&mut self, entry: AuditEntry) -> Result<(), StoreError> {
        if let Some(file) = &mut self.file {
            file.append_durably(std::slice::from_ref(&entry))?;
        }
        self.entries.push(entry);
        Ok(())
    }

    pub(in crate::memory) fn list(&self, filter: AuditFilter, before: Option<u64>, limit: usize) -> Vec<AuditRecord> {
        let before = before.map_or(usize::MAX, |place| usize::try_from(place.saturating_sub(1)).unwrap_or(usize::MAX));
        let these = self.entries.iter().enumerate().take(before).rev();
        let these = these.filter(|(_, entry)| filter.matches(entry)).take(limit);
        these.map(|(index, entry)| AuditRecord { place: index as u64 + 1, entry: entry.clone() }).collect()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::account::{Session, TokenHash};
    use crate::id::UserId;

    #[test]
    fn a_file_of_what_is_gone_is_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let mut journaled = JournaledAccounts::open(&folder).unwrap();
        let (hash, time) = (TokenHash([7; 32]), Timestamp::UNIX_EPOCH);
        for count in 0..6 {
            let data = vec![count; 100_000];
            let session = Session { user: UserId::new(), data, created_at: time, expires_at: time };
            journaled.change(vec![AccountChange::Session(hash, session)]).unwrap();
        }
        let length = std::fs::metadata(dir.path().join("accounts")).unwrap().len();
        assert!(length < SLACK, "{length} bytes");
        drop(journaled);
        let journaled = JournaledAccounts::open(&folder).unwrap();
        assert_eq!(journaled.accounts.session(&hash).map(|session| session.data[0]), Some(5));
    }
}
