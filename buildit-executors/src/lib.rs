//! Executors for BuildIt: what runs the jobs of a pipeline.
//!
//! | feature | module | what it is |
//! |---|---|---|
//! | `local` (default), Linux | [`local`] | processes of this host |
//! | always | [`workspace`] | archives, artifacts, outputs and caches, shared by all executors |
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(all(feature = "local", target_os = "linux"))]
#[cfg_attr(docsrs, doc(cfg(feature = "local")))]
pub mod local;
// Until an executor of the feature uses it.
#[cfg(any(feature = "docker", feature = "local"))]
#[allow(dead_code, unused_imports, clippy::allow_attributes)]
mod script;
pub mod workspace;
