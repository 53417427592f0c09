//! Policies of tenants and turns, journaled.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::journal::{ChangeFile, Folder};
use crate::id::TenantId;
use crate::store::{RetentionPolicy, StoreError};

/// How long the file of policies may grow beyond what they are, in bytes, before it is written anew.
const SLACK: u64 = 1024 * 1024;

/// What changes the policies and turns.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PolicyChange {
    Put(RetentionPolicy),
    Delete(TenantId),
    Turn(String, Timestamp),
}

/// The policies of all tenants, and when each piece of work was done last.
#[derive(Debug, Default)]
pub(super) struct JournaledPolicies {
    all: BTreeMap<TenantId, RetentionPolicy>,
    turns: BTreeMap<String, Timestamp>,
    file: Option<ChangeFile>,
}

impl JournaledPolicies {
    pub(super) fn open(folder: &Folder) -> Result<Self, StoreError> {
        let mut opened = Self::default();
        let file = ChangeFile::open(folder, "policies", |change| opened.apply(change))?;
        Ok(Self { file: Some(file), ..opened })
    }

    pub(super) fn find(&self, tenant: TenantId) -> Option<&RetentionPolicy> {
        self.all.get(&tenant)
    }

    pub(super) fn list(&self, after: Option<TenantId>, limit: usize) -> Vec<RetentionPolicy> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.all.range((from, Bound::Unbounded)).take(limit).map(|(_, policy)| policy.clone()).collect()
    }

    /// Refuses a version that does not follow the one that is there. It is durable when this returns.
    pub(super) fn put(&mut self, policy: RetentionPolicy) -> Result<(), StoreError> {
        let actual = self.find(policy.tenant).map_or(0, |there| there.version);
        let expected = policy.version.saturating_sub(1);
        if policy.version == 0 || expected != actual {
            return Err(StoreError::Conflict { expected, actual });
        }
        self.change(PolicyChange::Put(policy))
    }

    /// Forgets that of a tenant.
    pub(super) fn delete(&mut self, tenant: TenantId) -> Result<(), StoreError> {
        match self.find(tenant) {
            Some(_) => self.change(PolicyChange::Delete(tenant)),
            None => Ok(()),
        }
    }

    pub(super) fn take_turn(&mut self, work: &str, now: Timestamp, every: Duration) -> Result<bool, StoreError> {
        let every = SignedDuration::try_from(every).unwrap_or(SignedDuration::MAX);
        let is_free = |taken: &Timestamp| *taken > now || taken.duration_until(now) >= every;
        let is_mine = self.turns.get(work).is_none_or(is_free);
        if is_mine {
            self.change(PolicyChange::Turn(work.to_owned(), now))?;
        }
        Ok(is_mine)
    }

    fn change(&mut self, change: PolicyChange) -> Result<(), StoreError> {
        if let Some(file) = &mut self.file {
            file.append_durably(std::slice::from_ref(&change))?;
        }
        self.apply(change);
        match &mut self.file {
            Some(file) if file.length() > SLACK + 512 * (self.all.len() + self.turns.len()) as u64 => {
                let turns = self.turns.iter().map(|(work, taken)| PolicyChange::Turn(work.clone(), *taken));
                let now: Vec<_> = self.all.values().cloned().map(PolicyChange::Put).chain(turns).collect();
                file.replace(&now)
            }
            _ => Ok(()),
        }
    }

    fn apply(&mut self, change: PolicyChange) {
        match change {
            PolicyChange::Put(policy) => drop(self.all.insert(policy.tenant, policy)),
            PolicyChange::Delete(tenant) => drop(self.all.remove(&tenant)),
            PolicyChange::Turn(work, taken) => drop(self.turns.insert(work, taken)),
        }
    }
}
