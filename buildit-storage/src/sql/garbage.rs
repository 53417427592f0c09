//! Addresses.

use buildit::id::Digest;
use buildit::store::StoreError;

/// How many addresses a statement asks for.
pub(crate) const ASKED_AT_ONCE: usize = 1000;

/// Addresses out of a column.
pub(crate) fn digests(texts: Vec<String>) -> Result<Vec<Digest>, StoreError> {
    let digest = |text: &String| text.parse().map_err(|_| StoreError::Corrupt(format!("`{text}` is no address")));
    texts.iter().map(digest).collect()
}
