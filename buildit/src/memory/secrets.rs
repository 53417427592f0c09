//! Sealed secrets.

use std::collections::BTreeMap;
use std::ops::Bound;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::store::{SealedSecret, SecretPlace, SecretSummary, StoreError};

/// What changes the secrets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SecretChange {
    pub(super) place: SecretPlace,
    /// What is there from now on.
    pub(super) secret: Option<(SealedSecret, Timestamp)>,
}

#[derive(Debug)]
struct Kept {
    sealed: SealedSecret,
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Debug, Default)]
pub(super) struct Secrets(BTreeMap<SecretPlace, Kept>);

impl Secrets {
    /// Refuses a version that does not follow the one that is there.
    pub(super) fn check(&self, place: &SecretPlace, version: u64) -> Result<(), StoreError> {
        let actual = self.0.get(place).map_or(0, |kept| kept.sealed.version);
        let expected = version.saturating_sub(1);
        if version == 0 || expected != actual { Err(StoreError::Conflict { expected, actual }) } else { Ok(()) }
    }

    pub(super) fn apply(&mut self, change: SecretChange) {
        let SecretChange { place, secret } = change;
        match secret {
            None => drop(self.0.remove(&place)),
            Some((sealed, now)) => {
                let created_at = self.0.get(&place).map_or(now, |kept| kept.created_at);
                self.0.insert(place, Kept { sealed, created_at, updated_at: now });
            }
        }
    }

    pub(super) fn find(&self, place: &SecretPlace) -> Option<&SealedSecret> {
        self.0.get(place).map(|kept| &kept.sealed)
    }

    pub(super) fn list(&self, after: Option<&SecretPlace>, limit: usize) -> Vec<SecretSummary> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let these = self.0.range::<SecretPlace, _>((from, Bound::Unbounded)).take(limit);
        let summary = |(place, kept): (&SecretPlace, &Kept)| SecretSummary {
            place: place.clone(),
            version: kept.sealed.version,
            key_id: kept.sealed.key_id.clone(),
            created_at: kept.created_at,
            updated_at: kept.updated_at,
        };
        these.map(summary).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Changes that lead here.
    pub(super) fn as_changes(&self) -> Vec<SecretChange> {
        let change = |(place, kept): (&SecretPlace, &Kept)| {
            let first = SecretChange { place: place.clone(), secret: Some((kept.sealed.clone(), kept.created_at)) };
            [first.clone(), SecretChange { secret: Some((kept.sealed.clone(), kept.updated_at)), ..first }]
        };
        self.0.iter().flat_map(change).collect()
    }
}
