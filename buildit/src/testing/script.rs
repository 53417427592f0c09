//! What stages do in a test.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::job::{JobOutcome, JobProducts};
use crate::pipeline::StageSpec;

/// What one attempt of a stage does in a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    pub(super) ending: Ending,
    pub(super) after: Duration,
    pub(super) log: Vec<String>,
    products: JobProducts,
}

/// How an attempt ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With this outcome.
    Outcome(Box<JobOutcome>),
    /// When it is stopped, and not before.
    Hang,
}

impl Act {
    /// It succeeds.
    #[must_use]
    pub fn succeed() -> Self {
        Self::end(JobOutcome::succeeded())
    }

    /// A command ends with this code.
    #[must_use]
    pub fn fail(exit_code: i32) -> Self {
        Self::end(JobOutcome::failed(exit_code))
    }

    /// Its container or host is gone.
    #[must_use]
    pub fn lose() -> Self {
        Self::end(JobOutcome::lost())
    }

    /// It hangs until it is stopped: by its timeout, by a cancellation.
    #[must_use]
    pub fn hang() -> Self {
        Self { ending: Ending::Hang, ..Self::succeed() }
    }

    /// It ends with this outcome.
    #[must_use]
    pub fn end(outcome: JobOutcome) -> Self {
        Self {
            ending: Ending::Outcome(Box::new(outcome)),
            after: Duration::ZERO,
            log: Vec::new(),
            products: JobProducts::default(),
        }
    }

    /// The same, but it takes this long.
    #[must_use]
    pub fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }

    /// The same with an output, as written to `$BUILDIT_OUTPUT`.
    #[must_use]
    pub fn output(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.products.outputs.insert(key.into(), value.into());
        self
    }

    /// The same with a line of its log.
    #[must_use]
    pub fn log(mut self, line: impl Into<String>) -> Self {
        self.log.push(line.into());
        self
    }

    /// How it ends, when it is not stopped before; `None` when it hangs.
    pub(super) fn outcome(&self) -> Option<JobOutcome> {
        match &self.ending {
            Ending::Outcome(outcome) if self.products == JobProducts::default() => Some((**outcome).clone()),
            Ending::Outcome(outcome) => Some((**outcome).clone().with_products(self.products.clone())),
            Ending::Hang => None,
        }
    }
}

/// What the stages of a pipeline do in a test, attempt by attempt. A stage that is not mentioned succeeds.
///
/// ```
/// use buildit::testing::{Act, Script};
///
/// let script = Script::new()
///     .stage("flaky", [Act::fail(1), Act::succeed()])
///     .stage("deploy", [Act::hang()]);
/// # let _ = script;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script(BTreeMap<String, Vec<Act>>);

impl Script {
    /// Every stage succeeds.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What the attempts of a stage do, in order; the last act is repeated. The name of a matrix means each of its
    /// cells that is not mentioned itself.
    #[must_use]
    pub fn stage(mut self, name: impl Into<String>, acts: impl IntoIterator<Item = Act>) -> Self {
        self.0.insert(name.into(), acts.into_iter().collect());
        self
    }

    /// What an attempt of this stage does, counted from 1.
    pub(super) fn act(&self, stage: &StageSpec, attempt: u32) -> Act {
        let acts = self.0.get(&*stage.name).or_else(|| self.0.get(&**stage.written_name()));
        let nth = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        acts.and_then(|acts| acts.get(nth).or(acts.last())).cloned().unwrap_or_else(Act::succeed)
    }

    /// The stages that are mentioned.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
