//! People are told what they want to hear of.
//!
//! ```text
//! engine ── its store ── a run is about to be closed, a stage waits ─► outbox: a notification for each channel, once
//!                                                                         │
//! any server ◄── takes what is due, each for a while, and sends it ───────┘
//!    │
//!    ├─ slack, webhook: one POST to an address that the guard lets through
//!    └─ email: the mail server
//! ```
//!
//! That a run has ended is put into the outbox before the run is closed: a server that is killed in between leaves an open
//! run, and whoever closes that does it again; of one subject of a run a channel is told once, so nothing is doubled. What
//! is being sent when a server is killed is sent again: who gets it knows it by its id.

mod about;
mod guard;
mod notice;
mod outbox;
mod send;
mod work;

pub(crate) use about::{page_of, pipeline_of};
pub(crate) use guard::{Guard, Refused};
pub(crate) use notice::Notice;
pub(crate) use outbox::{MOST, Outbox};
pub(crate) use send::{Courier, key_of, url_of};
pub(crate) use work::work;
