//! The tests of a run: what failed, and what had not failed before.

use std::collections::HashMap;
use std::sync::Arc;

use buildit::event::RunStatus;
use buildit::id::{RunId, StageName};
use buildit::store::{RunFilter, RunRecord, RunSummary, StoreError};
use buildit_executors::reports::{Reports, TestChange, TestName, TestResult, TestStatus, change};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::runs;
use crate::problem::Problem;
use crate::state::ServerState;
use crate::view::run::RunView;

/// How many runs are looked at for one to compare with.
const LOOKED_AT: usize = 50;

/// How many runs back a rerun is followed.
const RERUNS: usize = 20;

/// How much memory the reports of one run may take at once, in bytes; those beyond are passed over.
const MEMORY: usize = 256 << 20;

/// Which tests a reader wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// It fails, and did not in the run that this one is compared with.
    NewlyFailing,
    /// It fails.
    Failed,
    /// It passed only after it had failed.
    Flaky,
    Skipped,
    Passed,
}

impl Standing {
    pub(crate) const ALL: [Self; 5] = [Self::NewlyFailing, Self::Failed, Self::Flaky, Self::Skipped, Self::Passed];

    /// The word as scripts read it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NewlyFailing => "newly_failing",
            Self::Failed => "failed",
            Self::Flaky => "flaky",
            Self::Skipped => "skipped",
            Self::Passed => "passed",
        }
    }

    fn of(result: &TestResult, is_new: bool) -> Self {
        match result.status {
            TestStatus::Failed if is_new => Self::NewlyFailing,
            TestStatus::Failed => Self::Failed,
            TestStatus::Skipped => Self::Skipped,
            TestStatus::Passed if result.is_flaky => Self::Flaky,
            TestStatus::Passed => Self::Passed,
        }
    }

    /// Whether who asks for this one wants to see that one.
    fn shows(self, other: Self) -> bool {
        self == other || matches!((self, other), (Self::Failed, Self::NewlyFailing) | (Self::Passed, Self::Flaky))
    }
}

/// What a reader asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) standing: Option<Standing>,
    pub(crate) stage: Option<String>,
    /// What stands in the name, whatever the letters' case.
    pub(crate) text: Option<String>,
    /// The slowest first, and not what failed.
    pub(crate) by_duration: bool,
    /// How many are passed by, and how many are shown.
    pub(crate) after: usize,
    pub(crate) limit: usize,
}

/// The tests of a run, as far as they were asked for.
#[derive(Debug, Default)]
pub(crate) struct Tests {
    pub(crate) items: Vec<Test>,
    /// How many there are behind which there are more.
    pub(crate) next: Option<usize>,
    /// Of all tests, whatever was asked for.
    pub(crate) counts: Counts,
    /// The run that they are compared with.
    pub(crate) baseline: Option<RunSummary>,
    pub(crate) unread: Vec<Unread>,
}

/// How many tests ended how. What is counted as newly failing or flaky is counted as failed or passed, too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Counts {
    pub(crate) all: usize,
    pub(crate) newly_failing: usize,
    pub(crate) failed: usize,
    pub(crate) flaky: usize,
    pub(crate) skipped: usize,
    pub(crate) passed: usize,
    /// How long all of them took, one after another.
    pub(crate) duration_ms: u64,
}

impl Counts {
    fn add(&mut self, standing: Standing, duration_ms: u64) {
        self.all += 1;
        self.duration_ms = self.duration_ms.saturating_add(duration_ms);
        for wanted in Standing::ALL.into_iter().filter(|wanted| wanted.shows(standing)) {
            *self.of_mut(wanted) += 1;
        }
    }

    fn of_mut(&mut self, standing: Standing) -> &mut usize {
        match standing {
            Standing::NewlyFailing => &mut self.newly_failing,
            Standing::Failed => &mut self.failed,
            Standing::Flaky => &mut self.flaky,
            Standing::Skipped => &mut self.skipped,
            Standing::Passed => &mut self.passed,
        }
    }

    pub(crate) fn of(&self, standing: Standing) -> usize {
        match standing {
            Standing::NewlyFailing => self.newly_failing,
            Standing::Failed => self.failed,
            Standing::Flaky => self.flaky,
            Standing::Skipped => self.skipped,
            Standing::Passed => self.passed,
        }
    }
}

/// A test of a run.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    pub(crate) stage: StageName,
    pub(crate) name: TestName,
    pub(crate) result: TestResult,
    pub(crate) standing: Standing,
}

/// A file that is no report, or reports that are gone.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Unread {
    pub(crate) stage: String,
    /// Empty when it is all that the stage left.
    pub(crate) file: String,
    pub(crate) reason: String,
}

/// The reports of a run, by stage in the pipeline's order.
#[derive(Debug, Default)]
pub(crate) struct OfRun {
    pub(crate) stages: Vec<(StageName, Arc<Reports>)>,
    pub(crate) unread: Vec<Unread>,
}

