//! A pipeline written in Rust.

/// Builds a [`PipelineSpec`](super::PipelineSpec).
#[derive(Clone, Debug, Default)]
pub struct PipelineBuilder {}

/// Builds a [`StageSpec`](super::StageSpec).
#[derive(Clone, Debug, Default)]
pub struct StageBuilder {}
