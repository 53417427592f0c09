//! The graph as plain data, for whoever draws it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Graph;
use crate::id::StageName;
use crate::pipeline::PipelineSpec;

/// A graph as plain data: what `buildit graph --format json` prints and a page draws.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphLayout {
    /// The pipeline's name.
    pub pipeline: String,
    /// The stages in the order in which they were written.
    pub stages: Vec<StageLayout>,
    /// The edges (need, dependent) that no longer path implies: what a drawing shows.
    pub edges: Vec<(StageName, StageName)>,
}

/// A stage of a [`GraphLayout`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageLayout {
    /// Its name.
    pub name: StageName,
    /// The matrix that it is a cell of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix: Option<StageName>,
    /// Its column, from 0: one more than the highest among its needs.
    pub level: u32,
    /// Its row within the column, from 0.
    pub row: u32,
    /// Whether it lies on a longest chain.
    pub critical: bool,
    /// The stages that it needs, cells expanded.
    pub needs: Vec<StageName>,
}

impl Graph {
    /// This graph as plain data; `spec` is the pipeline that it was made of.
    #[must_use]
    pub fn layout(&self, spec: &PipelineSpec) -> GraphLayout {
        let levels = self.levels();
        let mut rows = vec![0_u32; self.len()];
        let mut critical = vec![false; self.len()];
        for stage in self.critical_path(|_| Duration::from_secs(1)) {
            critical[stage.index()] = true;
        }
        let stages = self.stages().zip(&spec.stages).map(|(stage, of)| {
            let level = levels[stage.index()];
            let row = rows[level as usize];
            rows[level as usize] += 1;
            StageLayout {
                name: of.name.clone(),
                matrix: of.cell.as_ref().map(|cell| cell.of.clone()),
                level,
                row,
                critical: critical[stage.index()],
                needs: self.needs(of).map(|need| self.name(need).clone()).collect(),
            }
        });
        let edges = self.transitive_reduction().into_iter();
        GraphLayout {
            pipeline: spec.name.clone(),
            stages: stages.collect(),
            edges: edges.map(|(need, stage)| (self.name(need).clone(), self.name(stage).clone())).collect(),
        }
    }
}
