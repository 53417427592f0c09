//! What is not as it was in another run.

use std::collections::BTreeMap;

use buildit::id::StageName;
use serde::{Deserialize, Serialize};

use super::{TestName, TestStatus};

/// How the tests of a run ended, each under the stage that reports it.
pub type Ended = BTreeMap<(StageName, TestName), TestStatus>;

/// How the end of a test differs from that in another run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestChange {
    /// It fails, and did not: it passed, was not run, or was not there.
    NewlyFailing,
    /// It passes, and had failed.
    Fixed,
}

impl TestChange {
    /// The word as scripts read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NewlyFailing => "newly_failing",
            Self::Fixed => "fixed",
        }
    }
}

/// A test that does not end as it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestDifference {
    /// In which way.
    pub change: TestChange,
    /// The stage that reports it.
    pub stage: StageName,
    /// The test.
    #[serde(flatten)]
    pub test: TestName,
}

/// In which way a test that ended so does not end as it did.
#[must_use]
pub fn change(before: Option<TestStatus>, after: TestStatus) -> Option<TestChange> {
    match (before, after) {
        (Some(TestStatus::Failed), TestStatus::Failed) => None,
        (_, TestStatus::Failed) => Some(TestChange::NewlyFailing),
        (Some(TestStatus::Failed), TestStatus::Passed) => Some(TestChange::Fixed),
        _ => None,
    }
}

/// The tests that do not end as they did: what fails first, for that is what is looked for.
#[must_use]
pub fn changes(before: &Ended, after: &Ended) -> Vec<TestDifference> {
    let changed = after.iter().filter_map(|(key @ (stage, test), status)| {
        let change = change(before.get(key).copied(), *status)?;
        Some(TestDifference { change, stage: stage.clone(), test: test.clone() })
    });
    let mut all: Vec<_> = changed.collect();
    all.sort_by_key(|test| test.change);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_and_did_not_comes_first() {
        use TestStatus::{Failed, Passed, Skipped};
        let ended = |tests: &[(&str, TestStatus)]| -> Ended {
            let name = |name: &str| TestName { suite: "s".into(), class: String::new(), name: name.into() };
            tests.iter().map(|(test, status)| (("unit".into(), name(test)), *status)).collect()
        };
        let before =
            ended(&[("a", Failed), ("b", Failed), ("c", Passed), ("d", Skipped), ("e", Failed), ("f", Failed)]);
        let after =
            ended(&[("a", Passed), ("b", Failed), ("c", Failed), ("d", Failed), ("e", Skipped), ("new", Failed)]);
        let found = changes(&before, &after);
        let told: Vec<_> = found.iter().map(|of| (of.change, of.test.name.as_str())).collect();
        let new = TestChange::NewlyFailing;
        assert_eq!(told, [(new, "c"), (new, "d"), (new, "new"), (TestChange::Fixed, "a")]);
    }
}
