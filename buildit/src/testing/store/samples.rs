//! What clauses write.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::clause::Broken;
use crate::event::{Approval, Event, EventBody, RunStatus, StageResult, TakenResult};
use crate::id::{Digest, FencingToken, JobId, RunId, TenantId};
use crate::job::{Artifact, JobOutcome, JobProducts};
use crate::pipeline::{PipelineBuilder, RunContext, StageBuilder};
use crate::run::CarriedStage;
use crate::store::{Claim, Enqueue, Lease, NewRun, Store, WorkFolder};

/// The token of a writer that never took a lease.
pub(super) const FIRST: FencingToken = FencingToken(1);

/// A time: seconds after a day in 2026.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::constant(1_767_225_600, 123_000_000)
        .saturating_add(Duration::from_secs(seconds.unsigned_abs()))
        .unwrap_or(Timestamp::MAX)
}

/// A run that uses every field.
pub(super) fn new_run(pipeline: &str, created_at: Timestamp) -> NewRun {
    let stage = StageBuilder::run("build", "make \"all\"").image("busybox").env("A", "it's");
    let mut context = RunContext::manual();
    context.params.insert("quoted".into(), "it's \"ünïcode\"\n\u{0} and $more".into());
    NewRun {
        id: RunId::new(),
        tenant: tenant(),
        plan: Arc::new(PipelineBuilder::new(pipeline).stage(stage).build()),
        context: Arc::new(context),
        source: Some(Digest::of(b"source")),
        in_place: Some(WorkFolder { path: "/home/ann/it's".into(), identity: "12".into() }),
        created_at,
        group: Some("deploy-main".into()),
        executor: Some("local".into()),
        max_parallel: std::num::NonZeroU32::new(3),
        rerun_of: Some(RunId::new()),
        carried: [carried()].into(),
    }
}

/// A stage that a rerun goes on from.
fn carried() -> CarriedStage {
    let products = JobProducts {
        outputs: [("version".to_owned(), "1.2\n\"3\"".to_owned())].into(),
        artifacts: vec![Artifact {
            name: "app".into(),
            digest: Digest::of(b"app"),
            bytes: 3,
            paths: vec!["app".into()],
        }],
        ..JobProducts::default()
    };
    let taken = TakenResult {
        key: None,
        run: RunId::new(),
        stage: "build".into(),
        attempt: 2,
        products: Some(Box::new(products)),
    };
    CarriedStage { stage: "build".into(), result: StageResult::succeeded(), taken }
}

/// A run that is kept already, of no group, so that it waits for nobody.
pub(super) async fn kept_run(store: &Arc<dyn Store>) -> Result<RunId, Broken> {
    let run = NewRun { group: None, ..new_run("sample", at(0)) };
    let id = run.id;
    store.create_run(run).await?;
    Ok(id)
}

/// An event with this number.
pub(super) fn event(seq: u64, body: EventBody) -> Event {
    Event { seq, time: at(i64::try_from(seq).unwrap_or(0)), body }
}

/// The events of a run that starts, waits for a person, runs a stage and ends.
pub(super) fn life() -> Vec<Event> {
    let bodies = [
        EventBody::RunStarted,
        EventBody::ApprovalRequested {
            stage: "build".into(),
            message: "really?".into(),
            fields: Vec::new(),
            deadline: Some(at(1000)),
            needed: 1,
        },
        EventBody::ApprovalGiven {
            stage: "build".into(),
            approval: Box::new(Approval::yes("ada").with_field("why", "because")),
            missing: 0,
        },
        EventBody::AttemptStarted { stage: "build".into(), attempt: 1, executor: "local".into() },
        EventBody::AttemptFinished { stage: "build".into(), attempt: 1, outcome: JobOutcome::failed(7) },
        EventBody::RetryScheduled { stage: "build".into(), attempt: 2, at: at(60) },
        EventBody::AttemptStarted { stage: "build".into(), attempt: 2, executor: "local".into() },
        EventBody::AttemptFinished { stage: "build".into(), attempt: 2, outcome: JobOutcome::succeeded() },
        EventBody::StageFinished { stage: "build".into(), result: StageResult::succeeded() },
        EventBody::RunFinished { status: RunStatus::Succeeded },
    ];
    bodies.into_iter().zip(1..).map(|(body, seq)| event(seq, body)).collect()
}

/// A lease of this worker for so many seconds.
pub(super) fn lease(worker: &str, until: i64) -> Lease {
    Lease { worker: worker.into(), until: at(until) }
}

/// A job of this run.
pub(super) fn job(run: RunId, stage: &str, attempt: u32) -> JobId {
    JobId { run, stage: stage.into(), attempt }
}

/// The tenant whose runs wait where it does not matter.
pub(super) fn tenant() -> TenantId {
    uuid::Uuid::from_u128(1).into()
}

/// A run that is to wait, due at once, to be taken twice at most.
pub(super) fn waiting(run: RunId) -> Enqueue {
    Enqueue { run, tenant: tenant(), priority: 0, scheduled_for: at(0), max_attempts: 2 }
}

/// A claim of this worker for so many runs, for 30 seconds.
pub(super) fn claim(worker: &str, limit: usize) -> Claim {
    Claim { worker: worker.into(), limit, lease: Duration::from_secs(30) }
}
