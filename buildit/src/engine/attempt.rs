//! One attempt, from the call of its executor to an outcome that can be recorded.

use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt;

use super::clock::later;
use super::core::{Core, Registered};
use super::error::RunError;
use super::host::RunHost;
use super::lease;
use super::notices::{Waiting, described};
use super::patience::Patience;
use super::prepare::{WantedCache, find};
use super::results::Done;
use crate::backoff::Backoff;
use crate::cancel::Stop;
use crate::executor::{Adoption, ExecutorError, JobContext, LeaseLost, LogError, RetryClass};
use crate::id::{FencingToken, JobId};
use crate::job::{Cause, JobOutcome, JobSpec, SavedCache, Status};
use crate::plan::StageFlags;
use crate::secret::Masker;

/// How long an executor whose jobs end with the engine has to end a killed job before it is left to itself: one that
/// never looks at its signal must not hold the run for ever.
const ABANDON_AFTER: Duration = Duration::from_secs(10);

/// A backend that is gone is asked again for about two minutes, which is what a daemon takes to restart.
fn patient(job: &JobId) -> Patience {
    Patience::new(Backoff::new(12, Duration::from_millis(200), Duration::from_secs(30), job))
}

/// One attempt of a stage.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) host: Arc<RunHost>,
    pub(super) executor: usize,
    pub(super) job: JobSpec,
    pub(super) ctx: JobContext,
    /// Caches that are still to be looked for.
    pub(super) caches: Vec<WantedCache>,
    /// Whether an earlier engine began it.
    pub(super) adopted: bool,
}

/// What an attempt has once a call has failed.
#[derive(Debug)]
struct Trouble {
    patience: Patience,
    _told: Waiting,
}

