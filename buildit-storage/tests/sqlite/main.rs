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
    NewRun::new(pipeline.build(), RunContext::manual(), at(0))
}
