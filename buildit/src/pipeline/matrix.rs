//! The matrix of a stage, and its expansion into cells.

use std::sync::Arc;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{Origin, PipelineSpec, StageSpec};
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// An `exclude` names an axis or a value that the matrix does not have, so it would exclude nothing.
    #[error("the matrix of stage `{stage}` excludes {axis}={value}, which it does not have")]
    UnknownExclude {
        /// The stage.
        stage: StageName,
        /// The axis.
        axis: String,
        /// Its value.
        value: String,
        /// Where it was written.
        origin: Option<Box<Origin>>,
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
    /// needs `test` still says so: the graph reads that as all of its cells. References are left as they are.
    ///
    /// # Errors
    ///
    /// [`ExpandError`] when a matrix has no cell or too many, or excludes what it does not have. Sizes are computed
    /// before anything is made.
    pub fn expand(&self, limits: ExpandLimits) -> Result<Self, ExpandError> {
        let mut total = 0_usize;
        for stage in &self.stages {
            total = total.saturating_add(match &stage.matrix {
                Some(matrix) => matrix.count(stage, limits.cells)?,
                None => 1,
            });
        }
        if total > limits.stages {
            return Err(ExpandError::TooManyStages { limit: limits.stages });
        }
        if self.stages.iter().all(|stage| stage.matrix.is_none()) {
            return Ok(self.clone());
        }
        let mut stages = Vec::with_capacity(total);
        for stage in &self.stages {
            match &stage.matrix {
                Some(matrix) => stages.extend(matrix.cells().map(|values| Arc::new(cell(stage, values)))),
                None => stages.push(stage.clone()),
            }
        }
        Ok(Self { stages, ..self.clone() })
    }
}

/// The stage that is one cell of the matrix of `stage`.
fn cell(stage: &StageSpec, values: IndexMap<String, String>) -> StageSpec {
    let mut name = format!("{}[", stage.name);
    for (position, (axis, value)) in values.iter().enumerate() {
        if position > 0 {
            name.push(',');
        }
        name.extend([axis, "=", value]);
    }
    name.push(']');
    let cell = Cell { of: stage.name.clone(), values };
    StageSpec { name: name.into(), matrix: None, cell: Some(Box::new(cell)), ..stage.clone() }
}

impl Matrix {
    /// How many candidates may be looked at to count the cells that `exclude` leaves, as cells times excludes.
    const COUNTED: u64 = 10_000_000;

    /// How many cells there are, without making one.
    fn count(&self, stage: &StageSpec, limit: usize) -> Result<usize, ExpandError> {
        let name = || stage.name.clone();
        let origin = || stage.origins.get("matrix").cloned().map(Box::new);
        for (axis, value) in self.exclude.iter().flatten() {
            if !self.axes.get(axis).is_some_and(|values| values.contains(value)) {
                let (axis, value) = (axis.clone(), value.clone());
                return Err(ExpandError::UnknownExclude { stage: name(), axis, value, origin: origin() });
            }
        }
        let mut cells = u64::from(!self.axes.is_empty());
        for values in self.axes.values() {
            cells = cells.saturating_mul(values.len() as u64);
        }
        if !self.exclude.is_empty() && cells.saturating_mul(self.exclude.len() as u64) <= Self::COUNTED {
            cells = self.candidates().filter(|candidate| !self.excludes(candidate)).count() as u64;
        }
        if cells == 0 {
            return Err(ExpandError::NoCell { stage: name(), origin: origin() });
        }
        match usize::try_from(cells) {
            Ok(cells) if cells <= limit => Ok(cells),
            _ => Err(ExpandError::TooManyCells { stage: name(), cells, limit, origin: origin() }),
        }
    }

    /// The cells in order, the last axis the fastest.
    fn cells(&self) -> impl Iterator<Item = IndexMap<String, String>> {
        let cells = self.candidates().filter(|candidate| !self.excludes(candidate));
        cells.map(|values| self.axes.keys().cloned().zip(values.into_iter().map(str::to_owned)).collect())
    }

