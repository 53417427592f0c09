//! G1, G3: a job is taken over by whoever comes after an engine that died.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use buildit::backend::{Backend, Created};
use buildit::executor::{Executor, ExecutorError};
use buildit::fault::{CrashPoint, FaultPlan};
use buildit::id::JobId;
use buildit::job::{JobSpec, Status, Stream};
use buildit_executors::docker::{self, DockerExecutor, DockerOptions, Network};
use tokio::sync::Notify;

use super::world::{World, address};

/// Tells that a point was reached, where the engine is then taken to have died.
#[derive(Debug)]
struct Dies {
    at: CrashPoint,
    reached: Notify,
    met: Mutex<HashSet<CrashPoint>>,
}

impl FaultPlan for Dies {
    fn reach(&self, point: CrashPoint, _: Option<&JobId>) {
        self.met.lock().unwrap().insert(point);
        if point == self.at {
            self.reached.notify_one();
        }
    }
}

async fn another_engine() -> DockerExecutor {
    docker::connect_to(&address(), DockerOptions::new().with_network(Network::None)).await.unwrap()
}

fn counting(world: &World, stage: &str) -> JobSpec {
    world.job(
        stage,
        &[
            "i=0; while [ $i -lt 200 ]; do echo line $i; i=$((i+1)); done; sleep 0.5; echo end",
            "echo k=v >$BUILDIT_OUTPUT",
        ],
    )
}

fn expected() -> Vec<String> {
    (0..200).map(|index| format!("line {index}")).chain(["end".to_owned()]).collect()
}

#[tokio::test]
#[ignore = "needs docker"]
async fn a_job_is_taken_over_at_each_step() {
    let points = [CrashPoint::Created, CrashPoint::Confirmed, CrashPoint::Released, CrashPoint::Exited];
    for at in points {
        let world = World::docker().await;
        let job = counting(&world, "taken");
        let plan = Arc::new(Dies { at, reached: Notify::new(), met: Mutex::default() });
        let ctx = world.context().faults(Some(plan.clone())).build();
        let first = another_engine().await;
        tokio::select! {
            biased;
            () = plan.reached.notified() => {}
            outcome = first.run(&job, ctx) => panic!("{at:?} was never reached: {outcome:?}"),
        }
        assert!(plan.met.lock().unwrap().contains(&at));
        drop(first);
        world.host.forget_open_lines();
        let ctx = world.context().cursor(world.host.cursor()).build();
        let outcome = world.executor.run(&job, ctx).await.unwrap();
        assert_eq!(outcome.status, Status::Succeeded, "{at:?} {outcome:?} {:?}", world.host.lines());
        assert_eq!(outcome.products.unwrap().outputs["k"], "v", "{at:?}");
        assert_eq!(world.host.text(Stream::Stdout), expected(), "{at:?}");
        assert_eq!(world.host.text(Stream::Command).len(), 2, "{at:?}");
        world.end().await;
    }
}

#[tokio::test]
#[ignore = "needs docker"]
async fn a_log_goes_on_at_its_cursor() {
    let world = World::docker().await;
    let job = counting(&world, "cut");
    let first = another_engine().await;
    tokio::select! {
        biased;
        () = world.host.saw("stdout line 150") => {}
        outcome = first.run(&job, world.context().build()) => panic!("it ended before: {outcome:?}"),
    }
    world.host.forget_open_lines();
    let ctx = world.context().cursor(world.host.cursor()).build();
    assert_eq!(world.executor.run(&job, ctx).await.unwrap().status, Status::Succeeded);
    assert_eq!(world.host.text(Stream::Stdout), expected());
    world.end().await;
}

