//! Kept results of cacheable stages.

use async_trait::async_trait;

use super::super::store::MemoryStore;
use crate::cached::{Ingredient, KeptResult, ResultStore, Salt};
use crate::id::{Digest, RunId, StageName};
use crate::store::StoreError;

#[async_trait]
impl ResultStore for MemoryStore {
    async fn result_salt(&self) -> Result<Salt, StoreError> {
        self.results_locked().salt()
    }

    async fn find_results(&self, scope: &str, keys: &[Digest]) -> Result<Vec<Option<KeptResult>>, StoreError> {
        Ok(self.results_locked().find(scope, keys))
    }

    async fn keep_result(
        &self,
        scope: &str,
        result: &KeptResult,
        ingredients: &[Ingredient],
    ) -> Result<(), StoreError> {
        self.results_locked().keep(scope, result, ingredients)
    }

    async fn last_ingredients(
        &self,
        scope: &str,
        stage: &StageName,
    ) -> Result<Option<(RunId, Vec<Ingredient>)>, StoreError> {
        Ok(self.results_locked().last(scope, stage))
    }

    async fn forget_result(&self, scope: &str, key: &Digest) -> Result<(), StoreError> {
        self.results_locked().forget(scope, &[*key])
    }

    async fn evict_results(&self, scope: &str, most: usize) -> Result<u64, StoreError> {
        self.results_locked().evict(scope, most)
    }
}
