//! Executors for BuildIt: what runs the jobs of a pipeline.
//!
//! | feature | module | what it is |
//! |---|---|---|
//! | `local` (default), Linux | `local` | processes of this host |
//! | `docker` | `docker` | jobs in containers of Docker or Podman, here or on a remote host |
//! | `reports` | `reports` | what test runners report |
//! | always | [`remote`] | repositories that are elsewhere: their copies, and commits of them as sources |
//! | always | [`source`] | what a working tree or a folder holds, for a run to start with |
//! | always | [`workspace`] | archives, artifacts, outputs and caches, shared by all executors |
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "docker")]
#[cfg_attr(docsrs, doc(cfg(feature = "docker")))]
pub mod docker;
#[cfg(all(feature = "local", target_os = "linux"))]
#[cfg_attr(docsrs, doc(cfg(feature = "local")))]
pub mod local;
pub mod remote;
#[cfg(feature = "reports")]
#[cfg_attr(docsrs, doc(cfg(feature = "reports")))]
pub mod reports;
#[cfg(any(feature = "docker", all(feature = "local", target_os = "linux")))]
#[cfg_attr(
    not(all(feature = "docker", feature = "local", target_os = "linux")),
    expect(dead_code, reason = "each executor leaves something to the other")
)]
mod script;
pub mod source;
pub mod workspace;
