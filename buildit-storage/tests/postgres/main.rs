//! The store in a database of a server, whose URL for an administrator is in `BUILDIT_TEST_POSTGRES`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod accounts;
mod conformance;
mod connections;
mod databases;
mod earlier;
#[path = "../shared/engines.rs"]
mod engines;
mod groups;
mod leases;
mod logs;
mod queue;
mod scratch;
mod sharing;
mod storm;
mod tables;

use std::sync::Arc;

use buildit::event::{Event, EventBody};
use buildit::id::{RunId, TenantId};
use buildit::pipeline::{PipelineBuilder, RunContext, StageBuilder};
use buildit::store::{Enqueue, Lease, NewRun};
use jiff::Timestamp;
use scratch::Scratch;

fn at(second: i64) -> Timestamp {
    Timestamp::new(1_767_225_600 + second, 0).unwrap()
}

fn new_run(pipeline: &str) -> NewRun {
    let pipeline = PipelineBuilder::new(pipeline)
        .stage(StageBuilder::run("build", "make"))
        .stage(StageBuilder::run("test", "make test").needs(["build"]));
    NewRun::new(pipeline.build(), RunContext::manual(), at(0))
}

fn waiting(run: RunId) -> Enqueue {
    Enqueue { run, tenant: TenantId::new(), priority: 0, scheduled_for: at(0), max_attempts: 3 }
}

fn lease(worker: &str, second: i64) -> Lease {
    Lease { worker: worker.into(), until: at(second) }
}

/// An event that changes nothing, so that there may be any number of them.
fn event(seq: u64, reason: &str) -> Arc<[Event]> {
    let body = EventBody::CancelRequested { reason: reason.into() };
    Arc::new([Event { seq, time: at(i64::try_from(seq).unwrap()), body }])
}
