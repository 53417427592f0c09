//! Environments, journaled.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::journal::{ChangeFile, Folder};
use crate::id::TenantId;
use crate::store::{Environment, StoreError};

/// How long the file of environments may grow beyond what they are, in bytes, before it is written anew.
const SLACK: u64 = 1024 * 1024;

/// What changes the environments.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EnvironmentChange {
    Put(Environment),
    Delete(TenantId, String),
}

/// The environments of all tenants, by tenant and name.
#[derive(Debug, Default)]
pub(super) struct JournaledEnvironments {
    all: BTreeMap<(TenantId, String), Environment>,
    file: Option<ChangeFile>,
}

impl JournaledEnvironments {
    pub(super) fn open(folder: &Folder) -> Result<Self, StoreError> {
        let mut opened = Self::default();
        let file = ChangeFile::open(folder, "environments", |change| opened.apply(change))?;
        Ok(Self { file: Some(file), ..opened })
    }

    pub(super) fn find(&self, tenant: TenantId, name: &str) -> Option<&Environment> {
        self.all.get(&(tenant, name.to_owned()))
    }

    pub(super) fn list(&self, tenant: TenantId, after: Option<&str>, limit: usize) -> Vec<Environment> {
        let from = match after {
            Some(after) => Bound::Excluded((tenant, after.to_owned())),
            None => Bound::Included((tenant, String::new())),
        };
        let these = self.all.range((from, Bound::Unbounded)).take_while(|((of, _), _)| *of == tenant);
        these.take(limit).map(|(_, environment)| environment.clone()).collect()
    }

    /// Refuses a version that does not follow the one that is there. It is durable when this returns.
    pub(super) fn put(&mut self, environment: Environment) -> Result<(), StoreError> {
        let there = self.find(environment.tenant, &environment.name);
        let actual = there.map_or(0, |there| there.version);
        let expected = environment.version.saturating_sub(1);
        if environment.version == 0 || expected != actual {
            return Err(StoreError::Conflict { expected, actual });
        }
        let created_at = there.map_or(environment.created_at, |there| there.created_at);
        self.change(vec![EnvironmentChange::Put(Environment { created_at, ..environment })])
    }

    pub(super) fn delete(&mut self, tenant: TenantId, name: &str) -> Result<bool, StoreError> {
        let is_there = self.find(tenant, name).is_some();
        if is_there {
            self.change(vec![EnvironmentChange::Delete(tenant, name.to_owned())])?;
        }
        Ok(is_there)
    }

    /// Forgets all of a tenant.
    pub(super) fn delete_of(&mut self, tenant: TenantId) -> Result<(), StoreError> {
        let names = self.list(tenant, None, usize::MAX).into_iter().map(|environment| environment.name);
        self.change(names.map(|name| EnvironmentChange::Delete(tenant, name)).collect())
    }

    fn change(&mut self, changes: Vec<EnvironmentChange>) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        if let Some(file) = &mut self.file {
            file.append_durably(&changes)?;
        }
        changes.into_iter().for_each(|change| self.apply(change));
        match &mut self.file {
            Some(file) if file.length() > SLACK + 4096 * self.all.len() as u64 => {
                let now: Vec<_> = self.all.values().cloned().map(EnvironmentChange::Put).collect();
                file.replace(&now)
            }
            _ => Ok(()),
        }
    }

    fn apply(&mut self, change: EnvironmentChange) {
        match change {
            EnvironmentChange::Put(environment) => {
                self.all.insert((environment.tenant, environment.name.clone()), environment);
            }
            EnvironmentChange::Delete(tenant, name) => drop(self.all.remove(&(tenant, name))),
        }
    }
}
