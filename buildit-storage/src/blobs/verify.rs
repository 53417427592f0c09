//! Reading with a check.

use buildit::artifact::{BlobError, BlobStream};
use buildit::id::Digest;
use futures_util::{StreamExt, stream};

/// The same stream, which ends with [`BlobError::Corrupt`] when it was not what the digest says.
pub(super) fn verified(content: BlobStream, digest: Digest) -> BlobStream {
    let state = Some((content, blake3::Hasher::new()));
    Box::pin(stream::unfold(state, move |state| async move {
        let (mut content, mut hasher) = state?;
        match content.next().await {
            Some(Ok(piece)) => {
                hasher.update(&piece);
                Some((Ok(piece), Some((content, hasher))))
            }
            Some(Err(error)) => Some((Err(error), None)),
            None if Digest::from(hasher.finalize()) == digest => None,
            None => Some((Err(BlobError::Corrupt(digest)), None)),
        }
    }))
}
