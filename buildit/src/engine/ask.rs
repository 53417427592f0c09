//! Asking something of a run, whichever engine drives it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use super::clock::later;
use super::core::Core;
use super::error::{ApproveError, AskError};
use super::handle::RunHandle;
use crate::event::{Approval, Event, EventBody, RunStatus};
use crate::graph::StageIndex;
use crate::id::{FencingToken, RunId, StageName};
use crate::run::{Input, Run, RunInfo};
use crate::store::{Ask, Lease, RunRecord, StoreError, each_event};

/// How long whoever answers waits for the run's own engine, at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often they look meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// What came of an ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// What follows from it is durable.
    Heeded,
    /// It is kept, for whoever drives the run or takes it up.
    Kept,
}

pub(super) async fn cancel(core: &Arc<Core>, run: RunId, reason: String) -> Result<Asked, AskError> {
    let record = core.store.run(run).await?;
    if record.status.is_final() {
        return Err(AskError::Ended);
    }
    if record.status == RunStatus::Queued && end_queued(core, run, &reason).await? {
        return Ok(Asked::Heeded);
    }
    core.store.ask(run, Ask::Cancel { reason }).await?;
    Ok(Asked::Kept)
}

/// Ends a run that nobody drives and that nothing was started of; whether it was one. That takes the lease on it, but no
/// executor, no secret and no turn in its group.
async fn end_queued(core: &Core, id: RunId, reason: &str) -> Result<bool, AskError> {
    let _claim = core.claims.claim(id).await;
    if core.runs().contains_key(&id) {
        return Ok(false);
    }
    let now = core.clock.now();
    let token = match core.store.lease_run(id, core.lease_from_now(), now).await {
        Ok(token) => token,
        Err(StoreError::Fenced) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let record = core.store.run(id).await?;
    let (mut run, last_seq) = (replayed(core, &record).await?, record.last_seq);
    let mut bodies = Vec::new();
    let cancelled = run.advance(Input::Cancel { reason }, now, &mut bodies);
    while cancelled.is_ok() && !run.status().is_final() && run.wanted().next().is_none() {
        let before = bodies.len();
        if run.advance(Input::Tick, now, &mut bodies).is_err() || bodies.len() == before {
            break;
        }
    }
    // What began meanwhile is for its engine, and so is what was begun and broken off: something of it may be left.
    if record.status != RunStatus::Queued || !run.status().is_final() {
        let over = Lease { worker: core.worker.clone(), until: now };
        core.store.lease_run(id, over, now).await?;
        return Ok(false);
    }
    let events = named(&run, bodies, last_seq, now);
    match core.store.append(id, last_seq, token, events).await {
        Ok(()) => {}
        Err(StoreError::Fenced | StoreError::Conflict { .. }) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    if let Err(error) = put_away(core, id, token).await {
        // Whoever takes it off the queue finds that it has ended.
        tracing::warn!(run = %id, %error, "a run that was cancelled stays in the queue for a while");
    }
    Ok(true)
}

async fn put_away(core: &Core, run: RunId, token: FencingToken) -> Result<(), StoreError> {
    core.store.close_run(run, token).await?;
    core.store.complete(run, token).await
}

/// The events of these bodies.
fn named(run: &Run, bodies: Vec<EventBody<StageIndex>>, last_seq: u64, now: jiff::Timestamp) -> Arc<[Event]> {
    let event = |(body, seq): (EventBody<StageIndex>, u64)| {
        let Ok(body) = body.try_map_stage(|stage| Ok::<_, Infallible>(run.graph().name(stage).clone()));
        Event { seq, time: now, body }
    };
    bodies.into_iter().zip(last_seq + 1..).map(event).collect()
}

/// The run as its record has it.
async fn replayed(core: &Core, record: &RunRecord) -> Result<Run, AskError> {
    let plan = core.restored.restore(&record.run.plan)?;
    let info = RunInfo { id: record.run.id, number: record.number };
    let run = Run::of_plan(&plan, Arc::clone(&record.run.context), info);
    let mut run = run.carrying(Arc::clone(&record.run.carried));
    each_event(&*core.store, record.run.id, 0, |event| run.replay_one(&event).map_err(AskError::from)).await?;
    Ok(run)
}

pub(super) async fn answer(core: &Arc<Core>, id: RunId, stage: &str, approval: Approval) -> Result<Asked, AskError> {
    let driven = core.runs().get(&id).cloned();
    if let Some(bus) = driven {
        match RunHandle::new(Arc::clone(core), bus).approve(stage, approval.clone()).await {
            // It went out of this engine's hands just now.
            Err(ApproveError::NotDriven) => {}
            answered => return Ok(answered.map(|()| Asked::Heeded)?),
        }
    }
    let record = core.store.run(id).await?;
    if record.status.is_final() {
        return Err(AskError::Ended);
    }
    let mut run = replayed(core, &record).await?;
    let known = run.graph().index(stage);
    let index = known.ok_or_else(|| ApproveError::NoStage(stage.to_owned()))?;
    let seen = run.seq();
    let mut bodies = Vec::new();
    let given = run.advance(Input::Approve { stage: index, approval: approval.clone() }, core.clock.now(), &mut bodies);
    given.map_err(ApproveError::from)?;
    // As the run keeps it, with what it fills in by itself.
    let expected = bodies.into_iter().find_map(|body| match body {
        EventBody::ApprovalGiven { approval, .. } => Some(*approval),
        _ => None,
    });
    let stage = StageName::from(stage);
    if !core.store.ask(id, Ask::Answer { stage: stage.clone(), approval }).await? {
        return Err(AskError::Answered(stage));
    }
    let until = later(core.clock.now(), PATIENCE);
    while core.clock.now() < until {
        match answered(core, id, &stage, seen).await? {
            Some(given) if Some(&given) == expected.as_ref() => return Ok(Asked::Heeded),
            Some(_) => return Err(AskError::Answered(stage)),
            None => core.clock.sleep_until(later(core.clock.now(), LOOK)).await,
        }
    }
    Ok(Asked::Kept)
}

/// The answer that a stage was given after the event of this number.
async fn answered(core: &Core, run: RunId, stage: &StageName, seen: u64) -> Result<Option<Approval>, AskError> {
    let mut answer = None;
    let read = each_event(&*core.store, run, seen, |event| {
        if let EventBody::ApprovalGiven { stage: of, approval, .. } = event.body
            && of == *stage
        {
            answer = Some(*approval);
        }
        Ok::<_, AskError>(())
    });
    read.await?;
    Ok(answer)
}
