//! BuildIt: a CI/CD engine that you embed.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod artifact;
pub mod backend;
#[cfg(feature = "engine")]
mod backoff;
pub mod cancel;
pub mod clock;
pub mod condition;
#[cfg(feature = "kdl")]
#[cfg_attr(docsrs, doc(cfg(feature = "kdl")))]
pub mod config;
pub mod deployer;
pub mod deployment;
pub mod diagnostic;
#[cfg(feature = "engine")]
#[cfg_attr(docsrs, doc(cfg(feature = "engine")))]
pub mod durable;
#[cfg(feature = "engine")]
#[cfg_attr(docsrs, doc(cfg(feature = "engine")))]
pub mod engine;
pub mod event;
pub mod executor;
pub mod fault;
pub mod graph;
pub mod id;
pub mod job;
#[cfg(feature = "engine")]
pub mod log;
pub mod memory;
pub mod pipeline;
pub mod plan;
pub mod run;
pub mod secret;
pub mod store;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;
pub mod variables;
#[cfg(feature = "engine")]
#[cfg_attr(docsrs, doc(cfg(feature = "engine")))]
pub mod wrap;