    /// Every combination of values, in the order of the axes, excluded ones too.
    fn candidates(&self) -> impl Iterator<Item = Vec<&str>> {
        let total: usize = self.axes.values().map(Vec::len).product();
        (0..total).map(|number| {
            let mut rest = number;
            let mut values: Vec<&str> = Vec::with_capacity(self.axes.len());
            for axis in self.axes.values().rev() {
                values.push(&axis[rest % axis.len()]);
                rest /= axis.len();
            }
            values.reverse();
            values
        })
    }

    /// Whether the candidate agrees with all values of one `exclude`.
    fn excludes(&self, candidate: &[&str]) -> bool {
        self.exclude.iter().any(|exclude| {
            !exclude.is_empty()
                && self.axes.keys().zip(candidate).all(|(axis, value)| exclude.get(axis).is_none_or(|out| out == value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{Action, RunAction};

    fn matrix(axes: &[(&str, &[&str])], exclude: &[&[(&str, &str)]]) -> PipelineSpec {
        let owned = |text: &&str| (*text).to_owned();
        let axes = axes.iter().map(|(axis, values)| (owned(axis), values.iter().map(owned).collect()));
        let exclude = exclude.iter().map(|one| one.iter().map(|(axis, value)| (owned(axis), owned(value))).collect());
        let mut stage = StageSpec::new("test", Action::Run(RunAction::default()));
        stage.matrix = Some(Box::new(Matrix { axes: axes.collect(), exclude: exclude.collect() }));
        PipelineSpec { stages: vec![Arc::new(stage)], ..PipelineSpec::default() }
    }

    fn names(spec: &PipelineSpec) -> Result<Vec<String>, ExpandError> {
        Ok(spec.expand(ExpandLimits::default())?.stages.iter().map(|stage| stage.name.to_string()).collect())
    }

    #[test]
    fn cells_are_named_by_their_values_in_written_order() {
        let spec =
            matrix(&[("db", &["pg", "lite"]), ("arch", &["amd64", "arm64"])], &[&[("db", "lite"), ("arch", "arm64")]]);
        assert_eq!(
            names(&spec).unwrap(),
            ["test[db=pg,arch=amd64]", "test[db=pg,arch=arm64]", "test[db=lite,arch=amd64]"]
        );
        let cell = spec.expand(ExpandLimits::default()).unwrap().stages[1].cell.clone().unwrap();
        assert_eq!(cell.of, "test");
        assert_eq!(cell.values["arch"], "arm64");
    }

    #[test]
    fn an_exclude_of_one_axis_takes_all_its_cells() {
        let spec = matrix(&[("a", &["1", "2"]), ("b", &["x", "y"])], &[&[("a", "1")]]);
        assert_eq!(names(&spec).unwrap(), ["test[a=2,b=x]", "test[a=2,b=y]"]);
    }

    #[test]
    fn g7_a_thousand_million_cells_are_refused_before_one_is_made() {
        let values: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let spec = matrix(&[("a", &values), ("b", &values), ("c", &values)], &[]);
        let error = names(&spec).unwrap_err();
        assert!(matches!(error, ExpandError::TooManyCells { cells: 1_000_000_000, limit: 1024, .. }), "{error}");
        let axes = vec![("a", &values[..]); 1];
        assert_eq!(names(&matrix(&axes, &[])).unwrap().len(), 1000);
        let many = ["a", "b", "c", "d", "e", "f", "g", "h"].map(|axis| (axis, &values[..]));
        assert!(matches!(
            names(&matrix(&many, &[&[("a", "1")]])).unwrap_err(),
            ExpandError::TooManyCells { cells: u64::MAX, .. }
        ));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(matches!(names(&matrix(&[], &[])), Err(ExpandError::NoCell { .. })));
        assert!(matches!(names(&matrix(&[("a", &[])], &[])), Err(ExpandError::NoCell { .. })));
        assert!(matches!(names(&matrix(&[("a", &["1"])], &[&[("a", "1")]])), Err(ExpandError::NoCell { .. })));
        let unknown = names(&matrix(&[("a", &["1"])], &[&[("a", "2")]])).unwrap_err();
        assert_eq!(unknown.to_string(), "the matrix of stage `test` excludes a=2, which it does not have");
    }
}
