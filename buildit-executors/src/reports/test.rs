//! A test, and how it ended.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a test ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TestStatus {
    /// It passed.
    #[default]
    Passed,
    /// It was not run.
    Skipped,
    /// It failed, or could not be run to its end.
    Failed,
}

impl TestStatus {
    /// The word as scripts read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }
}

/// A test, as far as it is the same one in the next run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TestName {
    /// The suite, with those around it, outermost first: `unit/parser`.
    pub suite: String,
    /// The class, where the runner has one; else empty.
    pub class: String,
    /// Its own name.
    pub name: String,
}

impl fmt::Display for TestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { suite, class, name } = self;
        let place = if class.is_empty() { suite } else { class };
        if place.is_empty() { f.write_str(name) } else { write!(f, "{place} › {name}") }
    }
}

/// How a test went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestResult {
    /// How it ended.
    pub status: TestStatus,
    /// Whether it passed only after it had failed, of the same code.
    pub is_flaky: bool,
    /// How long it took; zero where the runner does not say.
    pub duration: Duration,
    /// Why it did not pass, in few words; the beginning of very long ones.
    pub message: String,
    /// What is told beside that, as a rule the stack of calls; the beginning of a very long one.
    pub details: String,
    /// The file that it stands in, where the runner says, with its line: `src/add.rs:12`.
    pub place: String,
}

/// The tests of some reports. One that is reported more than once, as runners do that try again, ended as its last
/// report says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reports {
    /// How each test went.
    pub tests: BTreeMap<TestName, TestResult>,
    /// The files that could not be read, each with the reason.
    pub unread: Vec<(String, String)>,
}

impl Reports {
    /// How the tests ended.
    pub fn statuses(&self) -> impl Iterator<Item = (&TestName, TestStatus)> {
        self.tests.iter().map(|(test, result)| (test, result.status))
    }

    /// About how many bytes of memory it takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let of_test = |(name, result): (&TestName, &TestResult)| {
            let texts = [&name.suite, &name.class, &name.name, &result.message, &result.details, &result.place];
            texts.map(String::len).iter().sum::<usize>() + size_of::<(TestName, TestResult)>()
        };
        self.tests.iter().map(of_test).sum::<usize>()
            + self.unread.iter().map(|(file, why)| file.len() + why.len()).sum::<usize>()
            + size_of::<Self>()
    }
}
