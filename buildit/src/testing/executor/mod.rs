//! What every executor must do: one suite that all of them pass, and that yours can be run through in a line.
//!
//! The suite runs small jobs on the executor: shell scripts, unless [`Probes`] says otherwise. For an executor that
//! takes no `run` stage, give the stages that do the same there; what has no probe is left out and said so.
//!
//! ```
//! use buildit::testing::executor::{Probes, Suite};
//! use buildit::testing::{Script, ScriptedExecutor};
//! use buildit::pipeline::StageBuilder;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let probes = Probes::none().succeeds(StageBuilder::run("any", "true").build());
//! let suite = Suite::new(|| ScriptedExecutor::new("local", Script::new())).probes(probes);
//! let report = suite.check().await?;
//! assert!(!report.passed.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(test)]
mod broken;
mod clauses;
mod probes;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use clauses::Clause;
pub use probes::Probes;

use crate::executor::Executor;
use crate::id::RunId;

/// Runs the shell probes on the executors that `make` makes. Each call of `make` is an engine that has just started:
/// what it makes must see what an earlier one left behind.
///
/// # Errors
///
/// [`Violations`] with every clause that the executor breaks.
pub async fn conformance<E: Executor>(make: impl Fn() -> E + Send + Sync + 'static) -> Result<Report, Violations> {
    Suite::new(make).check().await
}

/// The suite and what it needs to know of the executor.
pub struct Suite {
    make: Box<dyn Fn() -> Arc<dyn Executor> + Send + Sync>,
    probes: Probes,
    patience: Duration,
    leftovers: Option<Leftovers>,
}

/// What is left of a run at a backend.
type Leftovers = Box<dyn Fn(RunId) -> Vec<String> + Send + Sync>;

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suite").field("probes", &self.probes).finish_non_exhaustive()
    }
}

impl Suite {
    /// The suite for the executors that `make` makes; see [`conformance`].
    pub fn new<E: Executor>(make: impl Fn() -> E + Send + Sync + 'static) -> Self {
        Self {
            make: Box::new(move || Arc::new(make())),
            probes: Probes::shell(),
            patience: Duration::from_secs(60),
            leftovers: None,
        }
    }

    /// The same with other jobs.
    #[must_use]
    pub fn probes(mut self, probes: Probes) -> Self {
        self.probes = probes;
        self
    }

    /// The same with every probe run in this image, for executors of containers.
    #[must_use]
    pub fn image(mut self, reference: &str) -> Self {
        self.probes = self.probes.in_image(reference);
        self
    }

    /// How long a job of a probe may take before it counts as hanging; 60 s without.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// How to find what is left of a run at the backend: folders, containers, processes. It is asked after `reap`.
    #[must_use]
    pub fn leftovers(mut self, find: impl Fn(RunId) -> Vec<String> + Send + Sync + 'static) -> Self {
        self.leftovers = Some(Box::new(find));
        self
    }

    /// Checks all clauses, one after another.
    ///
    /// # Errors
    ///
    /// [`Violations`] with every clause that the executor breaks.
    pub async fn check(&self) -> Result<Report, Violations> {
        let mut report = Report::default();
        let mut broken = Vec::new();
        for clause in Clause::ALL {
            match self.check_one(clause).await {
                Ok(true) => report.passed.push(clause),
                Ok(false) => report.left_out.push(clause),
                Err(violation) => broken.push(violation),
            }
        }
        if broken.is_empty() { Ok(report) } else { Err(Violations(broken)) }
    }

    /// Checks one clause; `false` when there is no probe for it, or it does not apply.
    ///
    /// # Errors
    ///
    /// [`Violation`] when the executor breaks it.
    pub async fn check_one(&self, clause: Clause) -> Result<bool, Violation> {
        let violation = |reason| Violation { clause, reason };
        match tokio::time::timeout(self.patience, clauses::check(self, clause)).await {
            Ok(checked) => checked.map_err(violation),
            Err(_) => Err(violation(format!("nothing happened for {} s", self.patience.as_secs()))),
        }
    }

    pub(super) fn executor(&self) -> Arc<dyn Executor> {
        (self.make)()
    }
}

/// What an executor was found to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Clauses that hold.
    pub passed: Vec<Clause>,
    /// Clauses that were not tried: there is no probe, or they are about an ability that the executor does not claim.
    pub left_out: Vec<Clause>,
}

/// An executor breaks a clause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{clause:?}: {reason}")]
pub struct Violation {
    /// The clause.
    pub clause: Clause,
    /// What was seen instead.
    pub reason: String,
}

/// An executor breaks these clauses.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub struct Violations(pub Vec<Violation>);

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|violation| writeln!(f, "{violation}"))
    }
}

/// As [`Display`](fmt::Display), because a test shows it through `unwrap`.
impl fmt::Debug for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{self}")
    }
}
