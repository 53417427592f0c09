//! Blobs in an object store.

mod connect;
mod folder;
mod remove;
mod store;
#[cfg(test)]
mod tests;
mod verify;

pub use store::ObjectBlobs;
