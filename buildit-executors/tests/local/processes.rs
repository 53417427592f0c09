//! The processes of jobs: stopping, killing, leaving none.

use std::time::Duration;

use buildit::cancel::{CancelSignal, Stop};
use buildit::executor::Executor;
use buildit::job::{JobOutcome, Status, Stream};

use crate::host::{context, job};
use crate::{World, processes_of};

/// Runs a job until its log holds `text`, asks it to stop and gives its outcome.
async fn stopped_at(world: &World, job: &buildit::job::JobSpec, text: &str, how: Stop) -> JobOutcome {
    let cancel = CancelSignal::new();
    let ctx = context(&world.host, &world.blobs).cancel(cancel.clone()).grace(Duration::from_secs(60)).build();
    let stop = async {
        world.host.wait_for(text).await;
        cancel.raise(how);
    };
    let (outcome, ()) = tokio::join!(world.executor.run(job, ctx), stop);
    outcome.unwrap()
}

#[tokio::test]
async fn a_graceful_stop_lets_the_command_end_in_good_order() {
    let world = World::new();
    let job = job(&[
        "sh -c 'trap \"echo saved; exit 0\" TERM; echo ready; while :; do sleep 0.01; done'; echo after",
        "echo next",
    ]);
    let outcome = stopped_at(&world, &job, "stdout ready", Stop::Gracefully).await;
    assert_eq!((outcome.status, outcome.exit_code), (Status::Cancelled, Some(143)), "{outcome:?}");
    assert_eq!(world.host.text(Stream::Stdout), "ready\nsaved\n");
    world.leaves_nothing(&job).await;
}

#[tokio::test]
async fn a_graceful_stop_of_plain_commands_leaves_their_exit_code() {
    let world = World::new();
    let job = job(&["echo ready\nsleep 1000", "echo next"]);
    let outcome = stopped_at(&world, &job, "stdout ready", Stop::Gracefully).await;
    assert_eq!((outcome.status, outcome.exit_code), (Status::Cancelled, Some(143)), "{outcome:?}");
    assert_eq!(world.host.text(Stream::Stdout), "ready\n");
    world.leaves_nothing(&job).await;
}

#[tokio::test]
async fn a_graceful_stop_reaches_a_command_that_was_made_in_the_same_moment() {
    let world = World::new();
    // As a command does that its shell makes by vfork: the first signal meets a handler that is not its own.
    let shy = "$SIG{TERM} = sub { $told = 1 }; syswrite STDOUT, \"ready\\n\"; \
               select undef, undef, undef, 0.001 until $told; $SIG{TERM} = \"DEFAULT\"; sleep 1000";
    let job = job(&[&format!("perl -e '{shy}'"), "echo next"]);
    let outcome = stopped_at(&world, &job, "stdout ready", Stop::Gracefully).await;
    assert_eq!((outcome.status, outcome.exit_code), (Status::Cancelled, Some(143)), "{outcome:?}");
    world.leaves_nothing(&job).await;
}

#[tokio::test]
async fn what_cleans_up_at_a_graceful_stop_is_not_told_a_second_time() {
    let world = World::new();
    // Its commands are young and would end at the signal.
    let tidy =
        "sh -c 'trap \"sleep 0.6 && echo saved; exit 0\" TERM; echo ready; while :; do sleep 0.01; done'; echo after";
    let job = job(&[tidy]);
    let outcome = stopped_at(&world, &job, "stdout ready", Stop::Gracefully).await;
    assert_eq!((outcome.status, outcome.exit_code), (Status::Cancelled, Some(143)), "{outcome:?}");
    assert_eq!(world.host.text(Stream::Stdout), "ready\nsaved\n");
    world.leaves_nothing(&job).await;
}

#[tokio::test]
async fn what_a_job_writes_into_its_claim_keeps_no_stop_from_it() {
    for forge in ["rm -f \"$c\"", "echo 0 >>\"$c\"", "rm -f \"$c\"; echo never >\"$c\"", "rm -rf \"${c%/claim}\""] {
        let world = World::new();
        let forged = format!(
            "trap '' TERM; c=\"${{BUILDIT_OUTPUT%output}}claim\"; cd /; {forge}; echo ready; while :; do sleep 0.01; done"
        );
        let job = job(&[&forged]);
        let outcome = stopped_at(&world, &job, "stdout ready", Stop::Now).await;
        assert_eq!(outcome.status, Status::Cancelled, "{forge}: {outcome:?}");
        assert_eq!(processes_of(&job.id.backend_name()), Vec::<String>::new(), "{forge}");
        world.leaves_nothing(&job).await;
    }
}

#[tokio::test]
async fn a_kill_reaches_the_whole_tree() {
    let world = World::new();
    let job = job(&[
        "trap '' TERM; setsid sh -c 'sleep 1000 & sleep 1001' >/dev/null 2>&1 & (setsid sleep 1002 &) ; sleep 1003 & echo ready; wait",
    ]);
    let outcome = stopped_at(&world, &job, "stdout ready", Stop::Now).await;
    assert_eq!(outcome.status, Status::Cancelled);
    assert_eq!(processes_of(&job.id.backend_name()), Vec::<String>::new());
    world.leaves_nothing(&job).await;
}

#[tokio::test]
async fn what_a_job_leaves_running_is_killed() {
    let world = World::new();
    let job = job(&["sleep 1000 & setsid sleep 1001 & setsid sleep 1002 >/dev/null 2>&1 & echo done"]);
    assert_eq!(world.run(&job).await, JobOutcome::succeeded());
    assert_eq!(world.host.text(Stream::Stdout), "done\n");
    world.leaves_nothing(&job).await;
}

#[tokio::test]
async fn a_job_that_was_stopped_before_it_started_never_starts() {
    let world = World::new();
    let job = job(&["echo ran"]);
    let cancel = CancelSignal::new();
    cancel.raise(Stop::Now);
    let ctx = context(&world.host, &world.blobs).cancel(cancel).build();
    assert_eq!(world.executor.run(&job, ctx).await.unwrap().status, Status::Cancelled);
    // Not even for an engine that has not heard of it.
    let outcome = world.run(&job).await;
    assert_ne!(outcome.status, Status::Succeeded);
    assert_eq!(world.host.lines(), Vec::<String>::new());
    world.leaves_nothing(&job).await;
}

#[tokio::test]
async fn no_child_becomes_a_zombie_when_nobody_follows() {
    let world = World::new();
    let job = job(&["echo ready; read line < fifo || mkfifo fifo; echo go; read line < fifo"]);
    {
        let ctx = context(&world.host, &world.blobs).build();
        let run = world.executor.run(&job, ctx);
        tokio::select! {
            _ = run => unreachable!("it waits for the fifo"),
            () = world.host.wait_for("stdout go") => {}
        }
    }
    let fifo = world.executor.backend().workspace(&job.id).join("fifo");
    tokio::task::spawn_blocking(move || std::fs::write(fifo, "x\n").unwrap()).await.unwrap();
    // Only who waits for it sees an end without a zombie: the log is not followed here.
    while !processes_of(&job.id.backend_name()).is_empty() {
        tokio::task::yield_now().await;
    }
    let children =
        std::fs::read_to_string(format!("/proc/self/task/{}/children", std::process::id())).unwrap_or_default();
    for child in children.split_whitespace() {
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        assert!(!stat.contains(") Z "), "{stat}");
    }
    world.leaves_nothing(&job).await;
}