/// All reports that a run has left so far.
pub(crate) async fn of_run(state: &ServerState, view: &RunView) -> OfRun {
    let mut of_run = OfRun::default();
    let mut memory = 0;
    for stage in &view.stages {
        let Some(archive) = stage.products.as_deref().and_then(|products| products.reports.as_ref()) else { continue };
        let unread = |file: &str, reason: &str| {
            let (stage, file) = (stage.name.to_string(), file.to_owned());
            Unread { stage, file, reason: reason.to_owned() }
        };
        if memory > MEMORY {
            of_run.unread.push(unread("", "the run has more reports than can be shown"));
            continue;
        }
        match state.reports().read(state.blobs(), &archive.digest).await {
            Ok(reports) => {
                memory += reports.weight();
                of_run.unread.extend(reports.unread.iter().map(|(file, why)| unread(file, why)));
                of_run.stages.push((stage.name.clone(), reports));
            }
            Err(error) => {
                tracing::warn!(%error, run = %view.id, stage = %stage.name, "test reports cannot be read");
                of_run.unread.push(unread("", "the reports cannot be read any more"));
            }
        }
    }
    of_run
}

/// The tests of a run that a reader asks for, compared with those of the run before.
pub(crate) async fn tests(
    state: &ServerState,
    record: &RunRecord,
    view: &RunView,
    wanted: &Wanted,
) -> Result<Tests, Problem> {
    let is = of_run(state, view).await;
    if is.stages.is_empty() {
        return Ok(Tests { unread: is.unread, ..Tests::default() });
    }
    let (baseline, was) = match baseline(state, record).await? {
        Some(baseline) => {
            let view = runs::view(state, &state.store().run(baseline.id).await?).await?;
            (Some(baseline), of_run(state, &view).await)
        }
        None => (None, OfRun::default()),
    };
    // With a run that has left none, all that fails would be new.
    let baseline = baseline.filter(|_| !was.stages.is_empty());
    let was = baseline.is_some().then_some(&was);
    Ok(Tests { baseline, ..choose(&is, was, wanted) })
}

fn choose(is: &OfRun, was: Option<&OfRun>, wanted: &Wanted) -> Tests {
    let before: Option<HashMap<&StageName, &Reports>> =
        was.map(|was| was.stages.iter().map(|(stage, reports)| (stage, &**reports)).collect());
    let text = wanted.text.as_deref().map(str::to_lowercase).filter(|text| !text.is_empty());
    let mut counts = Counts::default();
    let mut found = Vec::new();
    for (stage, reports) in &is.stages {
        let before = before.as_ref().map(|before| before.get(stage));
        for (name, result) in &reports.tests {
            let is_new = before.is_some_and(|before| {
                let was = before.and_then(|before| before.tests.get(name)).map(|result| result.status);
                change(was, result.status) == Some(TestChange::NewlyFailing)
            });
            let standing = Standing::of(result, is_new);
            counts.add(standing, millis(result));
            let is_wanted = wanted.standing.is_none_or(|wanted| wanted.shows(standing))
                && wanted.stage.as_ref().is_none_or(|wanted| **wanted == **stage)
                && text.as_ref().is_none_or(|text| name.to_string().to_lowercase().contains(text));
            if is_wanted {
                found.push((standing, stage, name, result));
            }
        }
    }
    // Within the same, as the pipeline has its stages and by name: the sort is stable.
    match wanted.by_duration {
        true => found.sort_by_key(|(_, _, _, result)| std::cmp::Reverse(result.duration)),
        false => found.sort_by_key(|(standing, ..)| Standing::ALL.iter().position(|of| of == standing)),
    }
    let end = wanted.after.saturating_add(wanted.limit);
    let next = (found.len() > end).then_some(end);
    let items = found.into_iter().skip(wanted.after).take(wanted.limit).map(|(standing, stage, name, result)| Test {
        stage: stage.clone(),
        name: name.clone(),
        result: result.clone(),
        standing,
    });
    Tests { items: items.collect(), next, counts, baseline: None, unread: is.unread.clone() }
}

/// How long a test took.
pub(crate) fn millis(result: &TestResult) -> u64 {
    u64::try_from(result.duration.as_millis()).unwrap_or(u64::MAX)
}

