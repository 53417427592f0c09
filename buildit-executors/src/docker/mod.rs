//! Jobs in containers of Docker or of Podman, on this host or a remote one.
//!
//! ```no_run
//! # async fn example() -> Result<(), buildit::executor::ExecutorError> {
//! use buildit_executors::docker::{self, DockerOptions};
//!
//! let here = docker::connect(DockerOptions::new()).await?; // as `docker` itself would
//! let there = docker::connect_to("tcp://build-host:2375", DockerOptions::new().with_name("far")).await?;
//! # Ok(()) }
//! ```
//!
//! # What a job is
//!
//! A container named after the job's id, with its workspace in its own layer: inputs are uploaded, products downloaded,
//! and nothing of this host is mounted, so that a remote engine works as a local one does. The container begins with a
//! script of a `sh`, which an image must have; the image's own entry point is run only when the stage names one
//! (`entrypoint`), and then gets that script as its arguments. A stage with services gets a private network on which
//! each service has its name.
//!
//! # Secrets
//!
//! They are fed through the container's standard input and are in no configuration. What a job *prints* lies in clear
//! text in the container engine's own log until the job is released: that is where its output is read from, and the
//! engine knows nothing of masking.
//!
//! # Output
//!
//! It is read by following the engine's log, never by attaching: a reader of an attach that stalls stops the job. The
//! log has no position to resume at, so that a restarted engine reads it from its start and passes over what is stored.

mod archive;
mod auth;
mod backend;
mod config;
mod connect;
mod create;
mod endpoint;
mod engine;
mod entry;
mod error;
mod exec;
mod fetched;
mod files;
mod follow;
mod image;
mod inputs;
mod lock;
mod names;
mod options;
mod outcome;
mod pull;
mod removals;
mod remove;
mod services;
mod start;
mod stop;
mod supports;
#[cfg(test)]
mod tests;

pub use backend::{DockerBackend, DockerExecutor};
pub use connect::{connect, connect_to};
pub use options::{DockerOptions, Network, Privileged};
