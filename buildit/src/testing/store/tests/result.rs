//! Its kept results.

use async_trait::async_trait;

use super::broken::Broken;
use super::faults::Fault;
use crate::cached::{Ingredient, KeptResult, ResultStore, Salt};
use crate::id::{Digest, RunId, StageName};
use crate::store::StoreError;

#[async_trait]
impl ResultStore for Broken {
    async fn result_salt(&self) -> Result<Salt, StoreError> {
        if self.has(Fault::NewSalts) { Ok(Salt::random()) } else { self.inner.result_salt().await }
    }

    async fn find_results(&self, scope: &str, keys: &[Digest]) -> Result<Vec<Option<KeptResult>>, StoreError> {
        let mut found = self.inner.find_results(self.scope(scope), keys).await?;
        if self.has(Fault::IgnoresUse) {
            // What was asked for is used no more than the others.
            let all: Vec<Digest> = self.kept.lock().unwrap().clone();
            self.inner.find_results(self.scope(scope), &all).await?;
        }
        match self.fault {
            Fault::FoundAlone => found.sort_by_key(Option::is_none),
            Fault::ForgetsProducts => found.iter_mut().flatten().for_each(|result| result.products = None),
            _ => {}
        }
        Ok(found)
    }

    async fn keep_result(
        &self,
        scope: &str,
        result: &KeptResult,
        ingredients: &[Ingredient],
    ) -> Result<(), StoreError> {
        let scope = self.scope(scope);
        self.kept.lock().unwrap().push(result.key);
        *self.made.lock().unwrap() = Some((result.job.run, ingredients.to_vec()));
        if self.has(Fault::LastResult) {
            self.inner.forget_result(scope, &result.key).await?;
        }
        self.inner.keep_result(scope, result, ingredients).await
    }

    async fn last_ingredients(
        &self,
        scope: &str,
        stage: &StageName,
    ) -> Result<Option<(RunId, Vec<Ingredient>)>, StoreError> {
        let found = self.inner.last_ingredients(self.scope(scope), stage).await?;
        Ok(if self.has(Fault::LastOfAnyStage) { found.and(self.made.lock().unwrap().clone()) } else { found })
    }

    async fn forget_result(&self, scope: &str, key: &Digest) -> Result<(), StoreError> {
        match self.has(Fault::NeverForgets) {
            true => Ok(()),
            false => self.inner.forget_result(self.scope(scope), key).await,
        }
    }

    async fn evict_results(&self, scope: &str, most: usize) -> Result<u64, StoreError> {
        self.inner.evict_results(self.scope(scope), most).await
    }
}

impl Broken {
    fn scope<'s>(&self, scope: &'s str) -> &'s str {
        if self.has(Fault::OneScope) { "" } else { scope }
    }
}
