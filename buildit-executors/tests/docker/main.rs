//! Jobs in containers of a real engine. None of the tests pulls an image: theirs is made on the spot from the busybox
//! of this host.
#![cfg(feature = "docker")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod adoption;
mod basics;
mod daemon;
mod files;
mod log;
mod podman;
mod private;
mod registry;
mod remote;
mod secrets;
mod services;
mod stopping;
mod world;
