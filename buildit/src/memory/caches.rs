//! The index of caches.

use std::collections::HashMap;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::artifact::CacheHit;
use crate::id::Digest;

/// An archive under a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct CacheChange {
    pub(super) scope: String,
    pub(super) key: String,
    pub(super) archive: Digest,
}

/// For each scope the archives by their keys, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Caches(HashMap<String, IndexMap<String, Digest>>);

impl Caches {
    pub(super) fn find(&self, scope: &str, key: &str, restore_keys: &[String]) -> Option<CacheHit> {
        let saved = self.0.get(scope)?;
        if let Some(archive) = saved.get(key) {
            return Some(CacheHit { key: key.to_owned(), archive: *archive, exact: true });
        }
        restore_keys.iter().find_map(|prefix| {
            let (key, archive) = saved.iter().rev().find(|(key, _)| key.starts_with(prefix.as_str()))?;
            Some(CacheHit { key: key.clone(), archive: *archive, exact: false })
        })
    }

    pub(super) fn contains(&self, change: &CacheChange) -> bool {
        self.0.get(&change.scope).is_some_and(|saved| saved.contains_key(&change.key))
    }

    pub(super) fn save(&mut self, change: CacheChange) {
        self.0.entry(change.scope).or_default().entry(change.key).or_insert(change.archive);
    }
}
