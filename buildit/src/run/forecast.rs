//! What a run would do, told before it starts.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Input, InputError, Run, RunInfo};
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
    let forecasts = undecided.into_iter().enumerate().map(|(index, undecided)| {
        let result = run.result(StageIndex::new(index));
        match result {
            Some(result) if result.status != Status::Succeeded => {
                Forecast::Skipped(result.reason.map_or(StageReason::Cancelled, |reason| *reason))
            }
            _ if undecided => Forecast::Undecided,
            _ => Forecast::Runs,
        }
    });
    Ok(forecasts.collect())
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
        assert!(matches!(&told[3], Forecast::Skipped(StageReason::When { .. })));
        assert_eq!(told[4], Forecast::Undecided);
        assert_eq!(told[5], Forecast::Skipped(StageReason::NotSelected));
    }
}
