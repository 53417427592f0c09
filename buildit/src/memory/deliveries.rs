//! Deliveries, journaled.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::journal::{ChangeFile, Folder};
use crate::id::{DeliveryId, RepositoryId};
use crate::store::{Delivery, DeliveryState, StoreError};

/// How long the file of deliveries may grow beyond what they are, in bytes, before it is written anew.
const SLACK: u64 = 4 * 1024 * 1024;

/// How many are forgotten at once.
const SWEPT: usize = 500;

/// What changes the deliveries.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum DeliveryChange {
    Kept(Box<Delivery>, Vec<u8>),
    Now(Box<Delivery>),
    Forgotten(DeliveryId),
}

/// The deliveries of all repositories.
#[derive(Debug, Default)]
pub(super) struct JournaledDeliveries {
    known: Known,
    file: Option<ChangeFile>,
}

/// By their ids, and by what they are looked for.
#[derive(Debug, Default)]
struct Known {
    all: BTreeMap<DeliveryId, (Delivery, Vec<u8>)>,
    keys: BTreeSet<(RepositoryId, String)>,
    of: BTreeSet<(RepositoryId, DeliveryId)>,
    waiting: BTreeSet<(Timestamp, DeliveryId)>,
    bytes: u64,
}

impl Known {
    fn apply(&mut self, change: DeliveryChange) {
        match change {
            DeliveryChange::Kept(delivery, body) => {
                self.keys.insert((delivery.repository, delivery.key.clone()));
                self.of.insert((delivery.repository, delivery.id));
                self.wait(&delivery);
                self.bytes += body.len() as u64;
                self.all.insert(delivery.id, (*delivery, body));
            }
            DeliveryChange::Now(delivery) => {
                if let Some((known, _)) = self.all.get_mut(&delivery.id) {
                    self.waiting.remove(&(known.due_at, known.id));
                    *known = *delivery.clone();
                    self.wait(&delivery);
                }
            }
            DeliveryChange::Forgotten(id) => {
                if let Some((gone, body)) = self.all.remove(&id) {
                    self.waiting.remove(&(gone.due_at, id));
                    self.of.remove(&(gone.repository, id));
                    self.keys.remove(&(gone.repository, gone.key));
                    self.bytes -= body.len() as u64;
                }
            }
        }
    }

    fn wait(&mut self, delivery: &Delivery) {
        if delivery.state == DeliveryState::Waiting {
            self.waiting.insert((delivery.due_at, delivery.id));
        }
    }
}

impl JournaledDeliveries {
    pub(super) fn open(folder: &Folder) -> Result<Self, StoreError> {
        let mut known = Known::default();
        let file = ChangeFile::open(folder, "deliveries", |change| known.apply(change))?;
        Ok(Self { known, file: Some(file) })
    }

    pub(super) fn keep(&mut self, delivery: Delivery, body: Vec<u8>) -> Result<bool, StoreError> {
        if self.known.keys.contains(&(delivery.repository, delivery.key.clone())) {
            return Ok(false);
        }
        self.change(vec![DeliveryChange::Kept(Box::new(delivery), body)]).map(|()| true)
    }

    pub(super) fn get(&self, id: DeliveryId) -> Option<&(Delivery, Vec<u8>)> {
        self.known.all.get(&id)
    }

    pub(super) fn list(&self, repository: RepositoryId, before: Option<DeliveryId>, limit: usize) -> Vec<Delivery> {
        let first = (repository, uuid::Uuid::nil().into());
        let end = (repository, before.unwrap_or_else(|| uuid::Uuid::max().into()));
        let ids = self.known.of.range(first..end).rev().take(limit);
        ids.filter_map(|(_, id)| self.get(*id).map(|(delivery, _)| delivery.clone())).collect()
    }

    pub(super) fn take(&mut self, now: Timestamp, until: Timestamp, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        let due = self.known.waiting.iter().take_while(|(due_at, _)| *due_at <= now).take(limit);
        let taken = due.filter_map(|(_, id)| {
            let (delivery, _) = self.get(*id)?;
            Some(Delivery { attempts: delivery.attempts + 1, due_at: until, ..delivery.clone() })
        });
        let taken: Vec<Delivery> = taken.collect();
        self.change(taken.iter().cloned().map(|taken| DeliveryChange::Now(Box::new(taken))).collect())?;
        Ok(taken)
    }

    pub(super) fn settle(&mut self, delivery: Delivery) -> Result<bool, StoreError> {
        let Some((known, _)) = self.get(delivery.id) else { return Ok(false) };
        if known.attempts != delivery.attempts {
            return Ok(false);
        }
        let Delivery { state, due_at, outcome, .. } = delivery;
        let now = Delivery { state, due_at, outcome, ..known.clone() };
        self.change(vec![DeliveryChange::Now(Box::new(now))]).map(|()| true)
    }

    pub(super) fn sweep(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        let is_old = |delivery: &&(Delivery, Vec<u8>)| {
            delivery.0.received_at < before && delivery.0.state != DeliveryState::Waiting
        };
        let old = self.known.all.values().filter(is_old).take(SWEPT);
        let old: Vec<_> = old.map(|(delivery, _)| DeliveryChange::Forgotten(delivery.id)).collect();
        let count = old.len() as u64;
        self.change(old).map(|()| count)
    }

    fn change(&mut self, changes: Vec<DeliveryChange>) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        if let Some(file) = &mut self.file {
            file.append_durably(&changes)?;
        }
        changes.into_iter().for_each(|change| self.known.apply(change));
        // A byte of a body is up to four in the file.
        let length = SLACK + 4 * self.known.bytes + 4096 * self.known.all.len() as u64;
        match &mut self.file {
            Some(file) if file.length() > 2 * length => {
                let now = self.known.all.values().cloned();
                file.replace(&now.map(|(one, body)| DeliveryChange::Kept(Box::new(one), body)).collect::<Vec<_>>())
            }
            _ => Ok(()),
        }
    }
}
