//! A server instead of a store: its API, the keys for it, and its runs as the commands look at them.

mod client;
mod course;
mod error;
mod keys;
mod records;
mod sse;

pub(crate) use client::{Client, body, nothing};
pub(crate) use course::{RemoteRun, answer};
pub(crate) use error::{RemoteError, failed};
pub(crate) use keys::{Keys, address};
pub(crate) use records::{RemoteRecords, RunLine};
