//! A pipeline made ready to run: matrices expanded, scripts compiled, every name checked, the graph built.

mod check;
mod checksums;
mod context;
mod environment;
mod findings;
mod flags;
mod resolve;
mod stages;
mod texts;
#[cfg(feature = "engine")]
mod weak;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

pub use environment::{is_reserved, problem_of_variable};
pub use resolve::{ResolvedStage, SecretTemplates, resolve_stage};

use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::graph::Graph;
use crate::pipeline::{ExpandError, ExpandLimits, PipelineSpec};
use crate::variables::Variable;
use check::Checker;
use findings::Findings;
pub(crate) use flags::StageFlags;
#[cfg(feature = "engine")]
pub(crate) use weak::WeakPlan;

/// A pipeline that is ready to run.
#[derive(Clone, Debug)]
pub struct Plan {
    spec: Arc<PipelineSpec>,
    graph: Arc<Graph>,
    warnings: Vec<Diagnostic>,
    /// The names of `custom.NAME` that have no default.
    customs: Arc<BTreeSet<String>>,
    flags: Arc<[StageFlags]>,
}

impl Plan {
    /// Makes a pipeline ready to run: checks every reference and condition, turns the references of scripts into
    /// expansions of environment variables, expands the matrices, and builds the graph.
    ///
    /// # Errors
    ///
    /// All findings at once, warnings included, in the order of their places. Each names the part that is meant, and
    /// has its origin where the pipeline was read from text.
    pub fn compile(spec: &PipelineSpec, limits: ExpandLimits) -> Result<Self, Diagnostics> {
        let mut out = Findings::default();
        let mut checker = Checker::new(spec);
        checker.check(&mut out);
        let Checker { compiled, uses, mut customs, .. } = checker;
        customs.extend(uses.iter().filter_map(|used| match &used.variable {
            Variable::Custom(name) => Some(name.clone()),
            _ => None,
        }));
        let mut written = Cow::Borrowed(spec);
        if !compiled.is_empty() {
            let written = written.to_mut();
            for (index, stage) in compiled {
                written.stages[index] = stage;
            }
        }
        let graph = match written.expand(limits) {
            Ok(expanded) => match Graph::new(&expanded) {
                Ok(graph) => {
                    stages::check(&written, &expanded, &graph, &uses, &mut out);
                    Some((expanded, graph))
                }
                Err(findings) => {
                    out.0.extend(findings.0);
                    None
                }
            },
            Err(error) => {
                out.0.push(not_expanded(&error));
                None
            }
        };
        let found = out.sorted();
        match graph {
            Some((expanded, graph)) if !found.has_errors() => {
                let (spec, graph) = (Arc::new(expanded), Arc::new(graph));
                let flags = flags_of(&spec);
                Ok(Self { spec, graph, warnings: found.0, customs: Arc::new(customs), flags })
            }
            _ => Err(found),
        }
    }

    /// The plan of a pipeline that was compiled before and comes back from a store: only its graph is built.
    ///
    /// # Errors
    ///
    /// [`Diagnostics`] when the pipeline is none that was compiled.
    pub fn restore(spec: Arc<PipelineSpec>) -> Result<Self, Diagnostics> {
        let graph = Arc::new(Graph::new(&spec)?);
        let flags = flags_of(&spec);
        Ok(Self { spec, graph, warnings: Vec::new(), customs: Arc::default(), flags })
    }

    /// What is known of each stage without a look at it.
    pub(crate) fn flags(&self) -> &[StageFlags] {
        &self.flags
    }

    /// The compiled pipeline: its matrices are expanded and its scripts hold no references.
    #[must_use]
    pub fn spec(&self) -> &Arc<PipelineSpec> {
        &self.spec
    }

    /// Its graph.
    #[must_use]
    pub fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    /// What is probably not meant, though it can run.
    #[must_use]
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }
}

fn flags_of(spec: &PipelineSpec) -> Arc<[StageFlags]> {
    spec.stages.iter().map(|stage| StageFlags::of(stage)).collect()
}

fn not_expanded(error: &ExpandError) -> Diagnostic {
    let (code, stage, origin) = match error {
        ExpandError::TooManyCells { stage, origin, .. } => ("too-many-cells", Some(stage), origin.as_deref()),
        ExpandError::NoCell { stage, origin } => ("no-cell", Some(stage), origin.as_deref()),
        ExpandError::UnknownExclude { stage, origin, .. } => ("unknown-exclude", Some(stage), origin.as_deref()),
        _ => ("too-many-stages", None, None),
    };
    let finding = Diagnostic::error(code, error.to_string()).with_part(stage.cloned(), "matrix", None);
    debug_assert_eq!(finding.severity, Severity::Error);
    match origin {
        Some(origin) => finding.with_origin(origin.clone()),
        None => finding,
    }
}

#[cfg(test)]
mod tests;