impl Attempt {
    /// The job and its outcome; no outcome when the run goes out of this engine's hands, and nothing may be written
    /// about the attempt.
    #[expect(
        clippy::manual_async_fn,
        reason = "an `async fn` holds its `self` twice, and the future is moved for every job"
    )]
    pub(super) fn run(mut self) -> impl Future<Output = (JobId, Result<JobOutcome, RunError>)> + Send {
        async move {
            let outcome = match AssertUnwindSafe(self.outcome()).catch_unwind().await {
                Ok(outcome) => outcome,
                Err(_) => Ok(Box::pin(self.panicked()).await),
            };
            (self.job.id, outcome)
        }
    }

    async fn outcome(&mut self) -> Result<JobOutcome, RunError> {
        if self.ctx.cancel().is_raised() && !self.adopted {
            return Ok(JobOutcome::cancelled());
        }
        // What few attempts come to has a box of its own: the future of all others stays small, and cheap to make.
        if !self.caches.is_empty() {
            let found = Box::pin(find(&self.host, self.ctx.inputs(), std::mem::take(&mut self.caches))).await;
            self.ctx = self.ctx.clone().rebuild().inputs(found).build();
        }
        let mut trouble = None;
        if self.adopted {
            Box::pin(self.go_on_with_log(&mut trouble)).await?;
        }
        loop {
            let held = self.host.bus.token();
            let error = match self.call().await {
                Ok(outcome) => match self.close().await {
                    Ok(()) => return Ok(self.finish(outcome).await),
                    Err(error) => ExecutorError::from(error),
                },
                Err(error) => error,
            };
            if !Box::pin(self.may_go_on(&error, held, &mut trouble)).await? {
                return Box::pin(self.given_up(error)).await;
            }
            Box::pin(self.go_on_with_log(&mut trouble)).await?;
        }
    }

    /// The outcome after an error that did not go away. Where the job is still there to be taken over, an end without
    /// all of its log is not recorded: the log would be lost for good.
    async fn given_up(&self, error: ExecutorError) -> Result<JobOutcome, RunError> {
        let error = match error {
            ExecutorError::Log(source) if self.adopts() => return Err(self.without_log(source)),
            error => error,
        };
        let message = self.host.masker().mask(&described(&error));
        tracing::warn!(job = %self.job.id, %message, "the backend broke");
        // What was written of the log is kept; its end is lost with the backend.
        let _ = self.host.close(&self.job.id).await;
        Ok(JobOutcome::failed_because(Cause::Infrastructure, message))
    }

    fn without_log(&self, source: LogError) -> RunError {
        RunError::Log { stage: self.job.id.stage.clone(), source: Arc::new(source) }
    }

    /// The executor panicked, or the store did for it. What was written of the log is stored before the outcome is.
    async fn panicked(&self) -> JobOutcome {
        let _ = AssertUnwindSafe(self.host.close(&self.job.id)).catch_unwind().await;
        JobOutcome::failed_because(Cause::Infrastructure, "the executor or a store panicked")
    }

    /// The job is over: all of its log is stored.
    async fn close(&self) -> Result<(), LogError> {
        if !self.host.has_logs() {
            return Ok(());
        }
        Box::pin(self.host.close(&self.job.id)).await
    }

    fn core(&self) -> &Arc<Core> {
        &self.host.core
    }

    fn registered(&self) -> &Registered {
        &self.core().executors[self.executor]
    }

    async fn call(&self) -> Result<JobOutcome, ExecutorError> {
        let ctx = self.ctx.clone().rebuild().cursor(self.host.cursor(&self.job.id)).build();
        let mut run = self.registered().executor.run(&self.job, ctx);
        // Only a job that does not end at once is ever given up.
        let mut abandoned = None;
        std::future::poll_fn(|cx| {
            if let Poll::Ready(ended) = run.as_mut().poll(cx) {
                return Poll::Ready(ended);
            }
            let abandoned = abandoned.get_or_insert_with(|| Box::pin(self.abandoned()));
            abandoned.as_mut().poll(cx).map(|()| {
                Ok(JobOutcome::cancelled().with_message("the executor did not end the job, which was left to itself"))
            })
        })
        .await
    }

    /// Makes a stop more urgent after the grace period, for executors that do not count it themselves, and gives a
    /// job up that does not even end then. A job that outlives its engine is never given up.
    async fn abandoned(&self) {
        self.ctx.cancel().raised(Stop::Gracefully).await;
        let clock = &self.core().clock;
        tokio::select! {
            () = clock.sleep_until(later(clock.now(), self.core().grace)) => self.ctx.cancel().raise(Stop::Now),
            () = self.ctx.cancel().raised(Stop::Now) => {}
        }
        match self.registered().adoption {
            Adoption::None => clock.sleep_until(later(clock.now(), ABANDON_AFTER)).await,
            Adoption::ByJobId => std::future::pending().await,
        }
    }

    fn adopts(&self) -> bool {
        self.registered().adoption == Adoption::ByJobId
    }

    /// Whether the same call is to be made again, after a wait.
    async fn may_go_on(
        &self,
        error: &ExecutorError,
        held: FencingToken,
        trouble: &mut Option<Box<Trouble>>,
    ) -> Result<bool, RunError> {
        if let ExecutorError::LeaseLost(LeaseLost) | ExecutorError::Log(LogError::LeaseLost(LeaseLost)) = error {
            return match lease::renew(self.core(), &self.host.bus).await {
                Ok(false) => Err(RunError::LeaseLost),
                // It had ended and is ours again: the job is taken over under the new token.
                Ok(true) if self.host.bus.token() != held => Ok(self.adopts()),
                // It is ours, or may be: the store did not answer, which is nobody's taking over.
                Ok(true) | Err(_) if self.wait(error, trouble).await => Ok(self.adopts()),
                Ok(true) | Err(_) => Err(RunError::LeaseLost),
            };
        }
        match error.retry_class() {
            RetryClass::Adopt if self.adopts() => Ok(self.wait(error, trouble).await),
            RetryClass::Adopt | RetryClass::Safe | RetryClass::Never => Ok(false),
        }
    }

    /// Begins with the log where the store has it.
    async fn go_on_with_log(&self, trouble: &mut Option<Box<Trouble>>) -> Result<(), RunError> {
        loop {
            match self.core().store.log_cursor(&self.job.id).await {
                Ok(cursor) => {
                    self.host.go_on(&self.job.id, cursor);
                    return Ok(());
                }
                Err(error) => {
                    if !self.wait(&error, trouble).await {
                        return Err(self.without_log(LogError::Store(Box::new(error))));
                    }
                }
            }
        }
    }

    /// Waits before a call that failed like this is made again; whether it is to be made.
    async fn wait(&self, error: &(impl Error + Sync), trouble: &mut Option<Box<Trouble>>) -> bool {
        let bus = &self.host.bus;
        tracing::warn!(job = %self.job.id, %error, "a job is not followed for a while");
        let trouble = trouble.get_or_insert_with(|| {
            let text = || {
                let text = format!("{}: {}; trying again", self.job.id.stage, described(error));
                self.host.masker().mask(&text)
            };
            Box::new(Trouble { patience: patient(&self.job.id), _told: Waiting::tell(bus, text) })
        });
        // A stop of this job alone is no reason to give up what it said.
        trouble.patience.wait(self.core(), &[&bus.stop, self.ctx.cancel()]).await
    }

    /// The outcome as it may be recorded: with no secret in it, and its caches saved if it succeeded.
    async fn finish(&self, outcome: JobOutcome) -> JobOutcome {
        let mut outcome = without_secrets(outcome, self.host.masker());
        let caches = outcome.products.as_mut().map(|products| std::mem::take(&mut products.caches)).unwrap_or_default();
        if outcome.status == Status::Succeeded && !caches.is_empty() {
            Box::pin(self.save(caches)).await;
        }
        // What the secrets of a job were that an earlier engine began is not known: its result may be that of others. Nor is
        // it known how far what anybody may have written reaches on its executor.
        if outcome.status == Status::Succeeded
            && let Some(results) = &self.core().results
            && self.is_cacheable()
            && !self.adopted
            && self.host.bus.apart.is_none()
        {
            let parts = Done { job: &self.job, executor: &self.registered().name, ctx: &self.ctx };
            Box::pin(results.keep(&self.host, parts, outcome.products.as_deref())).await;
        }
        outcome
    }

    /// Told without a look at the stage, as most stages are driven.
    fn is_cacheable(&self) -> bool {
        let flags = self.host.bus.plan.flags().get(self.job.index as usize);
        flags.is_some_and(|flags| flags.has(StageFlags::CACHEABLE))
    }

    async fn save(&self, saved: Vec<SavedCache>) {
        let Some(store) = &self.core().caches else { return };
        for cache in saved {
            let bus = &self.host.bus;
            let scope = bus.apart.as_ref().unwrap_or(&bus.scope);
            if let Err(error) = store.save_cache(scope, &cache.key, cache.digest, cache.bytes).await {
                tracing::warn!(cache = %cache.name, %error, "a cache cannot be saved");
            }
        }
    }
}

