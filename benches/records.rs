//! Runs and events to keep.

use std::sync::Arc;

use buildit::event::{Event, EventBody, RunStatus, StageResult};
use buildit::id::StageName;
use buildit::job::JobOutcome;
use buildit::pipeline::{PipelineBuilder, PipelineSpec, RunContext, StageBuilder};
use buildit::store::NewRun;
use jiff::Timestamp;

/// A run of a pipeline of one stage.
#[must_use]
pub fn small_run() -> NewRun {
    run_of(Arc::new(PipelineBuilder::new("sample").stage(StageBuilder::run("build", "make")).build()))
}

/// A run of this plan.
#[must_use]
pub fn run_of(plan: Arc<PipelineSpec>) -> NewRun {
    NewRun::new(plan, RunContext::manual(), Timestamp::UNIX_EPOCH)
}

/// The events of a run in which so many stages, named as [`Shape`](crate::shapes::Shape) names them, have succeeded one
/// after the other on this executor.
#[must_use]
pub fn begun(stages: usize, executor: &str) -> Vec<Event> {
    numbered(bodies(stages, executor))
}

/// The same to the end of the run.
#[must_use]
pub fn ended(stages: usize, executor: &str) -> Vec<Event> {
    let mut bodies = bodies(stages, executor);
    bodies.push(EventBody::RunFinished { status: RunStatus::Succeeded });
    numbered(bodies)
}

fn bodies(stages: usize, executor: &str) -> Vec<EventBody> {
    let mut bodies = vec![EventBody::RunStarted];
    for stage in 0..stages {
        let stage: StageName = format!("s{stage}").into();
        bodies.push(EventBody::AttemptStarted { stage: stage.clone(), attempt: 1, executor: executor.into() });
        let outcome = JobOutcome::succeeded();
        bodies.push(EventBody::AttemptFinished { stage: stage.clone(), attempt: 1, outcome });
        bodies.push(EventBody::StageFinished { stage, result: StageResult::succeeded() });
    }
    bodies
}

fn numbered(bodies: Vec<EventBody>) -> Vec<Event> {
    let time = Timestamp::constant(1_767_225_600, 123_456_789);
    bodies.into_iter().zip(1..).map(|(body, seq)| Event { seq, time, body }).collect()
}
