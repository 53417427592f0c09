//! The index of caches.

use std::collections::HashMap;

use indexmap::IndexMap;

use crate::artifact::CacheHit;
use crate::id::Digest;

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

    pub(super) fn contains(&self, scope: &str, key: &str) -> bool {
        self.0.get(scope).is_some_and(|saved| saved.contains_key(key))
    }

    pub(super) fn save(&mut self, scope: &str, key: &str, archive: Digest) {
        self.0.entry(scope.to_owned()).or_default().entry(key.to_owned()).or_insert(archive);
    }
}
