//! What is in an archive.

use std::io::{self, Read, Write};

use buildit::id::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::task::JoinError;

use super::error::BackupError;

/// The form of archives. One that older versions cannot read has a higher number.
pub(super) const FORM: u32 = 1;

pub(super) const HEAD: &str = "backup.json";
pub(super) const DATABASE: &str = "buildit.db";
pub(super) const KEY: &str = "secret.key";
pub(super) const BLOBS: &str = "blobs/";
pub(super) const END: &str = "end.json";

/// How long the texts in an archive are at most: the head, the end, and the key.
pub(super) const TEXT_BYTES: u64 = 64 << 10;

/// How an archive begins.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) form: u32,
    /// The version that made it, for people.
    pub(super) version: String,
    pub(super) created_at: Timestamp,
    /// The database's digest.
    pub(super) database: Digest,
}

/// How it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct End {
    pub(super) blobs: u64,
    pub(super) bytes: u64,
}

/// How much is read at once.
pub(super) const PIECE: usize = 256 << 10;

/// Writes there all that is read; its digest and its length.
pub(super) fn copy(
    mut from: impl Read,
    mut to: impl Write,
    unreadable: impl FnOnce(io::Error) -> BackupError,
    unwritable: impl FnOnce(io::Error) -> BackupError,
) -> Result<(Digest, u64), BackupError> {
    let (mut hasher, mut bytes, mut piece) = (blake3::Hasher::new(), 0, vec![0; PIECE]);
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) => return Ok((Digest::from(hasher.finalize()), bytes)),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(error)),
        };
        hasher.update(&piece[..read]);
        bytes += read as u64;
        if let Err(error) = to.write_all(&piece[..read]) {
            return Err(unwritable(error));
        }
    }
}

/// A task that nobody aborts ends, or panics.
pub(super) fn or_panic<T>(error: JoinError) -> T {
    std::panic::resume_unwind(error.into_panic())
}
