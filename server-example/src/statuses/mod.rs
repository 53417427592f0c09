//! Forges are told how it stands with commits.
//!
//! ```text
//! engine ── its store ── a run is made, begins, waits, ends ─► Story: the run in a few words ─► what is to be said, once for
//! a change that starts no run ────────────────────────────────────────────────────────────────► each commit and context
//!                                                                                                   │
//! any server ◄── takes what is due, each for a while, and says it ─────────────────────────────────┘
//! ```
//!
//! Each pipeline has the context `buildit/NAME`, and where the repository's settings ask for it each stage has
//! `buildit/NAME/STAGE`. Of a commit and context only what is to be said last is kept, told from what is older by the numbers
//! of run and event: nothing old is said behind something new, whoever is late. That a run has ended is kept before it is
//! closed, so whoever closes it after another server was killed keeps it again.

mod follow;
mod send;
mod story;

pub(crate) use follow::{Refused, Reporter};
pub(crate) use send::work;
