//! An executor that the wrappers' tests look through, and what a job needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use crate::artifact::{BlobError, BlobStore, BlobStream};
use crate::cancel::{CancelSignal, Stop};
use crate::executor::{
    Adoption, Executor, ExecutorError, JobContext, JobHost, LeaseLost, LogError, LogWrite, RetryClass, Unsupported,
};
use crate::id::{Digest, JobId, RunId};
use crate::job::{JobOutcome, JobSpec};
use crate::pipeline::{Action, RunAction, StageSpec};

/// Counts its calls; each takes a while, or fails.
#[derive(Debug, Default)]
pub(super) struct Probe {
    takes: Duration,
    failures: usize,
    class: Option<RetryClass>,
    calls: AtomicUsize,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Probe {
    pub(super) fn taking(takes: Duration) -> Self {
        Self { takes, ..Self::default() }
    }

    pub(super) fn failing(failures: usize, class: RetryClass) -> Self {
        Self { failures, class: Some(class), ..Self::default() }
    }

    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    pub(super) fn most_at_once(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Executor for Probe {
    fn name(&self) -> &str {
        "probe"
    }

    fn supports(&self, _: &JobSpec) -> Result<(), Unsupported> {
        Ok(())
    }

    async fn run(&self, _: &JobSpec, ctx: JobContext) -> Result<JobOutcome, ExecutorError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(self.now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        let stopped = tokio::select! {
            biased;
            () = ctx.cancel().raised(Stop::Gracefully) => true,
            () = tokio::time::sleep(self.takes) => false,
        };
        self.now.fetch_sub(1, Ordering::Relaxed);
        match self.class {
            Some(class) if call <= self.failures => Err(ExecutorError::backend("probe", "failed", class, "as asked")),
            _ if stopped => Ok(JobOutcome::cancelled()),
            _ => Ok(JobOutcome::succeeded()),
        }
    }

    fn adoption(&self) -> Adoption {
        Adoption::ByJobId
    }
}

#[derive(Debug)]
struct Nothing;

#[async_trait]
impl JobHost for Nothing {
    async fn log(&self, _: &JobId, _: LogWrite) -> Result<(), LogError> {
        Ok(())
    }

    async fn flush(&self, _: &JobId) -> Result<(), LogError> {
        Ok(())
    }

    async fn confirm_lease(&self, _: &JobId) -> Result<(), LeaseLost> {
        Ok(())
    }

    fn mask(&self, text: &str) -> String {
        text.to_owned()
    }
}

#[async_trait]
impl BlobStore for Nothing {
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

pub(super) fn context(cancel: CancelSignal) -> JobContext {
    JobContext::builder(Arc::new(Nothing), Arc::new(Nothing)).cancel(cancel).build()
}

pub(super) fn job(attempt: u32) -> JobSpec {
    let stage = StageSpec::new("build", Action::Run(RunAction::default()));
    JobSpec {
        id: JobId { run: RunId::new(), stage: stage.name.clone(), attempt },
        stage: Arc::new(stage),
        index: 0,
        run_env: Arc::default(),
        variables: Default::default(),
    }
}
