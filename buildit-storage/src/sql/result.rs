//! Kept results of cacheable stages.

use std::collections::{BTreeSet, HashMap};

use buildit::cached::{Ingredient, KeptResult, Salt};
use buildit::id::Digest;
use buildit::store::StoreError;

use super::{from_json, to_json};

/// A result as its columns hold it.
#[derive(Clone, Debug)]
pub(crate) struct ResultRow {
    pub key: String,
    pub result: String,
    pub ingredients: String,
    pub blobs: Vec<String>,
}

impl ResultRow {
    pub(crate) fn new(result: &KeptResult, ingredients: &[Ingredient]) -> Result<Self, StoreError> {
        let blobs: BTreeSet<Digest> = result.blobs().collect();
        Ok(Self {
            key: result.key.to_hex(),
            result: to_json(result)?,
            ingredients: to_json(&ingredients)?,
            blobs: blobs.iter().map(Digest::to_hex).collect(),
        })
    }
}

/// The results that were found, in the order of the keys that were asked for.
pub(crate) fn in_order(keys: &[Digest], found: &[(String, String)]) -> Result<Vec<Option<KeptResult>>, StoreError> {
    let found: HashMap<&str, &str> = found.iter().map(|(key, result)| (key.as_str(), result.as_str())).collect();
    keys.iter().map(|key| found.get(key.to_hex().as_str()).map(|result| from_json(result)).transpose()).collect()
}

/// The salt out of its column.
pub(crate) fn salt(bytes: Vec<u8>) -> Result<Salt, StoreError> {
    let bytes: Result<[u8; 32], _> = bytes.try_into();
    bytes.map(Salt::from).map_err(|_| StoreError::Corrupt("the salt of results has not 32 bytes".into()))
}
