//! What is different between two runs.

use buildit::compare::{Difference, RunFacts, difference};
use buildit::store::{RunRecord, StoreError, each_event};
use buildit_executors::reports::{Ended, TestDifference, changes};

use super::reports::{self, OfRun, Unread};
use super::runs;
use crate::problem::Problem;
use crate::state::ServerState;

/// How many differences, and how many tests, are told: nobody reads more, and a pipeline of many stages that was written
/// anew differs in everything.
const MOST: usize = 5000;

/// The differences of two runs.
#[derive(Debug)]
pub(crate) struct Comparison {
    pub(crate) differences: Vec<Difference>,
    /// The tests that do not end as they did, those that newly fail first.
    pub(crate) tests: Vec<TestDifference>,
    /// How many were left off.
    pub(crate) left_off: usize,
    /// The reports that could not be read: of the earlier run, and of the later one.
    pub(crate) unread: [Vec<Unread>; 2],
}

/// Compares a run with an earlier one.
pub(crate) async fn compare(state: &ServerState, before: &RunRecord, after: &RunRecord) -> Result<Comparison, Problem> {
    let mut differences = difference(&facts(state, before).await?, &facts(state, after).await?);
    let (was, is) = (reports_of(state, before).await?, reports_of(state, after).await?);
    let mut tests = changes(&ended(&was), &ended(&is));
    let left_off = differences.len().saturating_sub(MOST) + tests.len().saturating_sub(MOST);
    differences.truncate(MOST);
    tests.truncate(MOST);
    Ok(Comparison { differences, tests, left_off, unread: [was.unread, is.unread] })
}

async fn facts(state: &ServerState, record: &RunRecord) -> Result<RunFacts, Problem> {
    let mut facts = RunFacts::new(record.clone());
    let read = each_event(&**state.store(), record.run.id, 0, |event| {
        facts.apply(&event);
        Ok::<_, StoreError>(())
    });
    read.await?;
    Ok(facts)
}

async fn reports_of(state: &ServerState, record: &RunRecord) -> Result<OfRun, Problem> {
    Ok(reports::of_run(state, &runs::view(state, record).await?).await)
}

fn ended(run: &OfRun) -> Ended {
    let mut ended = Ended::new();
    for (stage, reports) in &run.stages {
        ended.extend(reports.statuses().map(|(test, status)| ((stage.clone(), test.clone()), status)));
    }
    ended
}
