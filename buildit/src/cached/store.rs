//! The port [`ResultStore`].

use std::fmt::Debug;

use async_trait::async_trait;

use super::{Ingredient, KeptResult, Salt};
use crate::id::{Digest, RunId, StageName};
use crate::store::StoreError;

/// Keeps results of cacheable stages by the key of what they are made of. A result may be lost at any time. `scope` keeps
/// those of one pipeline from those of another.
#[async_trait]
pub trait ResultStore: Debug + Send + Sync + 'static {
    /// The salt of this store's keys: random, made once, and the same ever after.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn result_salt(&self) -> Result<Salt, StoreError>;

    /// The results under these keys, one or none for each, in the order of the keys. They count as used.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn find_results(&self, scope: &str, keys: &[Digest]) -> Result<Vec<Option<KeptResult>>, StoreError>;

    /// Keeps a result under its key, with what it is made of. What is there under the same key stays: two runs that make
    /// the same at once made the same.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it was not kept.
    async fn keep_result(&self, scope: &str, result: &KeptResult, ingredients: &[Ingredient])
    -> Result<(), StoreError>;

    /// What the result of this stage that was kept last is made of, as far as that is known, and the run that made it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn last_ingredients(
        &self,
        scope: &str,
        stage: &StageName,
    ) -> Result<Option<(RunId, Vec<Ingredient>)>, StoreError>;

    /// Forgets the result under this key, if there is one.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails.
    async fn forget_result(&self, scope: &str, key: &Digest) -> Result<(), StoreError>;

    /// Forgets the results that were not used for longest, all but `most`; how many.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails.
    async fn evict_results(&self, scope: &str, most: usize) -> Result<u64, StoreError>;
}
