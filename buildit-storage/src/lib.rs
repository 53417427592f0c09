//! Stores for BuildIt.
//!
//! - [`SqliteStore`](sqlite::SqliteStore) (feature `sqlite`, on by default) keeps runs, logs, the queue, secrets,
//!   accounts and the index of caches and results in one file.
//! - [`PostgresStore`](postgres::PostgresStore) (feature `postgres`) keeps the same in a PostgreSQL database, which
//!   several engines share.
//! - [`ObjectBlobs`] keeps blobs (artifacts, caches, source snapshots) in anything that `object_store` speaks to; a
//!   folder is the default, and with the features `s3`, `gcs` and `azure` it
//!   [connects](ObjectBlobs::connect) to buckets.
//! - `secrets` (feature `secrets`) seals secrets that any of these stores keeps.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod accounts;
mod blobs;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod notifications;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod records;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod repositories;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod schedules;
#[cfg(feature = "secrets")]
#[cfg_attr(docsrs, doc(cfg(feature = "secrets")))]
pub mod secrets;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod steering;

pub use blobs::ObjectBlobs;
