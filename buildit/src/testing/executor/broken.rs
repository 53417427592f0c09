//! An executor that plays the probes in memory, rightly or with one flaw.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use super::Clause;
use super::probes::LINES;
use crate::cancel::Stop;
use crate::executor::{Adoption, Executor, ExecutorError, JobContext, LogWrite, Physical, RetryClass, Unsupported};
use crate::id::{JobId, RunId};
use crate::job::{Cause, JobOutcome, JobProducts, JobSpec, Stream};

/// What all engines see of the jobs.
#[derive(Debug, Default)]
pub(super) struct World {
    jobs: Mutex<HashMap<JobId, Instant>>,
    asked: AtomicUsize,
}

impl World {
    pub(super) fn left(&self, run: RunId) -> Vec<String> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.keys().filter(|job| job.run == run).map(JobId::backend_name).collect()
    }
}

/// Plays the shell probes by their names; `flaw` is the clause that it breaks.
#[derive(Clone, Debug)]
pub(super) struct Player {
    pub(super) world: Arc<World>,
    pub(super) flaw: Option<Clause>,
}

impl Player {
    fn has(&self, flaw: Clause) -> bool {
        self.flaw == Some(flaw)
    }

    async fn write(ctx: &JobContext, job: &JobSpec, physical: Physical, text: &str) -> Result<(), ExecutorError> {
        let from = usize::try_from(ctx.cursor().offset(physical)).unwrap_or(usize::MAX);
        let stream = if physical == Physical::Stdout { Stream::Stdout } else { Stream::Stderr };
        if let Some(rest) = text.get(from..).filter(|rest| !rest.is_empty()) {
            let bytes = Bytes::copy_from_slice(rest.as_bytes());
            ctx.log(&job.id, LogWrite { stream, bytes, position: Some((physical, text.len() as u64)) }).await?;
        }
        Ok(())
    }

    async fn prints(&self, job: &JobSpec, ctx: &JobContext) -> Result<JobOutcome, ExecutorError> {
        for (physical, word) in [(Physical::Stdout, "out"), (Physical::Stderr, "err")] {
            let mut text: String = (1..=LINES).map(|line| format!("{word} {line}\n")).collect();
            if physical == Physical::Stdout && !self.has(Clause::WholeLog) {
                text.push_str("last");
            }
            Self::write(ctx, job, physical, &text).await?;
        }
        Ok(JobOutcome::succeeded())
    }

    async fn leaks(&self, job: &JobSpec, ctx: &JobContext) -> Result<JobOutcome, ExecutorError> {
        use secrecy::ExposeSecret;
        let secret = ctx.secrets().env.get("PROBE_SECRET").map(|secret| secret.expose_secret()).unwrap_or_default();
        Self::write(ctx, job, Physical::Stdout, &format!("it is {secret}\n")).await?;
        if ctx.holds_secret(secret) && !self.has(Clause::Secrets) {
            return Ok(JobOutcome::failed_because(Cause::Output, "the output `token` holds a secret"));
        }
        Ok(with_output("token", secret))
    }

    /// Goes on until it is stopped; `heeds` tells whether it heeds a request.
    async fn lasts(&self, job: &JobSpec, ctx: &JobContext, heeds: bool) -> Result<JobOutcome, ExecutorError> {
        Self::write(ctx, job, Physical::Stdout, "ready\n").await?;
        ctx.cancel().raised(Stop::Gracefully).await;
        if heeds && !self.has(Clause::Graceful) {
            Self::write(ctx, job, Physical::Stdout, "ready\nbye\n").await?;
            return Ok(JobOutcome::cancelled());
        }
        if self.has(Clause::Kill) {
            ctx.cancel().raised(Stop::Now).await;
        }
        if heeds {
            // The flaw of `Graceful`: it is killed without being asked.
            return Ok(JobOutcome::cancelled());
        }
        tokio::select! {
            () = tokio::time::sleep(ctx.grace()) => {}
            () = ctx.cancel().raised(Stop::Now), if !self.has(Clause::KillNow) => {}
        }
        Ok(JobOutcome::cancelled())
    }

