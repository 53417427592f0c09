//! Repositories that are elsewhere: a copy of each is kept, and a commit of it becomes the source of a run.
//!
//! ```text
//! RemoteAddress, Credential ─► Remote ─► Mirror: fetch ─► resolve, describe, read, changes
//!                                          │
//!                                          └─► snapshot: a commit with its `.git` as an archive in the blob store
//! ```
//!
//! All of it is done by the `git` program, which is told nothing of the machine's settings, follows no redirects, runs no
//! hooks, and speaks the one protocol of the address it is given. What lets it in is in its environment or in a file for
//! its owner alone, never in an argument, an address or a message. Whatever is cancelled or takes too long is ended with
//! all that it has started.

mod address;
mod checkout;
mod error;
mod git;
mod hosts;
mod mirror;
mod read;
#[cfg(test)]
mod tests;

pub use address::{RemoteAddress, ThisMachine};
pub use checkout::{Snapshot, Trust, Wanted};
pub use error::RemoteError;
pub use git::{Credential, Remote};
pub use mirror::{Head, Mirror};
pub use read::{Branch, Comparison, Described, Revision};
