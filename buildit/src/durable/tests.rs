//! The protocol against a backend that lives in memory and outlives the engines that use it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use tokio::sync::Notify;

use super::*;
use crate::artifact::{BlobError, BlobStore, BlobStream};
use crate::backend::Stopping;
use crate::cancel::CancelSignal;
use crate::executor::{JobHost, LeaseLost, LogCursor, LogError, LogWrite, Physical};
use crate::fault::FaultPlan;
use crate::id::Digest;
use crate::job::{Cause, Status, Stream};
use crate::pipeline::{Action, RunAction, StageSpec};

const LOG: &[u8] = b"one\ntwo\nthree\n";

/// How the jobs of a world behave.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Habit {
    Succeeds,
    WaitsForTerm,
    IgnoresTerm,
    StuckInCreate,
    StuckInStop,
}

#[derive(Debug, Default)]
struct Job {
    claimed: u32,
    ended: Option<JobOutcome>,
    stopped: bool,
}

/// What is there whether or not an engine lives.
#[derive(Debug)]
struct World {
    habit: Habit,
    jobs: Mutex<HashMap<String, Job>>,
    stumbles: Mutex<Vec<&'static str>>,
    changed: Notify,
}

#[derive(Clone, Debug)]
struct Fake(Arc<World>);

impl Fake {
    fn new(habit: Habit) -> Self {
        let jobs = Mutex::default();
        Self(Arc::new(World { habit, jobs, stumbles: Mutex::default(), changed: Notify::new() }))
    }

    fn stumble(&self, step: &'static str) -> Result<(), ExecutorError> {
        let mut stumbles = self.0.stumbles.lock().unwrap();
        match stumbles.iter().position(|known| *known == step) {
            Some(index) => {
                stumbles.swap_remove(index);
                Err(ExecutorError::backend("fake", step, RetryClass::Adopt, "the daemon restarts"))
            }
            None => Ok(()),
        }
    }

    fn with<T>(&self, id: &JobId, look: impl FnOnce(&mut Job) -> T) -> Option<T> {
        self.0.jobs.lock().unwrap().get_mut(&id.backend_name()).map(look)
    }

    fn starts(&self, id: &JobId) -> u32 {
        self.with(id, |job| job.claimed).unwrap_or_default()
    }
}

#[async_trait]
impl Backend for Fake {
    fn name(&self) -> &str {
        "fake"
    }

    fn supports(&self, _: &JobSpec) -> Result<(), Unsupported> {
        Ok(())
    }

    async fn create(&self, job: &JobSpec, _: &JobContext) -> Result<Created, CreateError> {
        self.stumble("create")?;
        if self.0.habit == Habit::StuckInCreate {
            std::future::pending::<()>().await;
        }
        let mut jobs = self.0.jobs.lock().unwrap();
        let there = jobs.contains_key(&job.id.backend_name());
        jobs.entry(job.id.backend_name()).or_default();
        Ok(if there { Created::Existing } else { Created::New })
    }

    async fn start(&self, job: &JobSpec, _: &JobContext) -> Result<(), ExecutorError> {
        self.stumble("start")?;
        let habit = self.0.habit;
        self.with(&job.id, |job| {
            if job.claimed == 0 && !job.stopped {
                job.claimed += 1;
                job.ended = (habit == Habit::Succeeds).then(JobOutcome::succeeded);
            }
        });
        // The answer may be lost although the job was started.
        self.stumble("started")
    }

    async fn follow(&self, job: &JobSpec, ctx: &JobContext) -> Result<(), ExecutorError> {
        self.stumble("follow")?;
        let from = usize::try_from(ctx.cursor().stdout).unwrap();
        if self.starts(&job.id) > 0 {
            for (index, _) in LOG.iter().enumerate().filter(|(index, byte)| **byte == b'\n' && *index >= from) {
                let begin = LOG[..index].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                let bytes = Bytes::from_static(&LOG[begin..=index]);
                let position = Some((Physical::Stdout, index as u64 + 1));
                ctx.log(&job.id, LogWrite { stream: Stream::Stdout, bytes, position }).await?;
                self.stumble("line")?;
            }
        }
        loop {
            let changed = self.0.changed.notified();
            if self.with(&job.id, |job| job.ended.is_some() || job.stopped && job.claimed == 0).unwrap_or(true) {
                return Ok(());
            }
            changed.await;
        }
    }

