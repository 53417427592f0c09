//! Whether a stage runs at all: its `when`.
//!
//! [`check`] looks at a condition before a run, [`evaluate`] decides it within one. An expression is
//! [CEL](https://cel.dev) over the names of the language (feature `condition`), with `success()`, `failure()`,
//! `always()` and `changed("glob")`; its size, depth and cost are bounded before it is evaluated.

#[cfg(feature = "condition")]
mod expression;
mod glob;
mod properties;
mod trigger;

pub use glob::{GlobError, Globs};
pub use trigger::{NotTriggered, triggers};

use crate::pipeline::When;
use crate::variables::{NameError, ResolveError, Scope, StageNames, Variable};

/// How the run went so far, as a stage sees it: for `success()` and `failure()`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Whether a need failed, or was skipped because of a failure: `success()` is the opposite.
    pub need_failed: bool,
    /// Whether any stage before this one failed, direct or not: `failure()`.
    pub any_failed_before: bool,
}

/// What a condition says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the stage may run.
    pub holds: bool,
    /// The clause that decided, for people; the whole condition when all of it did.
    pub clause: String,
}

/// Why a condition cannot be evaluated. It never counts as true: the stage fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConditionError {
    /// The expression is malformed or too costly, or names what does not exist.
    #[error("{0}")]
    Invalid(#[from] NameError),
    /// A variable has no value.
    #[error(transparent)]
    Variable(#[from] ResolveError),
    /// An operation failed: a comparison of unlike types, a number that is none.
    #[error("{message}")]
    Failed {
        /// What went wrong.
        message: String,
    },
    /// The result is neither true nor false.
    #[error("the condition gives {kind}, not true or false")]
    NotBool {
        /// What it is: `a string`.
        kind: &'static str,
    },
    /// A glob is malformed.
    #[error(transparent)]
    Glob(#[from] GlobError),
}

/// What [`check`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// What is wrong.
    pub errors: Vec<NameError>,
    /// The results of other stages that it looks at, whose stages must exist and come before, and the values that the
    /// embedding program must give.
    pub noted: Vec<Variable>,
}

/// Whether the condition asks for `failure()` or `always()`, so that a failed need does not skip the stage.
#[must_use]
pub fn asks_for_failure(when: &When) -> bool {
    match when {
        When::Properties(_) => false,
        #[cfg(feature = "condition")]
        When::Expression(source) => expression::asks_for_failure(source),
        #[cfg(not(feature = "condition"))]
        When::Expression(_) => false,
    }
}

/// Decides a condition.
///
/// # Errors
///
/// [`ConditionError`] when it cannot be decided; the stage then fails.
pub fn evaluate(when: &When, scope: &Scope<'_>, flow: Flow) -> Result<Verdict, ConditionError> {
    match when {
        When::Properties(wanted) => properties::evaluate(wanted, scope.context),
        #[cfg(feature = "condition")]
        When::Expression(source) => expression::evaluate(source, scope, flow),
        #[cfg(not(feature = "condition"))]
        When::Expression(_) => {
            let _ = (scope, flow);
            Err(ConditionError::Invalid(no_expressions()))
        }
    }
}

/// Looks for what can be told to be wrong with a condition before any run.
#[must_use]
pub fn check(when: &When, names: &StageNames<'_, '_>) -> Checked {
    match when {
        When::Properties(wanted) => Checked { errors: properties::check(wanted), noted: Vec::new() },
        #[cfg(feature = "condition")]
        When::Expression(source) => expression::check(source, names),
        #[cfg(not(feature = "condition"))]
        When::Expression(_) => {
            let _ = names;
            Checked { errors: vec![no_expressions()], noted: Vec::new() }
        }
    }
}

#[cfg(not(feature = "condition"))]
fn no_expressions() -> NameError {
    NameError::new("no-expressions", "this program was built without expressions in `when`")
        .help("build it with the feature `condition`, or use properties: `when branch=\"main\"`")
}
