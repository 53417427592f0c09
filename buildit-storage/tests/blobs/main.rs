//! Blobs in folders and buckets.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod conformance;
mod races;
#[cfg(feature = "s3")]
mod s3;