    async fn stop(&self, job: &JobId, how: Stop) -> Result<Stopping, ExecutorError> {
        self.stumble("stop")?;
        if self.0.habit == Habit::StuckInStop && how < Stop::Now {
            std::future::pending::<()>().await;
        }
        let habit = self.0.habit;
        Ok(self
            .with(job, |job| {
                if job.ended.is_some() {
                    return Stopping::AlreadyEnded;
                }
                job.stopped = true;
                if job.claimed > 0 && (how == Stop::Now || habit == Habit::WaitsForTerm) {
                    job.ended = Some(JobOutcome::failed(if how == Stop::Now { 137 } else { 0 }));
                }
                self.0.changed.notify_waiters();
                Stopping::Requested
            })
            .unwrap_or(Stopping::Requested))
    }

    async fn outcome(&self, job: &JobSpec, _: &JobContext) -> Result<JobOutcome, ExecutorError> {
        self.stumble("outcome")?;
        Ok(self.with(&job.id, |job| job.ended.clone()).flatten().unwrap_or_else(JobOutcome::lost))
    }

    async fn remove(&self, job: &JobId) -> Result<(), ExecutorError> {
        self.stumble("remove")?;
        self.0.jobs.lock().unwrap().remove(&job.backend_name());
        Ok(())
    }

    async fn reap(&self, run: RunId) -> Result<(), ExecutorError> {
        self.stumble("reap")?;
        self.0.jobs.lock().unwrap().retain(|name, _| !name.starts_with(&JobId::backend_prefix(run)));
        Ok(())
    }
}

/// Keeps the log that an engine would store, and its lease.
#[derive(Debug, Default)]
struct Host {
    log: Mutex<Vec<u8>>,
    lost: AtomicBool,
}

#[async_trait]
impl JobHost for Host {
    async fn log(&self, _: &JobId, write: LogWrite) -> Result<(), LogError> {
        let mut log = self.log.lock().unwrap();
        let (_, end) = write.position.unwrap();
        assert_eq!(log.len() + write.bytes.len(), usize::try_from(end).unwrap(), "a gap or a double");
        log.extend_from_slice(&write.bytes);
        Ok(())
    }

    async fn flush(&self, _: &JobId) -> Result<(), LogError> {
        Ok(())
    }

    async fn confirm_lease(&self, _: &JobId) -> Result<(), LeaseLost> {
        if self.lost.load(Ordering::Relaxed) { Err(LeaseLost) } else { Ok(()) }
    }

    fn mask(&self, text: &str) -> String {
        text.to_owned()
    }
}

#[derive(Debug)]
struct NoBlobs;

#[async_trait]
impl BlobStore for NoBlobs {
    async fn put(&self, _: BlobStream) -> Result<(Digest, u64), BlobError> {
        Err(BlobError::Missing(Digest::of(b"")))
    }

    async fn open(&self, digest: &Digest) -> Result<BlobStream, BlobError> {
        Err(BlobError::Missing(*digest))
    }

    async fn contains(&self, _: &Digest) -> Result<bool, BlobError> {
        Ok(false)
    }
}

/// Makes the engine die, once, when it comes to this point.
#[derive(Debug)]
struct DieAt(Mutex<Option<CrashPoint>>);

impl FaultPlan for DieAt {
    fn reach(&self, point: CrashPoint, _: Option<&JobId>) {
        let mut at = self.0.lock().unwrap();
        if *at == Some(point) {
            *at = None;
            drop(at);
            // Unlike `panic!`, this prints nothing.
            std::panic::resume_unwind(Box::new(point));
        }
    }
}

fn job() -> JobSpec {
    let stage = StageSpec::new("build", Action::Run(RunAction::default()));
    JobSpec {
        id: JobId { run: RunId::new(), stage: stage.name.clone(), attempt: 1 },
        stage: Arc::new(stage),
        index: 0,
        run_env: Arc::default(),
        variables: Default::default(),
    }
}

