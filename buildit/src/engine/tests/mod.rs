//! Runs under an engine, with executors that run nothing.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::*;
use crate::event::{Approval, Event, EventBody, RunStatus};
use crate::fault::CrashPoint;
use crate::job::{Cause, JobOutcome, Status};
use crate::memory::MemoryStore;
use crate::pipeline::{ApprovalSpec, GitContext, PipelineBuilder, PipelineSpec, RunContext, StageBuilder};
use crate::run::Run;
use crate::secret::MemorySecrets;
use crate::store::RunStore;
use crate::testing::{Act, Death, KillAt, Script, ScriptedExecutor, SimulatedClock};

mod asking;
mod breaking;
mod caches;
mod course;
mod environments;
mod failing;
mod groups;
mod logs;
mod recovery;
mod refusing;
mod rerun;
mod results;
mod secrets;
mod sharing;
mod storing;
mod turns;
mod work;

fn clock() -> Arc<SimulatedClock> {
    Arc::new(SimulatedClock::new("2026-01-01T00:00:00Z".parse().unwrap()))
}

fn scripted(script: Script) -> ScriptedExecutor {
    ScriptedExecutor::new("local", script)
}

fn options() -> StartOptions {
    StartOptions::new(RunContext::manual())
}

fn chain() -> PipelineSpec {
    PipelineBuilder::new("shop")
        .stage(StageBuilder::run("fmt", "true"))
        .stage(StageBuilder::run("test", "true").needs(["fmt"]))
        .stage(StageBuilder::run("ship", "true").needs(["test"]))
        .build()
}

async fn events(run: &RunHandle) -> Vec<Event> {
    run.events().try_collect().await.unwrap()
}

/// What is stored gives the state that the run ended in.
async fn replays(run: &RunHandle, report: &RunReport) {
    let events = events(run).await;
    assert!(events.iter().zip(1..).all(|(event, seq)| event.seq == seq));
    let live = report.run();
    let again = Run::replay(live.spec().clone(), live.graph().clone(), live.context().clone(), live.info(), &events);
    assert!(again.unwrap() == *live);
}
