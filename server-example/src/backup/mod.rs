//! Backups: all that a server with a store in a file keeps, as one archive, and a server's folder made of one.
//!
//! ```text
//! backup.json      the form of the archive, and what the database's digest is
//! buildit.db       the database, as it was at one moment
//! secret.key       what opens the secrets in it, if that was asked for
//! blobs/DIGEST     each blob that the database refers to
//! end.json         how many blobs there were: without it, the archive was cut off
//! ```
//!
//! The database comes first: a blob is there before anything refers to it, so all that the copy refers to are there when it
//! is made, and the others are left out. Those could go meanwhile, when their runs are forgotten and garbage is collected:
//! they are held until they are copied. One that went before it was held makes the backup begin anew.
//!
//! A restore writes into an empty folder, with a mark in it until all of it is there and verified. No server opens a
//! folder with that mark.

mod archive;
mod error;
mod mark;
mod places;
mod read;
mod staging;
mod write;

pub use error::BackupError;
pub(crate) use mark::is_unfinished;
pub use read::{KeyRestored, Restored};
pub use write::{KeyFile, Written};