    async fn pauses(&self, job: &JobSpec, ctx: &JobContext, begun: Instant) -> Result<JobOutcome, ExecutorError> {
        Self::write(ctx, job, Physical::Stdout, "one\n").await?;
        tokio::time::sleep_until(begun + Duration::from_secs(1)).await;
        Self::write(ctx, job, Physical::Stdout, "one\ntwo\n").await?;
        Ok(JobOutcome::succeeded())
    }
}

fn with_output(key: &str, value: &str) -> JobOutcome {
    let outputs = [(key.to_owned(), value.to_owned())].into_iter().collect();
    JobOutcome::succeeded().with_products(JobProducts { outputs, ..JobProducts::default() })
}

#[async_trait]
impl Executor for Player {
    fn name(&self) -> &str {
        "player"
    }

    fn supports(&self, _: &JobSpec) -> Result<(), Unsupported> {
        Ok(())
    }

    async fn run(&self, job: &JobSpec, ctx: JobContext) -> Result<JobOutcome, ExecutorError> {
        if ctx.cancel().is_raised() && !self.has(Clause::NeverStarted) {
            return Ok(JobOutcome::cancelled());
        }
        if !self.has(Clause::Lease) {
            ctx.confirm_lease(&job.id).await?;
        }
        let (begun, is_new) = {
            let mut jobs = self.world.jobs.lock().unwrap_or_else(PoisonError::into_inner);
            let is_new = !jobs.contains_key(&job.id);
            (*jobs.entry(job.id.clone()).or_insert_with(Instant::now), is_new)
        };
        if !is_new && (self.has(Clause::Adoption) || self.has(Clause::Idempotent)) {
            // It was started once more, so its first line is there once more.
            ctx.log_line(&job.id, Stream::Stdout, "one").await?;
        }
        let outcome = match job.stage.name.as_str() {
            "succeeds" if self.has(Clause::Success) => JobOutcome::failed(1),
            "fails" if self.has(Clause::Failure) => {
                return Err(ExecutorError::backend("player", "exit 3", RetryClass::Never, "exit 3"));
            }
            "fails" => JobOutcome::failed(3),
            "prints" => self.prints(job, &ctx).await?,
            "stops" => self.lasts(job, &ctx, true).await?,
            "ignores" => self.lasts(job, &ctx, false).await?,
            "sets" if self.has(Clause::Outputs) => JobOutcome::succeeded(),
            "sets" => with_output("version", "1.2"),
            "leaks" => self.leaks(job, &ctx).await?,
            "reads" => {
                let mut text = job.environment().get("PROBE_TEXT").cloned().unwrap_or_default();
                if self.has(Clause::Variables) {
                    text = text.replace('"', "");
                }
                Self::write(&ctx, job, Physical::Stdout, &format!("[{text}]\n")).await?;
                JobOutcome::succeeded()
            }
            "pauses" => self.pauses(job, &ctx, begun).await?,
            _ => JobOutcome::succeeded(),
        };
        ctx.flush(&job.id).await?;
        Ok(outcome)
    }

    fn adoption(&self) -> Adoption {
        let is_odd = self.world.asked.fetch_add(1, Ordering::Relaxed) % 2 == 1;
        if self.has(Clause::Consistent) && is_odd { Adoption::None } else { Adoption::ByJobId }
    }

    async fn release(&self, job: &JobId) -> Result<(), ExecutorError> {
        let known = self.world.jobs.lock().unwrap_or_else(PoisonError::into_inner).remove(job).is_some();
        match known || !self.has(Clause::Removal) {
            true => Ok(()),
            false => Err(ExecutorError::backend("player", "no such job", RetryClass::Never, "no such job")),
        }
    }

    async fn reap(&self, run: RunId) -> Result<(), ExecutorError> {
        self.world.jobs.lock().unwrap_or_else(PoisonError::into_inner).retain(|job, _| job.run != run);
        Ok(())
    }
}

/// Keeps what it should remove.
#[derive(Clone, Debug)]
pub(super) struct Hoarder(pub(super) Player);

#[async_trait]
impl Executor for Hoarder {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn supports(&self, job: &JobSpec) -> Result<(), Unsupported> {
        self.0.supports(job)
    }

    async fn run(&self, job: &JobSpec, ctx: JobContext) -> Result<JobOutcome, ExecutorError> {
        self.0.run(job, ctx).await
    }
}
