//! A server instead of a store: its API, the keys for it, and its runs as the commands look at them.

mod client;
mod course;
mod error;
mod keys;
mod me;
mod pipelines;
mod records;
mod run_url;
mod sse;
mod vault;

pub(crate) use client::{Client, body, nothing};
pub(crate) use course::{RemoteRun, answer};
pub(crate) use error::{RemoteError, failed};
pub(crate) use keys::{Keys, address};
pub(crate) use me::Me;
pub(crate) use pipelines::{Pipeline, named};
pub(crate) use records::{RemoteRecords, RunLine};
pub(crate) use run_url::RunUrl;
pub(crate) use vault::RemoteVault;
