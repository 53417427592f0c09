//! What is asked of an executor, clause by clause.

use std::sync::Arc;
use std::time::Duration;

use super::Suite;
use super::probes::LINES;
use crate::cancel::{CancelSignal, Stop};
use crate::executor::{Adoption, Executor, ExecutorError};
use crate::id::{JobId, RunId};
use crate::job::{Cause, JobOutcome, JobSpec, Status, Stream};
use crate::pipeline::StageSpec;
use crate::testing::TestHost;

/// Something that every executor must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Clause {
    /// It has a name, claims the same abilities each time, and takes the probes.
    Consistent,
    /// A job that ends well succeeded.
    Success,
    /// A job that fails is an outcome with its exit code, and no error.
    Failure,
    /// Every line of both streams is stored, once and in order, before the outcome is told; the last one too when it
    /// has no end.
    WholeLog,
    /// Variables reach the job as they are, whatever is in them (guarantee G6).
    Variables,
    /// What a job wrote to `$BUILDIT_OUTPUT` is in its products.
    Outputs,
    /// A secret reaches the job, is masked in its log, and is refused in its outputs (G4).
    Secrets,
    /// A job that is asked to end is asked before it is killed, and is cancelled.
    Graceful,
    /// A job that does not heed the request is killed after the grace period.
    Kill,
    /// `Stop::Now` waits for no grace period.
    KillNow,
    /// A job that is stopped before it starts never runs; for executors that take jobs over.
    NeverStarted,
    /// An engine that lost its lease starts nothing (G11).
    Lease,
    /// A job whose engine is gone is taken over by the next: it runs once, and its log has no gap (G1, G3).
    Adoption,
    /// A job that has ended is not run again, and tells the same outcome, until it is released (G1).
    Idempotent,
    /// `release` and `reap` can be called again, and for what is not there; nothing is left (G8).
    Removal,
}

impl Clause {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Consistent,
        Self::Success,
        Self::Failure,
        Self::WholeLog,
        Self::Variables,
        Self::Outputs,
        Self::Secrets,
        Self::Graceful,
        Self::Kill,
        Self::KillNow,
        Self::NeverStarted,
        Self::Lease,
        Self::Adoption,
        Self::Idempotent,
        Self::Removal,
    ];
}

/// Whether it was tried, or what was wrong.
type Checked = Result<bool, String>;

const SECRET: &str = "hunter2-hunter2";

/// A value with all that a shell might take for more than text.
const HOSTILE: &str = "'\"`$(exit 9)${HOME}; && | * ? ~ \\ # <<EOF é 🦀 --x";

/// Short, because the suite waits for it; the probe that heeds a request answers within a tenth of a second.
const GRACE: Duration = Duration::from_secs(3);

/// Long enough that whoever waits for it runs out of patience.
const LONG_GRACE: Duration = Duration::from_secs(3600);

pub(super) async fn check(suite: &Suite, clause: Clause) -> Checked {
    let probes = &suite.probes;
    let probe = match clause {
        Clause::Consistent => return consistent(suite),
        Clause::Success | Clause::NeverStarted => &probes.succeeds,
        Clause::Failure => &probes.fails,
        Clause::WholeLog => &probes.prints,
        Clause::Variables => &probes.reads,
        Clause::Outputs => &probes.sets,
        Clause::Secrets => &probes.leaks,
        Clause::Graceful => &probes.stops,
        Clause::Kill | Clause::KillNow => &probes.ignores,
        Clause::Lease | Clause::Adoption | Clause::Idempotent => &probes.pauses,
        Clause::Removal => &probes.succeeds,
    };
    let Some(stage) = probe.clone() else { return Ok(false) };
    let is_durable = suite.executor().adoption() == Adoption::ByJobId;
    // What an executor need not do whose jobs end with its engine: the engine itself starts nothing that was stopped.
    let durable_only = [Clause::NeverStarted, Clause::Lease, Clause::Adoption, Clause::Idempotent];
    if !is_durable && durable_only.contains(&clause) {
        return Ok(false);
    }
    let mut trial = Trial::new(suite, stage, clause == Clause::Secrets).await?;
    match clause {
        Clause::Consistent => {}
        Clause::Success => trial.succeeds().await?,
        Clause::Failure => trial.fails().await?,
        Clause::WholeLog => trial.whole_log().await?,
        Clause::Variables => trial.variables().await?,
        Clause::Outputs => trial.outputs().await?,
        Clause::Secrets => trial.secrets().await?,
        Clause::Graceful => trial.graceful().await?,
        Clause::Kill => trial.killed(Stop::Gracefully, GRACE).await?,
        Clause::KillNow => trial.killed(Stop::Now, LONG_GRACE).await?,
        Clause::NeverStarted => trial.never_started().await?,
        Clause::Lease => trial.lease().await?,
        Clause::Adoption => trial.adoption().await?,
        Clause::Idempotent => trial.idempotent().await?,
        Clause::Removal => trial.removal(suite).await?,
    }
    trial.clean(suite).await?;
    Ok(true)
}

