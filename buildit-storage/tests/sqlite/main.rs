//! The store in one file.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod accounts;
mod conformance;
mod earlier;
#[path = "../shared/engines.rs"]
mod engines;
mod files;
mod leases;
mod logs;
mod sharing;
mod tables;

use std::sync::Arc;

use buildit::id::RunId;
use buildit::pipeline::{PipelineBuilder, RunContext, StageBuilder};
use buildit::store::NewRun;
use jiff::Timestamp;

fn at(second: i64) -> Timestamp {
    Timestamp::new(1_767_225_600 + second, 0).unwrap()
}

fn new_run(pipeline: &str) -> NewRun {
    let pipeline = PipelineBuilder::new(pipeline)
        .stage(StageBuilder::run("build", "make"))
        .stage(StageBuilder::run("test", "make test").needs(["build"]));
    NewRun {
        id: RunId::new(),
        plan: Arc::new(pipeline.build()),
        context: Arc::new(RunContext::manual()),
        source: None,
        created_at: at(0),
        group: None,
        executor: None,
        max_parallel: None,
        rerun_of: None,
        carried: Arc::default(),
    }
}
