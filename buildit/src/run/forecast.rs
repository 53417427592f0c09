//! What a run would do, told before it starts.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Fixed, Input, InputError, Run, RunInfo, when};
use crate::condition;
use crate::event::StageReason;
use crate::graph::StageIndex;
use crate::id::RunId;
use crate::job::{JobOutcome, Status};
use crate::pipeline::{RunContext, When};
use crate::plan::Plan;
use crate::variables::Names;

/// What would become of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forecast {
    /// It runs.
    Runs,
    /// It does not, for this reason.
    Skipped(StageReason),
    /// It does not as long as all goes well: its condition asks for a failure, and a stage before it can bring one.
    AfterFailure,
    /// Its condition looks at what other stages did, so that only the run itself can tell.
    Undecided,
}

impl Forecast {
    /// Whether it can come to run, or to wait for a person.
    #[must_use]
    pub fn may_run(&self) -> bool {
        !matches!(self, Self::Skipped(_))
    }
}

/// What would become of each stage of a run that is started with this, by index. It is told by a run in which no
/// stage fails and every approval is given: conditions and selections are judged by the rules that real runs have.
/// Conditions that ask for a failure are then asked again as if there had been one.
///
/// # Errors
///
/// [`InputError`] when the rules contradict themselves, which no plan brings about.
pub fn forecast(plan: &Plan, context: &RunContext) -> Result<Vec<Forecast>, InputError> {
    let mut spec = (**plan.spec()).clone();
    spec.max_parallel = None;
    let names = Names::new(plan.spec());
    let mut undecided = vec![false; spec.stages.len()];
    for ((stage, written), undecided) in spec.stages.iter_mut().zip(&plan.spec().stages).zip(&mut undecided) {
        *undecided = match written.when.as_deref() {
            Some(when @ When::Expression(_)) => {
                let checked = condition::check(when, &names.of(Some(written)));
                checked.noted.iter().any(|noted| noted.stage().is_some())
            }
            _ => false,
        };
        if *undecided || written.approval.is_some() {
            let stage = Arc::make_mut(stage);
            // An approval's text may hold outputs, which nobody has set here.
            stage.approval = None;
            if *undecided {
                stage.when = None;
            }
        }
    }
    let info = RunInfo { id: RunId::new(), number: 1 };
    let mut run = Run::new(Arc::new(spec), Arc::clone(plan.graph()), Arc::new(context.clone()), info);
    // No time passes in it: what would be a second attempt or a timeout cannot come up.
    let now = Timestamp::UNIX_EPOCH;
    let mut events = Vec::new();
    run.advance(Input::Begin, now, &mut events)?;
    loop {
        let next = run.ready(now).next();
        let Some(stage) = next else { break };
        run.advance(Input::Start { stage, executor: "forecast".into() }, now, &mut events)?;
        run.advance(Input::Finished { stage, attempt: 1, outcome: JobOutcome::succeeded() }, now, &mut events)?;
        events.clear();
    }
    let after_failure = after_failure(&run);
    let forecasts = undecided.into_iter().zip(after_failure).enumerate().map(|(index, (undecided, after_failure))| {
        let result = run.result(StageIndex::new(index));
        match result {
            _ if after_failure => Forecast::AfterFailure,
            Some(result) if result.status != Status::Succeeded => {
                Forecast::Skipped(result.reason.map_or(StageReason::Cancelled, |reason| *reason))
            }
            _ if undecided => Forecast::Undecided,
            _ => Forecast::Runs,
        }
    });
    Ok(forecasts.collect())
}