fn consistent(suite: &Suite) -> Checked {
    let (one, other) = (suite.executor(), suite.executor());
    if one.name().is_empty() || one.name() != other.name() || one.adoption() != other.adoption() {
        return Err("its name or its adoption is not the same each time".into());
    }
    Ok(true)
}

/// One job under test.
struct Trial<'s> {
    suite: &'s Suite,
    host: Arc<TestHost>,
    job: JobSpec,
}

impl<'s> Trial<'s> {
    async fn new(suite: &'s Suite, stage: StageSpec, is_secret: bool) -> Result<Self, String> {
        let host = match is_secret {
            true => TestHost::with_secrets([("PROBE_SECRET", SECRET)]).await.map_err(|error| error.to_string())?,
            false => TestHost::new().await.map_err(|error| error.to_string())?,
        };
        let job = host.job(stage);
        let executor = suite.executor();
        match (executor.supports(&job), executor.supports(&job)) {
            (Ok(()), Ok(())) => Ok(Self { suite, host, job }),
            (Err(lacks), Err(_)) => Err(format!("it does not take the probe: {lacks}")),
            _ => Err("`supports` does not say the same each time".into()),
        }
    }

    /// Runs the job with an engine of its own.
    async fn run(&self, cancel: CancelSignal, grace: Duration) -> Result<JobOutcome, ExecutorError> {
        let ctx = self.host.context(&self.job.id).await;
        let ctx = ctx
            .map_err(|error| ExecutorError::backend("test", "no context", crate::executor::RetryClass::Never, error))?;
        let ctx = ctx.cancel(cancel).grace(grace).build();
        let outcome = self.suite.executor().run(&self.job, ctx.clone()).await?;
        ctx.flush(&self.job.id).await?;
        Ok(outcome)
    }

    async fn outcome(&self) -> Result<JobOutcome, String> {
        self.run(CancelSignal::new(), GRACE).await.map_err(|error| format!("an error instead of an outcome: {error}"))
    }

    async fn lines(&self, stream: Option<Stream>) -> Result<Vec<String>, String> {
        let log = self.host.log_of(&self.job.id).await.map_err(|error| error.to_string())?;
        let wanted = |found: Stream| stream.map_or(found != Stream::Command, |wanted| wanted == found);
        Ok(log.into_iter().filter(|line| wanted(line.stream)).map(|line| line.text).collect())
    }

    async fn succeeds(&self) -> Result<(), String> {
        let outcome = self.outcome().await?;
        expect(outcome.status == Status::Succeeded && outcome.cause.is_none(), || format!("{outcome:?}"))
    }

    async fn fails(&self) -> Result<(), String> {
        let outcome = self.outcome().await?;
        let is_right =
            (outcome.status, outcome.exit_code, outcome.cause) == (Status::Failed, Some(3), Some(Cause::Exit));
        expect(is_right, || format!("{outcome:?}"))
    }

    async fn whole_log(&self) -> Result<(), String> {
        self.outcome().await?;
        for (stream, word, last) in [(Stream::Stdout, "out", Some("last")), (Stream::Stderr, "err", None)] {
            let lines = self.lines(Some(stream)).await?;
            let wanted = (1..=LINES).map(|line| format!("{word} {line}")).chain(last.map(str::to_owned));
            if let Some((at, (found, wanted))) =
                lines.iter().zip(wanted.clone()).enumerate().find(|(_, (found, wanted))| *found != wanted)
            {
                return Err(format!("line {} of {} is `{found}`, not `{wanted}`", at + 1, stream.as_str()));
            }
            let (found, wanted) = (lines.len(), wanted.count());
            expect(found == wanted, || format!("{found} lines of {} instead of {wanted}", stream.as_str()))?;
        }
        Ok(())
    }

    async fn variables(&mut self) -> Result<(), String> {
        self.job.variables.insert("PROBE_TEXT".into(), HOSTILE.into());
        self.outcome().await?;
        let lines = self.lines(Some(Stream::Stdout)).await?;
        expect(lines == [format!("[{HOSTILE}]")], || format!("the job saw {lines:?}"))
    }

    async fn outputs(&self) -> Result<(), String> {
        let outcome = self.outcome().await?;
        let version = outcome.products.as_ref().and_then(|products| products.outputs.get("version"));
        expect(version.is_some_and(|version| version == "1.2"), || format!("{outcome:?}"))
    }

