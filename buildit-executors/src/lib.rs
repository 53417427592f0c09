//! Executors for BuildIt: what runs the jobs of a pipeline.
//!
//! | feature | module | what it is |
//! |---|---|---|
//! | always | [`workspace`] | archives, artifacts, outputs and caches, shared by all executors |
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod workspace;