/// The run that the tests of this one are compared with: for a pull request the last run that ended by itself of the commit
/// at which it left the branch that it is to be merged into, or else of that branch; else the one before it on its branch. A
/// rerun is compared as the first one was.
pub(crate) async fn baseline(state: &ServerState, record: &RunRecord) -> Result<Option<RunSummary>, Problem> {
    let before = origin(state, record).await?;
    let filter = RunFilter {
        tenant: Some(record.run.tenant),
        pipeline: Some(runs::pipeline_of(state, record).await?),
        before: Some(before),
        ..RunFilter::default()
    };
    let (git, pull) = (&record.run.context.git, record.run.context.pull_request.as_ref());
    if let Some(pull) = pull.filter(|pull| !pull.base.is_empty()) {
        let of_commit = RunFilter { commit: Some(pull.merge_base.clone()), ..filter.clone() };
        let of_branch = RunFilter { branch: Some(pull.base.clone()), ..filter.clone() };
        for of_base in [of_commit, of_branch] {
            // A pull request of a branch that has this name elsewhere is not of it.
            if let Some(found) = last(state, &of_base, |run| run.pull_request.is_none()).await? {
                return Ok(Some(found));
            }
        }
    }
    let number = pull.map(|pull| pull.number);
    let of_branch = RunFilter { branch: Some(git.branch.clone()).filter(|branch| !branch.is_empty()), ..filter };
    last(state, &of_branch, |run| run.pull_request == number && run.branch == git.branch).await
}

/// The run that this one is a rerun of, or a rerun of a rerun; itself when it is none.
async fn origin(state: &ServerState, record: &RunRecord) -> Result<RunId, Problem> {
    let (mut first, mut of) = (record.run.id, record.run.rerun_of);
    for _ in 0..RERUNS {
        let Some(before) = of else { break };
        match state.store().run(before).await {
            Ok(record) => (first, of) = (before, record.run.rerun_of),
            // It was removed; those before it were, too.
            Err(StoreError::NoRun(_)) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(first)
}

/// The last run of these that ran to an end of its own.
async fn last(
    state: &ServerState,
    filter: &RunFilter,
    is_it: impl Fn(&RunSummary) -> bool,
) -> Result<Option<RunSummary>, Problem> {
    let found = state.store().runs(filter, LOOKED_AT).await?;
    let has_ended = |run: &RunSummary| matches!(run.status, RunStatus::Succeeded | RunStatus::Failed);
    Ok(found.into_iter().find(|run| has_ended(run) && is_it(run)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A name, how it ended and how many milliseconds it took.
    type Case = (&'static str, TestStatus, u64);

    fn of_run(stages: &[(&str, &[Case])]) -> OfRun {
        let reports = |tests: &[Case]| {
            let each = tests.iter().map(|(name, status, millis)| {
                let test = TestName { suite: "s".into(), class: String::new(), name: (*name).to_owned() };
                let result =
                    TestResult { status: *status, duration: Duration::from_millis(*millis), ..TestResult::default() };
                (test, result)
            });
            Arc::new(Reports { tests: each.collect(), unread: Vec::new() })
        };
        OfRun {
            stages: stages.iter().map(|(stage, tests)| ((*stage).into(), reports(tests))).collect(),
            unread: Vec::new(),
        }
    }

    fn names(tests: &Tests) -> Vec<String> {
        tests.items.iter().map(|test| format!("{} {}", test.stage, test.name.name)).collect()
    }

    #[test]
    fn what_fails_anew_comes_first_and_pages_hold_each_once() {
        use TestStatus::{Failed, Passed, Skipped};
        let is = of_run(&[
            ("unit", &[("a", Passed, 5), ("b", Failed, 10), ("c", Failed, 1)]),
            ("slow", &[("a", Failed, 900), ("b", Skipped, 0)]),
        ]);
        let was = of_run(&[("unit", &[("b", Failed, 0), ("c", Passed, 0)])]);
        let all = Wanted { limit: 10, ..Wanted::default() };
        let found = choose(&is, Some(&was), &all);
        assert_eq!(names(&found), ["unit c", "slow a", "unit b", "slow b", "unit a"]);
        let expected =
            Counts { all: 5, newly_failing: 2, failed: 3, flaky: 0, skipped: 1, passed: 1, duration_ms: 916 };
        assert_eq!((found.counts, found.next), (expected, None));
        let mut paged = Vec::new();
        let mut after = Some(0);
        while let Some(from) = after {
            let page = choose(&is, Some(&was), &Wanted { after: from, limit: 2, ..all.clone() });
            paged.extend(names(&page));
            after = page.next;
        }
        assert_eq!(paged, ["unit c", "slow a", "unit b", "slow b", "unit a"]);
        let slowest = choose(&is, None, &Wanted { by_duration: true, limit: 2, ..all.clone() });
        assert_eq!(names(&slowest), ["slow a", "unit b"]);
        assert_eq!(slowest.counts.newly_failing, 0, "there is nothing to compare with");
        let failed = Wanted { standing: Some(Standing::Failed), stage: Some("unit".into()), ..all.clone() };
        assert_eq!(names(&choose(&is, Some(&was), &failed)), ["unit c", "unit b"]);
        let named = Wanted { text: Some("S › A".into()), ..all };
        assert_eq!(names(&choose(&is, Some(&was), &named)), ["slow a", "unit a"]);
    }
}
