//! Engines that die, and those that come after them. An engine that dies is a future that is dropped, with an
//! executor that is forgotten.

use std::io::Write;

use buildit::backend::{Backend, Created};
use buildit::durable::Durable;
use buildit::executor::Executor;
use buildit::job::{Cause, JobOutcome, JobSpec, Status, Stream};
use buildit_executors::local::LocalBackend;

use crate::World;
use crate::host::{context, job};

impl World {
    /// Runs the job until its log holds this text, then forgets the engine.
    async fn die_at(&mut self, job: &JobSpec, text: &str) {
        {
            let ctx = context(&self.host, &self.blobs).build();
            tokio::select! {
                outcome = self.executor.run(job, ctx) => unreachable!("it ended: {outcome:?}"),
                () = self.host.wait_for(text) => {}
            }
        }
        self.executor = Durable::new(LocalBackend::new(self.state.path()));
    }

    fn tell(&self, job: &JobSpec, fifo: &str) -> tokio::task::JoinHandle<()> {
        let fifo = self.executor.backend().workspace(&job.id).join(fifo);
        tokio::task::spawn_blocking(move || {
            let mut fifo = std::fs::OpenOptions::new().write(true).open(fifo).unwrap();
            fifo.write_all(b"go\n").unwrap();
        })
    }
}

#[tokio::test]
async fn a_later_engine_takes_the_job_over_without_a_gap() {
    let mut world = World::new();
    let job = job(&[
        "mkfifo a b; echo one; echo err >&2; read x <a",
        "echo two; read x <b; echo three; echo err >&2; exit 7",
    ]);
    world.die_at(&job, "stdout one").await;
    let told = world.tell(&job, "a");
    world.die_at(&job, "stdout two").await;
    told.await.unwrap();
    let told = world.tell(&job, "b");
    assert_eq!(world.run(&job).await, JobOutcome::failed(7));
    told.await.unwrap();
    assert_eq!(world.host.text(Stream::Stdout), "one\ntwo\nthree\n");
    assert_eq!(world.host.text(Stream::Stderr), "err\nerr\n");
    let echoes = world.host.text(Stream::Command);
    assert_eq!(echoes.matches("read x").count(), 2, "{echoes}");
    world.leaves_nothing(&job).await;
}

#[tokio::test]
async fn a_job_that_ended_meanwhile_keeps_its_outcome() {
    let mut world = World::new();
    let job = job(&["mkfifo a; echo one; read x <a; echo two"]);
    world.die_at(&job, "stdout one").await;
    world.tell(&job, "a").await.unwrap();
    while !crate::processes_of(&job.id.backend_name()).is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.run(&job).await, JobOutcome::succeeded());
    // And once more, for an engine that died before the outcome was stored.
    assert_eq!(world.run(&job).await, JobOutcome::succeeded());
    assert_eq!(world.host.text(Stream::Stdout), "one\ntwo\n");
    world.leaves_nothing(&job).await;
}

#[tokio::test]
async fn a_job_starts_once_however_often_it_is_started() {
    let world = World::new();
    let job = job(&["echo ran"]);
    let backend = world.executor.backend();
    let other = LocalBackend::new(world.state.path());
    let ctx = context(&world.host, &world.blobs).build();
    assert_eq!(backend.create(&job, &ctx).await.unwrap(), Created::New);
    assert_eq!(other.create(&job, &ctx).await.unwrap(), Created::Existing);
    let starts = (0..8).map(|turn| if turn % 2 == 0 { backend } else { &other }.start(&job, &ctx));
    for started in futures_util::future::join_all(starts).await {
        started.unwrap();
    }
    backend.follow(&job, &ctx).await.unwrap();
    assert_eq!(backend.outcome(&job, &ctx).await.unwrap(), JobOutcome::succeeded());
    backend.start(&job, &ctx).await.unwrap();
    other.start(&job, &ctx).await.unwrap();
    let spool = std::fs::read_to_string(world.state.path().join("jobs").join(job.id.backend_name()).join("stdout"));
    assert_eq!(spool.unwrap().matches("\nran\n").count(), 1);
    world.leaves_nothing(&job).await;
}

#[tokio::test]
async fn a_job_whose_processes_are_gone_is_lost() {
    let mut world = World::new();
    let job = job(&["mkfifo a; echo one; read x <a"]);
    world.die_at(&job, "stdout one").await;
    let claim = world.state.path().join("jobs").join(job.id.backend_name()).join("claim");
    let claim = std::fs::read_to_string(claim).unwrap();
    let leader: i32 = claim.lines().next().unwrap().parse().unwrap();
    nix::sys::signal::killpg(nix::unistd::Pid::from_raw(leader), nix::sys::signal::Signal::SIGKILL).unwrap();
    let outcome = world.run(&job).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Lost, Some(Cause::Lost)), "{outcome:?}");
    assert_eq!(world.host.text(Stream::Stdout), "one\n");
    world.leaves_nothing(&job).await;
}

#[tokio::test]
async fn a_job_of_another_boot_is_lost_and_never_started() {
    let world = World::new();
    let job = job(&["echo ran"]);
    let ctx = context(&world.host, &world.blobs).build();
    world.executor.backend().create(&job, &ctx).await.unwrap();
    let script = world.state.path().join("jobs").join(job.id.backend_name()).join("script");
    let text = std::fs::read_to_string(&script).unwrap();
    let (_, rest) = text.split_once('\n').unwrap();
    std::fs::write(&script, format!("# buildit 2 other/boot\n{rest}")).unwrap();
    assert_eq!(world.run(&job).await.status, Status::Lost);
    assert_eq!(world.host.lines(), Vec::<String>::new());
    world.leaves_nothing(&job).await;
}