/// Which stages were skipped in this run, in which nothing failed, and would not be after a failure.
fn after_failure(run: &Run) -> Vec<bool> {
    let Fixed { graph, .. } = &run.fixed;
    let mut after_failure = vec![false; graph.len()];
    // Whether a stage, or one before it, can come to run: what can run can fail.
    let mut can_fail = vec![false; graph.len()];
    for stage in graph.topological_order() {
        let at = stage.index();
        let spec = run.fixed.stage(at as u32);
        let before = graph.needs(spec).any(|need| can_fail[need.index()]);
        let skipped = run.result(stage).filter(|result| result.status == Status::Skipped);
        let reason = skipped.as_ref().and_then(|skipped| skipped.reason.as_deref());
        after_failure[at] = before
            && matches!(reason, Some(StageReason::When { .. }))
            && spec.when.as_deref().is_some_and(|when| {
                condition::asks_for_failure(when) && when::holds_after_failure(&run.fixed, &run.state, at as u32, when)
            });
        can_fail[at] = before || skipped.is_none();
    }
    after_failure
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{ApprovalSpec, ExpandLimits, PipelineBuilder, StageBuilder, WhenProperties};

    #[test]
    fn it_tells_what_runs_and_why_not_the_rest() {
        let on_release = WhenProperties { branch: vec!["release".into()], ..WhenProperties::default() };
        let spec = PipelineBuilder::new("p")
            .stage(StageBuilder::run("a", "true").approval(ApprovalSpec::default()))
            .stage(StageBuilder::run("b", "true").needs(["a"]).when_properties(on_release))
            .stage(StageBuilder::run("c", "true").needs(["b"]))
            .stage(StageBuilder::run("d", "true").needs(["a"]).when("failure()"))
            .stage(StageBuilder::run("e", "true").needs(["a"]).when("stages.a.status == 'succeeded'"))
            .stage(StageBuilder::run("f", "true"))
            .build();
        let plan = Plan::compile(&spec, ExpandLimits::default()).unwrap();
        let only = ["c", "d", "e"].map(str::to_owned).to_vec();
        let told = forecast(&plan, &RunContext { only, ..RunContext::manual() }).unwrap();
        assert_eq!(told[0], Forecast::Runs);
        assert!(matches!(&told[1], Forecast::Skipped(StageReason::When { clause }) if clause.contains("release")));
        assert_eq!(told[2], Forecast::Runs, "a need that was skipped by its own condition is no obstacle");
        assert_eq!(told[3], Forecast::AfterFailure);
        assert_eq!(told[4], Forecast::Undecided);
        assert_eq!(told[5], Forecast::Skipped(StageReason::NotSelected));
    }

    #[test]
    fn a_stage_that_asks_for_a_failure_may_run_where_there_can_be_one() {
        let on_release = WhenProperties { branch: vec!["release".into()], ..WhenProperties::default() };
        let spec = PipelineBuilder::new("p")
            .stage(StageBuilder::run("a", "true").when_properties(on_release))
            .stage(StageBuilder::run("b", "true"))
            .stage(StageBuilder::run("alone", "true").when("failure()"))
            .stage(StageBuilder::run("after-skipped", "true").needs(["a"]).when("failure()"))
            .stage(StageBuilder::run("after", "true").needs(["b"]).when("failure()"))
            .stage(StageBuilder::run("further", "true").needs(["after"]).when("failure()"))
            .stage(StageBuilder::run("elsewhere", "true").needs(["b"]).when("failure() && git.branch == 'release'"))
            .stage(StageBuilder::run("either", "true").needs(["b"]).when("success() || failure()"))
            .stage(StageBuilder::run("direct", "true").needs(["b"]).when("failure() && !success()"))
            .stage(StageBuilder::run("always", "true").needs(["b"]).when("always()"))
            .build();
        let plan = Plan::compile(&spec, ExpandLimits::default()).unwrap();
        let told = forecast(&plan, &RunContext::manual()).unwrap();
        let of = |name: &str| &told[plan.graph().index(name).unwrap().index()];
        for name in ["alone", "after-skipped", "elsewhere"] {
            assert!(!of(name).may_run(), "{name}: {:?}", of(name));
        }
        for name in ["after", "further", "direct"] {
            assert_eq!(*of(name), Forecast::AfterFailure, "{name}");
        }
        for name in ["either", "always"] {
            assert_eq!(*of(name), Forecast::Runs, "{name}");
        }
        let told = forecast(&plan, &RunContext { only: vec!["b".into()], ..RunContext::manual() }).unwrap();
        assert_eq!(told[4], Forecast::Skipped(StageReason::NotSelected));
    }
}
