//! Blobs in an object store.

mod connect;
mod remove;
mod store;
#[cfg(test)]
mod tests;
mod verify;

pub use store::ObjectBlobs;