/// Executors keep secrets out of what they return; this is the net behind them (guarantee G4).
fn without_secrets(mut outcome: JobOutcome, masker: &Masker) -> JobOutcome {
    if masker.is_empty() {
        return outcome;
    }
    if let Some(message) = &mut outcome.message {
        *message = masker.mask(message).into();
    }
    let Some(products) = &mut outcome.products else { return outcome };
    if let Some(summary) = &mut products.summary {
        *summary = masker.mask(summary).into();
    }
    let mut texts = products.outputs.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    if let Some((key, _)) = texts.find(|(key, value)| masker.holds(key) || masker.holds(value)) {
        let message = format!("the output `{}` holds a secret", masker.mask(key));
        products.outputs.clear();
        return refused(outcome, message);
    }
    let names = products.artifacts.iter().chain(&products.reports);
    let mut texts = names.flat_map(|artifact| std::iter::once(&artifact.name).chain(&artifact.paths));
    if let Some(name) = texts.find(|name| masker.holds(name)) {
        let message = format!("the name of the artifact `{}` holds a secret", masker.mask(name));
        outcome.products = None;
        return refused(outcome, message);
    }
    outcome
}

/// A success becomes a failure; what failed already keeps its own cause.
fn refused(outcome: JobOutcome, message: String) -> JobOutcome {
    match outcome.status {
        Status::Succeeded => {
            let exit_code = outcome.exit_code;
            JobOutcome { exit_code, products: outcome.products, ..JobOutcome::failed_because(Cause::Output, message) }
        }
        _ => outcome,
    }
}