/// An engine that lives until it dies at `at`: `None` when it died.
async fn engine(
    backend: &Fake,
    host: &Arc<Host>,
    job: &JobSpec,
    cancel: CancelSignal,
    at: Option<CrashPoint>,
) -> Option<Result<JobOutcome, ExecutorError>> {
    let stdout = host.log.lock().unwrap().len() as u64;
    let ctx = JobContext::builder(host.clone(), Arc::new(NoBlobs))
        .cursor(LogCursor { stdout, ..LogCursor::default() })
        .cancel(cancel)
        .faults(Some(Arc::new(DieAt(Mutex::new(at)))))
        .build();
    let executor = Durable::new(backend.clone());
    let job = job.clone();
    tokio::spawn(async move { executor.run(&job, ctx).await }).await.ok()
}

/// Runs the job with engines that die one after another, and one that lives.
async fn run_through(backend: &Fake, host: &Arc<Host>, job: &JobSpec, deaths: &[CrashPoint]) -> JobOutcome {
    for at in deaths {
        match engine(backend, host, job, CancelSignal::new(), Some(*at)).await {
            None | Some(Err(_)) => {}
            Some(Ok(outcome)) => return outcome,
        }
    }
    for _ in 0..10 {
        if let Some(Ok(outcome)) = engine(backend, host, job, CancelSignal::new(), None).await {
            return outcome;
        }
    }
    panic!("the job never ended");
}

const POINTS: [CrashPoint; 4] = [CrashPoint::Created, CrashPoint::Confirmed, CrashPoint::Released, CrashPoint::Exited];

