//! Repositories, journaled.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::journal::{ChangeFile, Folder};
use crate::id::{RepositoryId, TenantId};
use crate::store::{Fetch, Repository, StoreError, Webhook};

/// How long the file of repositories may grow beyond what they are, in bytes, before it is written anew.
const SLACK: u64 = 1024 * 1024;

/// What changes the repositories.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RepositoryChange {
    Put(Box<Repository>),
    Delete(RepositoryId),
}

/// The repositories of all tenants.
#[derive(Debug, Default)]
pub(super) struct JournaledRepositories {
    known: Known,
    file: Option<ChangeFile>,
}

/// By their ids, and by what they are looked for.
#[derive(Debug, Default)]
struct Known {
    all: BTreeMap<RepositoryId, Repository>,
    names: BTreeMap<(TenantId, String), RepositoryId>,
    addresses: BTreeMap<(TenantId, String), RepositoryId>,
}

impl Known {
    fn apply(&mut self, change: RepositoryChange) {
        match change {
            RepositoryChange::Put(repository) => {
                self.remove(repository.id);
                self.names.insert((repository.tenant, repository.name.clone()), repository.id);
                self.addresses.insert((repository.tenant, repository.url.clone()), repository.id);
                self.all.insert(repository.id, *repository);
            }
            RepositoryChange::Delete(id) => self.remove(id),
        }
    }

    fn remove(&mut self, id: RepositoryId) {
        if let Some(gone) = self.all.remove(&id) {
            self.names.remove(&(gone.tenant, gone.name));
            self.addresses.remove(&(gone.tenant, gone.url));
        }
    }
}

impl JournaledRepositories {
    pub(super) fn open(folder: &Folder) -> Result<Self, StoreError> {
        let mut known = Known::default();
        let file = ChangeFile::open(folder, "repositories", |change| known.apply(change))?;
        Ok(Self { known, file: Some(file) })
    }

    pub(super) fn get(&self, id: RepositoryId) -> Option<&Repository> {
        self.known.all.get(&id)
    }

    pub(super) fn at(&self, tenant: TenantId, url: &str) -> Option<&Repository> {
        self.get(*self.known.addresses.get(&(tenant, url.to_owned()))?)
    }

    pub(super) fn list(&self, tenant: TenantId, after: Option<&str>, limit: usize) -> Vec<Repository> {
        let from = match after {
            Some(after) => Bound::Excluded((tenant, after.to_owned())),
            None => Bound::Included((tenant, String::new())),
        };
        let these = self.known.names.range((from, Bound::Unbounded)).take_while(|((of, _), _)| *of == tenant);
        these.take(limit).filter_map(|(_, id)| self.get(*id).cloned()).collect()
    }

    /// Refuses a version that does not follow the one that is there. It is durable when this returns.
    pub(super) fn put(&mut self, new: Repository) -> Result<(), StoreError> {
        let there = self.get(new.id);
        let actual = there.map_or(0, |there| there.version);
        let expected = new.version.saturating_sub(1);
        if new.version == 0 || expected != actual {
            return Err(StoreError::Conflict { expected, actual });
        }
        let new = match there {
            Some(there) => Repository {
                tenant: there.tenant,
                created_at: there.created_at,
                last_fetch: there.last_fetch.clone(),
                webhook: there.webhook.clone(),
                ..new
            },
            None => Repository { last_fetch: None, webhook: None, ..new },
        };
        let is_other = |taken: Option<&RepositoryId>| taken.is_some_and(|id| *id != new.id);
        if is_other(self.known.names.get(&(new.tenant, new.name.clone())))
            || is_other(self.known.addresses.get(&(new.tenant, new.url.clone())))
        {
            return Err(StoreError::Taken("the name or the address of the repository".into()));
        }
        self.change(vec![RepositoryChange::Put(Box::new(new))])
    }

    pub(super) fn note_fetch(&mut self, id: RepositoryId, fetch: Fetch) -> Result<(), StoreError> {
        let Some(there) = self.get(id).cloned() else { return Ok(()) };
        self.change(vec![RepositoryChange::Put(Box::new(Repository { last_fetch: Some(fetch), ..there }))])
    }

    pub(super) fn note_webhook(&mut self, id: RepositoryId, webhook: Option<Webhook>) -> Result<(), StoreError> {
        let Some(there) = self.get(id).cloned() else { return Ok(()) };
        self.change(vec![RepositoryChange::Put(Box::new(Repository { webhook, ..there }))])
    }

    pub(super) fn delete(&mut self, id: RepositoryId) -> Result<bool, StoreError> {
        let is_there = self.get(id).is_some();
        if is_there {
            self.change(vec![RepositoryChange::Delete(id)])?;
        }
        Ok(is_there)
    }

    fn change(&mut self, changes: Vec<RepositoryChange>) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        if let Some(file) = &mut self.file {
            file.append_durably(&changes)?;
        }
        changes.into_iter().for_each(|change| self.known.apply(change));
        match &mut self.file {
            Some(file) if file.length() > SLACK + 4096 * self.known.all.len() as u64 => {
                let now = self.known.all.values().cloned().map(|there| RepositoryChange::Put(Box::new(there)));
                file.replace(&now.collect::<Vec<_>>())
            }
            _ => Ok(()),
        }
    }
}
