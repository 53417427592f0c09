//! Testing a pipeline of one's own without running anything: "if `deploy` times out, `rollback` runs once".
//!
//!     cargo run -p buildit-examples --example simulate
//!     cargo test -p buildit-examples --example simulate
//!
//! It is the state machine of real runs, in simulated time: ten minutes of timeout take none.

use buildit::config::{self, KdlPipeline, Options};
use buildit::testing::{Act, Simulation};

const PIPELINE: &str = r#"
pipeline "shop"

stage "build" { run "./build"; retry 2 backoff="30s" }
stage "deploy" { needs "build"; timeout "10m"; run "./deploy" }
stage "rollback" { needs "deploy"; when "failure()"; run "./rollback" }
stage "announce" { needs "deploy"; run "./announce" }
"#;

fn pipeline() -> anyhow::Result<KdlPipeline> {
    Ok(config::parse("shop.kdl", PIPELINE, &Options::default())?)
}

#[expect(clippy::print_stdout, reason = "a program that shows what it does")]
fn main() -> anyhow::Result<()> {
    let pipeline = pipeline()?;
    let run = Simulation::new(&pipeline)
        .stage("build", [Act::fail(1), Act::succeed()])
        .stage("deploy", [Act::hang()])
        .run()?;
    for stage in ["build", "deploy", "rollback", "announce"] {
        let status = run.stage(stage).map_or("did not end", |status| status.as_str());
        println!("{stage:10} {status:10} {} attempts", run.attempts(stage));
    }
    println!("after {:?} the run {}", run.duration(), run.status().as_str());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use buildit::event::RunStatus;
    use buildit::job::Status;

    use super::*;

    #[test]
    fn a_deployment_that_hangs_is_rolled_back_once() {
        let pipeline = pipeline().unwrap();
        let run = Simulation::new(&pipeline).stage("deploy", [Act::hang()]).run().unwrap();
        assert_eq!(run.stage("deploy"), Some(Status::TimedOut));
        assert_eq!(run.attempts("rollback"), 1);
        assert_eq!(run.stage("announce"), Some(Status::Skipped));
        assert_eq!((run.status(), run.duration()), (RunStatus::Failed, Duration::from_secs(600)));
    }

    #[test]
    fn a_build_that_fails_twice_is_tried_a_third_time() {
        let pipeline = pipeline().unwrap();
        let acts = [Act::fail(1), Act::fail(1), Act::succeed()];
        let run = Simulation::new(&pipeline).stage("build", acts).run().unwrap();
        assert_eq!(run.attempts("build"), 3);
        assert_eq!(run.order(), ["build", "build", "build", "deploy", "announce"]);
        // The wait doubles: 30 s, then a minute.
        assert_eq!((run.status(), run.duration()), (RunStatus::Succeeded, Duration::from_secs(90)));
    }
}
