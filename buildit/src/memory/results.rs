//! Kept results of cacheable stages.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::journal::ChangeFile;
use crate::cached::{Ingredient, KeptResult, Salt};
use crate::id::{Digest, RunId, StageName};
use crate::store::StoreError;

/// A change of what is kept. The journal has them all but uses: an order of use is not worth a write for each hit.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ResultChange {
    /// The salt of the store.
    Salt([u8; 32]),
    /// A result was kept.
    Kept { scope: String, result: Box<KeptResult>, ingredients: Vec<Ingredient> },
    /// A result was forgotten.
    Forgotten { scope: String, key: Digest },
}

#[derive(Debug)]
struct Entry {
    result: KeptResult,
    ingredients: Vec<Ingredient>,
    kept: u64,
    used: u64,
}

/// For each scope the results by their keys.
#[derive(Debug, Default)]
pub(super) struct Results {
    salt: Option<Salt>,
    scopes: HashMap<String, HashMap<Digest, Entry>>,
    /// Counts what happens, so that the order of it is known.
    count: u64,
}

impl Results {
    pub(super) fn apply(&mut self, change: ResultChange) {
        self.count += 1;
        match change {
            ResultChange::Salt(salt) => self.salt = Some(salt.into()),
            ResultChange::Kept { scope, result, ingredients } => {
                let entry = Entry { result: *result, ingredients, kept: self.count, used: self.count };
                self.scopes.entry(scope).or_default().entry(entry.result.key).or_insert(entry);
            }
            ResultChange::Forgotten { scope, key } => {
                self.scopes.get_mut(&scope).and_then(|kept| kept.remove(&key));
            }
        }
    }

    /// The blobs that they refer to.
    fn blobs(&self) -> impl Iterator<Item = Digest> {
        self.scopes.values().flat_map(HashMap::values).flat_map(|entry| entry.result.blobs())
    }

    /// What leads to this state.
    fn as_changes(&self) -> Vec<ResultChange> {
        let mut all: Vec<(&String, &Entry)> =
            self.scopes.iter().flat_map(|(scope, kept)| kept.values().map(move |entry| (scope, entry))).collect();
        all.sort_by_key(|(_, entry)| entry.kept);
        let kept = all.into_iter().map(|(scope, entry)| ResultChange::Kept {
            scope: scope.clone(),
            result: Box::new(entry.result.clone()),
            ingredients: entry.ingredients.clone(),
        });
        self.salt.iter().map(|salt| ResultChange::Salt(*salt.as_bytes())).chain(kept).collect()
    }

    fn contains(&self, scope: &str, key: &Digest) -> bool {
        self.scopes.get(scope).is_some_and(|kept| kept.contains_key(key))
    }

    fn find(&mut self, scope: &str, key: &Digest) -> Option<KeptResult> {
        self.count += 1;
        let entry = self.scopes.get_mut(scope)?.get_mut(key)?;
        entry.used = self.count;
        Some(entry.result.clone())
    }

    fn last(&self, scope: &str, stage: &StageName) -> Option<(RunId, Vec<Ingredient>)> {
        let of_stage = self.scopes.get(scope)?.values().filter(|entry| entry.result.job.stage == *stage);
        let last = of_stage.max_by_key(|entry| entry.kept)?;
        Some((last.result.job.run, last.ingredients.clone()))
    }

    /// The keys of all but the `most` that were used last.
    fn beyond(&self, scope: &str, most: usize) -> Vec<Digest> {
        let Some(kept) = self.scopes.get(scope).filter(|kept| kept.len() > most) else { return Vec::new() };
        let by_use: BTreeMap<u64, Digest> = kept.iter().map(|(key, entry)| (entry.used, *key)).collect();
        by_use.into_values().take(kept.len() - most).collect()
    }
}

/// The results, and the file that they are journaled to.
#[derive(Debug, Default)]
pub(super) struct JournaledResults {
    results: Results,
    file: Option<ChangeFile>,
}

/// How many bytes of changes the file may hold for each result that is kept before it is written anew when it is opened.
const SLACK: u64 = 64 * 1024;

impl JournaledResults {
    /// The blobs that the results refer to.
    pub(super) fn blobs(&self) -> impl Iterator<Item = Digest> {
        self.results.blobs()
    }

    pub(super) fn open(results: Results, mut file: ChangeFile) -> Result<Self, StoreError> {
        let kept: usize = results.scopes.values().map(HashMap::len).sum();
        if file.length() > SLACK * (1 + kept as u64) {
            file.replace(&results.as_changes())?;
        }
        Ok(Self { results, file: Some(file) })
    }

    fn change(&mut self, changes: Vec<ResultChange>) -> Result<(), StoreError> {
        if let Some(file) = &mut self.file {
            for change in &changes {
                file.append(change)?;
            }
        }
        changes.into_iter().for_each(|change| self.results.apply(change));
        Ok(())
    }

    pub(super) fn salt(&mut self) -> Result<Salt, StoreError> {
        if let Some(salt) = &self.results.salt {
            return Ok(salt.clone());
        }
        let salt = Salt::random();
        // Durable before anything is digested with it: what was kept under another would never be found.
        if let Some(file) = &mut self.file {
            file.append_durably(&[ResultChange::Salt(*salt.as_bytes())])?;
        }
        self.results.salt = Some(salt.clone());
        Ok(salt)
    }

    pub(super) fn find(&mut self, scope: &str, keys: &[Digest]) -> Vec<Option<KeptResult>> {
        keys.iter().map(|key| self.results.find(scope, key)).collect()
    }

    pub(super) fn keep(
        &mut self,
        scope: &str,
        result: &KeptResult,
        ingredients: &[Ingredient],
    ) -> Result<(), StoreError> {
        if self.results.contains(scope, &result.key) {
            return Ok(());
        }
        let (result, ingredients) = (Box::new(result.clone()), ingredients.to_vec());
        self.change(vec![ResultChange::Kept { scope: scope.to_owned(), result, ingredients }])
    }

    pub(super) fn last(&self, scope: &str, stage: &StageName) -> Option<(RunId, Vec<Ingredient>)> {
        self.results.last(scope, stage)
    }

    pub(super) fn forget(&mut self, scope: &str, keys: &[Digest]) -> Result<(), StoreError> {
        let known = keys.iter().filter(|key| self.results.contains(scope, key));
        let changes = known.map(|key| ResultChange::Forgotten { scope: scope.to_owned(), key: *key }).collect();
        self.change(changes)
    }

    pub(super) fn evict(&mut self, scope: &str, most: usize) -> Result<u64, StoreError> {
        let beyond = self.results.beyond(scope, most);
        self.forget(scope, &beyond)?;
        Ok(beyond.len() as u64)
    }
}
