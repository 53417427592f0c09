//! Jobs that are stopped.

use std::time::Duration;

use buildit::cancel::{CancelSignal, Stop};
use buildit::executor::Executor;
use buildit::job::Status;

use super::world::World;

#[tokio::test]
#[ignore = "needs docker"]
async fn a_job_may_use_its_grace_period() {
    let world = World::docker().await;
    let script = "sh -c 'trap \"echo tidy; exit 0\" TERM; echo up; while :; do sleep 0.1; done'";
    let job = world.job("grace", &[script, "echo never"]);
    let cancel = CancelSignal::new();
    let ctx = world.context().cancel(cancel.clone()).grace(Duration::from_secs(60)).build();
    let (outcome, ()) = tokio::join!(world.executor.run(&job, ctx), async {
        world.host.saw("stdout up").await;
        cancel.raise(Stop::Gracefully);
    });
    assert_eq!(outcome.unwrap().status, Status::Cancelled);
    let lines = world.host.lines();
    assert!(lines.contains(&"stdout tidy".to_owned()), "{lines:?}");
    assert!(!lines.contains(&"stdout never".to_owned()), "{lines:?}");
    world.end().await;
}

#[tokio::test]
#[ignore = "needs docker"]
async fn the_whole_tree_is_killed_after_the_grace_period() {
    let world = World::docker().await;
    let deaf = "trap '' TERM; (setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' &) ; echo up; while :; do sleep 1; done";
    let job = world.job("deaf", &[deaf]);
    let cancel = CancelSignal::new();
    let ctx = world.context().cancel(cancel.clone()).grace(Duration::from_millis(300)).build();
    let (outcome, ()) = tokio::join!(world.executor.run(&job, ctx), async {
        world.host.saw("stdout up").await;
        cancel.raise(Stop::Gracefully);
    });
    assert_eq!(outcome.unwrap().status, Status::Cancelled);
    world.executor.release(&job.id).await.unwrap();
    world.end().await;
}

#[tokio::test]
#[ignore = "needs docker"]
async fn a_kill_does_not_wait() {
    let world = World::docker().await;
    let job = world.job("now", &["trap '' TERM; echo up; while :; do sleep 1; done"]);
    let cancel = CancelSignal::new();
    let ctx = world.context().cancel(cancel.clone()).grace(Duration::from_secs(3600)).build();
    let (outcome, ()) = tokio::join!(world.executor.run(&job, ctx), async {
        world.host.saw("stdout up").await;
        cancel.raise(Stop::Now);
    });
    assert_eq!(outcome.unwrap().status, Status::Cancelled);
    world.end().await;
}

#[tokio::test]
#[ignore = "needs docker"]
async fn a_job_that_is_stopped_before_it_starts_never_does() {
    let world = World::docker().await;
    let job = world.job("early", &["echo ran"]);
    let cancel = CancelSignal::new();
    cancel.raise(Stop::Gracefully);
    let outcome = world.executor.run(&job, world.context().cancel(cancel).build()).await.unwrap();
    assert_eq!(outcome.status, Status::Cancelled);
    assert_eq!(world.host.lines(), Vec::<String>::new());
    world.end().await;
}

/// Asking its processes to end takes the container's own shell, which the job has replaced by one that never answers.
#[tokio::test]
#[ignore = "needs docker"]
async fn a_job_that_replaces_its_shell_is_killed_after_the_grace_period() {
    let world = World::docker().await;
    let replace = "rm /bin/sh; printf '#!/bin/busybox ash\\nwhile :; do sleep 1; done\\n' >/bin/sh; chmod +x /bin/sh";
    let job = world.job("shell", &[&format!("{replace}; trap '' TERM; echo up; while :; do sleep 1; done")]);
    let cancel = CancelSignal::new();
    let ctx = world.context().cancel(cancel.clone()).grace(Duration::from_millis(300)).build();
    let ended = async {
        tokio::join!(world.executor.run(&job, ctx), async {
            world.host.saw("stdout up").await;
            cancel.raise(Stop::Gracefully);
        })
    };
    let (outcome, ()) = tokio::time::timeout(Duration::from_secs(60), ended).await.expect("it is killed");
    assert_eq!(outcome.unwrap().status, Status::Cancelled);
    world.end().await;
}
