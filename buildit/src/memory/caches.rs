//! The index of caches.

use std::collections::HashMap;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::artifact::{CacheHit, CacheQuota, Evicted};
use crate::id::Digest;

/// An archive under a key: saved the first time, used each further time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CacheChange {
    pub(super) scope: String,
    pub(super) key: String,
    pub(super) archive: Digest,
    /// Its size; earlier versions did not write it.
    #[serde(default)]
    pub(super) bytes: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Cache {
    archive: Digest,
    bytes: Option<u64>,
    /// The place of its last use in the order of all uses.
    used: u64,
}

/// For each scope the archives by their keys, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Caches {
    scopes: HashMap<String, IndexMap<String, Cache>>,
    last_use: u64,
}

impl Caches {
    /// What is found, and the change that notes it.
    pub(super) fn find(&self, scope: &str, key: &str, restore_keys: &[String]) -> Option<(CacheHit, CacheChange)> {
        let saved = self.scopes.get(scope)?;
        let exact = saved.get_key_value(key);
        let newest = |prefix: &String| saved.iter().rev().find(|(key, _)| key.starts_with(prefix.as_str()));
        let (found, cache) = exact.or_else(|| restore_keys.iter().find_map(newest))?;
        let hit = CacheHit { key: found.clone(), archive: cache.archive, exact: found == key };
        Some((hit, change(scope, found, cache)))
    }

    pub(super) fn archives(&self) -> impl Iterator<Item = Digest> {
        self.scopes.values().flat_map(IndexMap::values).map(|cache| cache.archive)
    }

    /// What is under the key of this change, or else would be.
    pub(super) fn saved(&self, wanted: CacheChange) -> CacheChange {
        let found = self.scopes.get(&wanted.scope).and_then(|saved| saved.get(&wanted.key));
        found.map_or_else(|| wanted.clone(), |cache| change(&wanted.scope, &wanted.key, cache))
    }

    pub(super) fn apply(&mut self, change: CacheChange) {
        self.last_use += 1;
        let CacheChange { scope, key, archive, bytes } = change;
        let new = Cache { archive, bytes, used: self.last_use };
        self.scopes.entry(scope).or_default().entry(key).or_insert(new).used = self.last_use;
    }

    pub(super) fn len(&self) -> usize {
        self.scopes.values().map(IndexMap::len).sum()
    }

    /// Changes that lead here: each saved in the order of saving, then used in the order of use.
    pub(super) fn as_changes(&self) -> Vec<CacheChange> {
        let saved =
            self.scopes.iter().flat_map(|(scope, saved)| saved.iter().map(move |(key, cache)| (scope, key, cache)));
        let mut used: Vec<_> = saved.clone().collect();
        used.sort_unstable_by_key(|(_, _, cache)| cache.used);
        saved.chain(used).map(|(scope, key, cache)| change(scope, key, cache)).collect()
    }

    /// Takes out what is beyond the quota, least recently used first.
    pub(super) fn evict(&mut self, quota: CacheQuota) -> Evicted {
        let mut evicted = Evicted::default();
        if let Some(most) = quota.scope_bytes {
            for saved in self.scopes.values_mut() {
                keep_recent(vec![saved], most, &mut evicted);
            }
        }
        if let Some(most) = quota.total_bytes {
            keep_recent(self.scopes.values_mut().collect(), most, &mut evicted);
        }
        self.scopes.retain(|_, saved| !saved.is_empty());
        evicted
    }
}

/// Keeps the caches that were used last, as long as together they have no more than `most` bytes.
fn keep_recent(mut scopes: Vec<&mut IndexMap<String, Cache>>, most: u64, evicted: &mut Evicted) {
    let mut all: Vec<Cache> = scopes.iter().flat_map(|saved| saved.values().copied()).collect();
    all.sort_unstable_by_key(|cache| std::cmp::Reverse(cache.used));
    let mut sum = 0_u64;
    let kept = all.iter().take_while(|cache| {
        sum = sum.saturating_add(cache.bytes.unwrap_or(u64::MAX));
        sum <= most
    });
    // No two uses have the same place.
    let oldest = kept.last().map_or(u64::MAX, |cache| cache.used);
    for saved in &mut scopes {
        saved.retain(|_, cache| {
            if cache.used < oldest {
                evicted.caches += 1;
                evicted.bytes = evicted.bytes.saturating_add(cache.bytes.unwrap_or(0));
            }
            cache.used >= oldest
        });
    }
}

fn change(scope: &str, key: &str, cache: &Cache) -> CacheChange {
    CacheChange { scope: scope.to_owned(), key: key.to_owned(), archive: cache.archive, bytes: cache.bytes }
}