#[tokio::test]
#[ignore = "needs docker"]
async fn a_second_start_runs_nothing() {
    let world = World::docker().await;
    let job = world.job("twice", &["echo ran; exit 7"]);
    let outcome = world.run(&job).await;
    assert_eq!(outcome.exit_code, Some(7));
    // An engine that had confirmed its lease, was paused, and goes on after all is over.
    let name = job.id.backend_name();
    world.docker.start_container(&name, None).await.unwrap();
    let stale = another_engine().await;
    stale.backend().start(&job, &world.context().build()).await.unwrap();
    let ctx = world.context().cursor(world.host.cursor()).build();
    stale.backend().follow(&job, &ctx).await.unwrap();
    let outcome = stale.backend().outcome(&job, &ctx).await.unwrap();
    assert_eq!(outcome.exit_code, Some(7), "{outcome:?}");
    assert_eq!(world.host.text(Stream::Stdout), ["ran"]);
    world.end().await;
}

/// Podman makes such a container ready to run again, and forgets how it ended.
#[tokio::test]
#[ignore = "needs docker"]
async fn a_job_that_somebody_attached_to_after_its_end_keeps_its_outcome() {
    let world = World::docker().await;
    let job = world.job("attached", &["echo ran; exit 7"]);
    assert_eq!(world.run(&job).await.exit_code, Some(7));
    let options = bollard::query_parameters::AttachContainerOptionsBuilder::new().stdin(true).stream(true).build();
    drop(world.docker.attach_container(&job.id.backend_name(), Some(options)).await);
    let ctx = world.context().cursor(world.host.cursor()).build();
    let outcome = another_engine().await.run(&job, ctx).await.unwrap();
    assert_eq!(outcome.exit_code, Some(7), "{outcome:?}");
    assert_eq!(world.host.text(Stream::Stdout), ["ran"]);
    world.end().await;
}

#[tokio::test]
#[ignore = "needs docker"]
async fn an_engine_without_its_lease_starts_nothing() {
    let world = World::docker().await;
    world.host.lose_lease();
    let job = world.job("stale", &["echo ran"]);
    let error = world.executor.run(&job, world.context().build()).await.unwrap_err();
    assert!(matches!(error, ExecutorError::LeaseLost(_)), "{error}");
    assert_eq!(world.host.lines(), Vec::<String>::new());
    world.end().await;
}

#[tokio::test]
#[ignore = "needs docker"]
async fn each_step_may_be_made_again() {
    let world = World::docker().await;
    let job = world.job("again", &["echo ran"]);
    let ctx = world.context().build();
    let backend = world.executor.backend();
    assert_eq!(backend.create(&job, &ctx).await.unwrap(), Created::New);
    assert_eq!(backend.create(&job, &ctx).await.unwrap(), Created::Existing);
    backend.start(&job, &ctx).await.unwrap();
    backend.start(&job, &ctx).await.unwrap();
    backend.follow(&job, &ctx).await.unwrap();
    let ctx = world.context().cursor(world.host.cursor()).build();
    backend.follow(&job, &ctx).await.unwrap();
    assert_eq!(world.host.text(Stream::Stdout), ["ran"]);
    for _ in 0..2 {
        assert_eq!(backend.outcome(&job, &ctx).await.unwrap().status, Status::Succeeded);
    }
    for _ in 0..2 {
        backend.remove(&job.id).await.unwrap();
    }
    backend.reap(world.run).await.unwrap();
    assert_eq!(backend.outcome(&job, &ctx).await.unwrap().status, Status::Lost);
    world.end().await;
}

#[tokio::test]
#[ignore = "needs docker"]
async fn a_container_that_somebody_removed_is_lost() {
    let world = World::docker().await;
    let job = world.job("lost", &["echo up; sleep 600"]);
    let (outcome, ()) = tokio::join!(world.run(&job), async {
        world.host.saw("stdout up").await;
        let options = bollard::query_parameters::RemoveContainerOptionsBuilder::new().force(true).build();
        world.docker.remove_container(&job.id.backend_name(), Some(options)).await.unwrap();
    });
    assert_eq!(outcome.status, Status::Lost);
    world.end().await;
}