    async fn secrets(&self) -> Result<(), String> {
        let outcome = self.outcome().await?;
        let lines = self.lines(Some(Stream::Stdout)).await?;
        expect(lines == ["it is ***"], || format!("the log shows {lines:?}"))?;
        let told = format!("{outcome:?}");
        expect(!told.contains(SECRET), || "the outcome holds the secret".into())?;
        let is_refused = outcome.status == Status::Failed && outcome.cause == Some(Cause::Output);
        expect(is_refused, || format!("an output with a secret was taken: {told}"))
    }

    /// Runs the job, stops it once it is ready, and says how it ended.
    async fn stopped(&self, how: Stop, grace: Duration) -> Result<JobOutcome, String> {
        let cancel = CancelSignal::new();
        let stop = async {
            let ready = self.host.logged(&self.job.id, 1).await;
            // Echoes of commands come before the first line of the job itself.
            while ready.is_ok() && self.lines(None).await.is_ok_and(|lines| lines.is_empty()) {
                let stored = self.host.log_of(&self.job.id).await.map_or(0, |log| log.len() as u64);
                let _ = self.host.logged(&self.job.id, stored + 1).await;
            }
            cancel.raise(how);
        };
        let (outcome, ()) = tokio::join!(self.run(cancel.clone(), grace), stop);
        outcome.map_err(|error| format!("an error instead of an outcome: {error}"))
    }

    async fn graceful(&self) -> Result<(), String> {
        let outcome = self.stopped(Stop::Gracefully, LONG_GRACE).await?;
        expect(outcome.status == Status::Cancelled, || format!("{outcome:?}"))?;
        let lines = self.lines(Some(Stream::Stdout)).await?;
        expect(lines == ["ready", "bye"], || format!("it was not asked to end, or its last words are lost: {lines:?}"))
    }

    async fn killed(&self, how: Stop, grace: Duration) -> Result<(), String> {
        let outcome = self.stopped(how, grace).await?;
        expect(outcome.status == Status::Cancelled, || format!("{outcome:?}"))
    }

    async fn never_started(&self) -> Result<(), String> {
        let cancel = CancelSignal::new();
        cancel.raise(Stop::Gracefully);
        let outcome = self.run(cancel, GRACE).await.map_err(|error| error.to_string())?;
        expect(outcome.status == Status::Cancelled, || format!("{outcome:?}"))
    }

    async fn lease(&self) -> Result<(), String> {
        self.host.lose_lease();
        let ended = self.run(CancelSignal::new(), GRACE).await;
        let is_refused = matches!(ended, Err(ExecutorError::LeaseLost(_)));
        expect(is_refused, || format!("{ended:?} instead of the loss of the lease"))?;
        let lines = self.lines(None).await?;
        expect(lines.is_empty(), || format!("the job ran: {lines:?}"))
    }

    async fn adoption(&self) -> Result<(), String> {
        tokio::select! {
            ended = self.run(CancelSignal::new(), GRACE) => return Err(format!("it ended too early: {ended:?}")),
            () = async {
                while self.lines(None).await.is_ok_and(|lines| lines.is_empty()) {
                    let stored = self.host.log_of(&self.job.id).await.map_or(0, |log| log.len() as u64);
                    let _ = self.host.logged(&self.job.id, stored + 1).await;
                }
            } => {}
        }
        let outcome = self.outcome().await?;
        expect(outcome.status == Status::Succeeded, || format!("{outcome:?}"))?;
        let lines = self.lines(None).await?;
        expect(lines == ["one", "two"], || format!("the log is {lines:?}"))
    }

    async fn idempotent(&self) -> Result<(), String> {
        let first = self.outcome().await?;
        let second = self.outcome().await?;
        expect(first == second, || format!("{first:?}, and then {second:?}"))?;
        let lines = self.lines(None).await?;
        expect(lines == ["one", "two"], || format!("it ran again: {lines:?}"))
    }

    async fn removal(&self, suite: &Suite) -> Result<(), String> {
        let failed = |error: ExecutorError| format!("an error where there is nothing to do: {error}");
        let executor = suite.executor();
        executor.reap(RunId::new()).await.map_err(failed)?;
        let unknown = JobId { run: RunId::new(), ..self.job.id.clone() };
        executor.release(&unknown).await.map_err(failed)?;
        self.outcome().await?;
        executor.release(&self.job.id).await.map_err(failed)?;
        suite.executor().release(&self.job.id).await.map_err(failed)?;
        executor.reap(self.host.run()).await.map_err(failed)
    }

    /// Removes what the job left, and looks whether it is gone.
    async fn clean(&self, suite: &Suite) -> Result<(), String> {
        let executor = suite.executor();
        executor.release(&self.job.id).await.map_err(|error| format!("`release` failed: {error}"))?;
        executor.reap(self.host.run()).await.map_err(|error| format!("`reap` failed: {error}"))?;
        let left = suite.leftovers.as_ref().map(|find| find(self.host.run())).unwrap_or_default();
        expect(left.is_empty(), || format!("this is left: {left:?}"))
    }
}

fn expect(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