#[tokio::test(start_paused = true)]
async fn g1_a_crash_at_any_point_starts_the_job_once() {
    for point in POINTS {
        let (backend, host, job) = (Fake::new(Habit::Succeeds), Arc::new(Host::default()), job());
        assert!(engine(&backend, &host, &job, CancelSignal::new(), Some(point)).await.is_none(), "{point:?} not hit");
        let outcome = engine(&backend, &host, &job, CancelSignal::new(), None).await.unwrap().unwrap();
        assert_eq!(outcome, JobOutcome::succeeded(), "{point:?}");
        assert_eq!(backend.starts(&job.id), 1, "{point:?}");
        assert_eq!(*host.log.lock().unwrap(), LOG, "{point:?}");
        Durable::new(backend.clone()).release(&job.id).await.unwrap();
        assert!(backend.0.jobs.lock().unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn g11_an_engine_that_lost_its_lease_starts_nothing() {
    let (backend, host, job) = (Fake::new(Habit::Succeeds), Arc::new(Host::default()), job());
    host.lost.store(true, Ordering::Relaxed);
    let error = engine(&backend, &host, &job, CancelSignal::new(), None).await.unwrap().unwrap_err();
    assert!(matches!(error, ExecutorError::LeaseLost(_)), "{error}");
    assert_eq!(backend.starts(&job.id), 0);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_heeds_the_request_is_cancelled_before_the_grace_period_ends() {
    let (backend, host, job) = (Fake::new(Habit::WaitsForTerm), Arc::new(Host::default()), job());
    let (cancel, begun) = (CancelSignal::new(), tokio::time::Instant::now());
    let running = tokio::spawn({
        let (backend, host, job, cancel) = (backend.clone(), host.clone(), job.clone(), cancel.clone());
        async move { engine(&backend, &host, &job, cancel, None).await.unwrap().unwrap() }
    });
    tokio::time::sleep(Duration::from_secs(60)).await;
    cancel.raise(Stop::Gracefully);
    assert_eq!(running.await.unwrap().status, Status::Cancelled);
    assert_eq!(begun.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_does_not_heed_it_is_killed_after_the_grace_period_or_when_somebody_insists() {
    let ways = [Habit::IgnoresTerm, Habit::StuckInStop].map(|habit| [(habit, false), (habit, true)]);
    for (habit, insist) in ways.into_iter().flatten() {
        let (backend, host, job) = (Fake::new(habit), Arc::new(Host::default()), job());
        let (cancel, begun) = (CancelSignal::new(), tokio::time::Instant::now());
        let running = tokio::spawn({
            let (backend, host, job, cancel) = (backend.clone(), host.clone(), job.clone(), cancel.clone());
            async move { engine(&backend, &host, &job, cancel, None).await.unwrap().unwrap() }
        });
        tokio::time::sleep(Duration::from_secs(5)).await;
        cancel.raise(Stop::Gracefully);
        tokio::time::sleep(Duration::from_secs(2)).await;
        if insist {
            cancel.raise(Stop::Now);
        }
        let outcome = running.await.unwrap();
        assert_eq!((outcome.status, outcome.exit_code), (Status::Cancelled, Some(137)));
        assert_eq!(begun.elapsed().as_secs(), if insist { 7 } else { 15 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_hangs_is_given_up_after_the_grace_period() {
    let (backend, host, job) = (Fake::new(Habit::StuckInCreate), Arc::new(Host::default()), job());
    let cancel = CancelSignal::new();
    cancel.raise(Stop::Gracefully);
    let outcome = engine(&backend, &host, &job, cancel, None).await.unwrap().unwrap();
    assert_eq!(outcome, JobOutcome::cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_stopped_before_its_start_never_runs() {
    let (backend, host, job) = (Fake::new(Habit::Succeeds), Arc::new(Host::default()), job());
    let cancel = CancelSignal::new();
    cancel.raise(Stop::Gracefully);
    let outcome = engine(&backend, &host, &job, cancel, None).await.unwrap().unwrap();
    assert_eq!(outcome, JobOutcome::cancelled());
    assert_eq!(backend.starts(&job.id), 0);
}

#[tokio::test(start_paused = true)]
async fn g2_a_job_that_ended_by_itself_keeps_its_outcome_when_a_stop_comes_too_late() {
    let (backend, host, job) = (Fake::new(Habit::Succeeds), Arc::new(Host::default()), job());
    assert!(engine(&backend, &host, &job, CancelSignal::new(), Some(CrashPoint::Released)).await.is_none());
    let cancel = CancelSignal::new();
    cancel.raise(Stop::Gracefully);
    let outcome = engine(&backend, &host, &job, cancel, None).await.unwrap().unwrap();
    assert_eq!(outcome, JobOutcome::succeeded());
    assert_eq!(*host.log.lock().unwrap(), LOG);
}

#[test]
fn what_an_earlier_engine_stopped_stays_stopped() {
    let killed = JobOutcome::failed_because(Cause::Signal, "killed");
    assert_eq!(stopping::attribute(killed, Some(Stopping::AlreadyEnded)).status, Status::Cancelled);
    let failed = JobOutcome::failed(1);
    assert_eq!(stopping::attribute(failed.clone(), Some(Stopping::AlreadyEnded)), failed);
    assert_eq!(stopping::attribute(JobOutcome::lost(), Some(Stopping::Requested)).status, Status::Cancelled);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn g1_any_deaths_and_stumbles_start_the_job_once(
        deaths in prop::collection::vec(prop::sample::select(&POINTS), 0..4),
        stumbles in prop::collection::vec(
            prop::sample::select(&["create", "start", "started", "follow", "line", "outcome", "remove"]), 0..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (backend, host, job) = (Fake::new(Habit::Succeeds), Arc::new(Host::default()), job());
            *backend.0.stumbles.lock().unwrap() = stumbles;
            let outcome = run_through(&backend, &host, &job, &deaths).await;
            assert_eq!(outcome, JobOutcome::succeeded());
            assert_eq!(backend.starts(&job.id), 1);
            assert_eq!(*host.log.lock().unwrap(), LOG);
            let executor = Durable::new(backend.clone());
            // `reap` is the net behind a removal that failed.
            let _ = executor.release(&job.id).await;
            while executor.reap(job.id.run).await.is_err() {}
            assert!(backend.0.jobs.lock().unwrap().is_empty());
        });
    }
}
