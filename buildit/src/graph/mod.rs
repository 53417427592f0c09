//! The stages of a pipeline as a validated graph: no unknown need, no name twice, no circle.
//!
//! A [`Graph`] holds names and edges in flat arrays: about 40 bytes a stage beside the names. Algorithms run on
//! petgraph over a private view of those arrays; nothing here is recursive, so that the depth of a pipeline costs no
//! stack.
//!
//! ```
//! use buildit::graph::Graph;
//! use buildit::pipeline::{PipelineBuilder, StageBuilder};
//!
//! let spec = PipelineBuilder::new("shop")
//!     .stage(StageBuilder::run("fmt", "cargo fmt --check"))
//!     .stage(StageBuilder::run("test", "cargo test").needs(["fmt"]))
//!     .build();
//! let graph = Graph::new(&spec)?;
//! let test = graph.index("test").expect("the stage is there");
//! assert_eq!(graph.levels()[test.index()], 1);
//! # Ok::<(), buildit::diagnostic::Diagnostics>(())
//! ```

mod build;
mod csr;
mod cycle;
mod draw;
mod layout;
mod names;
mod order;
mod reduce;
mod select;

use std::fmt;

pub use layout::{GraphLayout, StageLayout};

use self::csr::Csr;
use self::names::Names;
use crate::diagnostic::Diagnostics;
use crate::id::StageName;
use crate::pipeline::{PipelineSpec, StageSpec};

/// A stage's place in its pipeline, from 0. It means nothing outside the [`Graph`] that it is of and is never kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageIndex(u32);

impl StageIndex {
    /// The stage at this place.
    ///
    /// # Panics
    ///
    /// When the place is beyond `u32`, which no pipeline reaches: [`Graph::new`] refuses one of that size.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a pipeline of four thousand million stages is refused when it is compiled")]
    pub fn new(index: usize) -> Self {
        Self(u32::try_from(index).expect("a graph has fewer than 2^32 stages"))
    }

    /// The place as a number.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Debug for StageIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// The validated graph of a pipeline whose matrices are [expanded](PipelineSpec::expand).
#[derive(Clone)]
pub struct Graph {
    names: Names,
    dependents: Csr,
    in_degree: Box<[u32]>,
}

impl Graph {
    /// The graph of this pipeline. A need on the written name of a matrix means all of its cells.
    ///
    /// # Errors
    ///
    /// All that is wrong at once: `no-stage`, `duplicate-stage`, `unknown-need` (with the name that was probably
    /// meant), `self-need` and `cycle` (named stage by stage), `too-many-stages`, `too-many-needs`.
    pub fn new(spec: &PipelineSpec) -> Result<Self, Diagnostics> {
        build::graph(spec)
    }

    /// How many stages there are; never 0.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a graph without a stage cannot be made")]
    pub fn len(&self) -> usize {
        self.in_degree.len()
    }

    /// How many edges there are; a need that was written twice counts once.
    #[must_use]
    pub fn edge_count(&self) -> usize {
        self.dependents.edge_count()
    }

    /// All stages, in the order in which they were written.
    pub fn stages(&self) -> impl DoubleEndedIterator<Item = StageIndex> + ExactSizeIterator + use<> {
        (0..self.in_degree.len() as u32).map(StageIndex)
    }

    /// The name of a stage.
    ///
    /// # Panics
    ///
    /// When the stage is of another, larger graph.
    #[must_use]
    pub fn name(&self, stage: StageIndex) -> &StageName {
        self.names.name(stage)
    }

    /// The stage of this name; for the name of a matrix see [`resolve`](Self::resolve).
    #[must_use]
    pub fn index(&self, name: &str) -> Option<StageIndex> {
        self.names.index(name)
    }

    /// The stages that a name in `needs` or `--stage` means: one, or all cells of a matrix; none when it is unknown.
    #[must_use]
    pub fn resolve(&self, name: &str) -> Resolved<'_> {
        match self.names.index(name) {
            Some(stage) => Resolved::One(stage),
            None => Resolved::Cells(self.names.cells(name)),
        }
    }

    /// The stages that need this one, in the order in which they were written.
    ///
    /// # Panics
    ///
    /// When the stage is of another, larger graph.
    #[must_use]
    pub fn dependents(&self, stage: StageIndex) -> &[StageIndex] {
        self.dependents.targets(stage)
    }

    /// How many stages this one needs, each counted once.
    ///
    /// # Panics
    ///
    /// When the stage is of another, larger graph.
    #[must_use]
    pub fn in_degree(&self, stage: StageIndex) -> u32 {
        self.in_degree[stage.index()]
    }

    /// The stages that this one needs, in the order in which it names them. They are looked up by name (the graph
    /// keeps its edges in one direction only, which halves its memory), so this is not for inner loops.
    pub fn needs<'a>(&'a self, stage: &'a StageSpec) -> impl Iterator<Item = StageIndex> + 'a {
        // One name can only stand for one stage or one matrix: with a single name nothing comes twice.
        let mut seen = (stage.needs.len() > 1).then(hashbrown::HashSet::<_, foldhash::fast::RandomState>::default);
        let needs = stage.needs.iter().flat_map(|need| self.resolve(need));
        needs.filter(move |need| seen.as_mut().is_none_or(|seen| seen.insert(*need)))
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Graph").field("stages", &self.len()).field("edges", &self.edge_count()).finish()
    }
}

/// The stages that a name means.
#[derive(Clone, Debug)]
pub enum Resolved<'a> {
    /// A stage.
    One(StageIndex),
    /// The cells of a matrix, empty when there is no such matrix either.
    Cells(&'a [StageIndex]),
}

impl Resolved<'_> {
    /// Whether the name means nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Cells([]))
    }
}

impl Iterator for Resolved<'_> {
    type Item = StageIndex;

    fn next(&mut self) -> Option<StageIndex> {
        match *self {
            Self::One(stage) => {
                *self = Self::Cells(&[]);
                Some(stage)
            }
            Self::Cells(cells) => {
                let (first, rest) = cells.split_first()?;
                *self = Self::Cells(rest);
                Some(*first)
            }
        }
    }
}

#[cfg(test)]
mod tests;
