//! What stands behind the contexts of a run's jobs.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::bus::RunBus;
use super::core::Core;
use crate::executor::{JobHost, LeaseLost, LogCursor, LogError, LogWrite};
use crate::id::JobId;
use crate::log::{LogOptions, LogWriter};
use crate::secret::Masker;

/// What stands behind the contexts of a run's jobs. Logs get a writer when their first byte comes.
#[derive(Debug)]
pub(super) struct RunHost {
    pub(super) core: Arc<Core>,
    pub(super) bus: Arc<RunBus>,
    masker: Arc<Masker>,
    writers: Mutex<HashMap<JobId, Log>>,
    /// Whether there is any, so that jobs without a log never look.
    any: AtomicBool,
}

#[derive(Debug)]
enum Log {
    /// It goes on there once there is something to write.
    At(LogCursor),
    Open(LogWriter),
}

impl RunHost {
    pub(super) fn new(core: Arc<Core>, bus: Arc<RunBus>, masker: Arc<Masker>) -> Arc<Self> {
        Arc::new(Self { core, bus, masker, writers: Mutex::default(), any: AtomicBool::new(false) })
    }

    pub(super) fn masker(&self) -> &Arc<Masker> {
        &self.masker
    }

    /// The log of this job goes on where the store has it.
    pub(super) fn go_on(&self, job: &JobId, cursor: LogCursor) {
        self.any.store(true, Ordering::Release);
        self.lock().insert(job.clone(), Log::At(cursor));
    }

    /// Whether any job of the run has a log.
    pub(super) fn has_logs(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Where the stored log of this job ends.
    pub(super) fn cursor(&self, job: &JobId) -> LogCursor {
        if !self.has_logs() {
            return LogCursor::default();
        }
        match self.lock().get(job) {
            Some(Log::At(cursor)) => *cursor,
            _ => LogCursor::default(),
        }
    }

    /// The job is over: its writer goes, after all is stored.
    pub(super) async fn close(&self, job: &JobId) -> Result<(), LogError> {
        let writer = self.open_writer(job);
        let flushed = match writer {
            Some(writer) => writer.close().await.map(drop),
            None => Ok(()),
        };
        self.lock().remove(job);
        flushed
    }

    fn open_writer(&self, job: &JobId) -> Option<LogWriter> {
        match self.lock().get(job) {
            Some(Log::Open(writer)) => Some(writer.clone()),
            _ => None,
        }
    }

    fn writer(&self, job: &JobId) -> LogWriter {
        let mut writers = self.lock();
        let cursor = match writers.get(job) {
            Some(Log::Open(writer)) => return writer.clone(),
            Some(Log::At(cursor)) => *cursor,
            None => LogCursor::default(),
        };
        self.any.store(true, Ordering::Release);
        let writer = LogWriter::with(
            Arc::clone(&self.core.store),
            job.clone(),
            self.bus.token(),
            cursor,
            Arc::clone(&self.masker),
            Arc::clone(&self.core.clock),
            LogOptions { observer: Some(Arc::clone(&self.bus) as _), limit: self.core.log_limit },
        );
        writers.insert(job.clone(), Log::Open(writer.clone()));
        writer
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Log>> {
        self.writers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl JobHost for RunHost {
    async fn log(&self, job: &JobId, write: LogWrite) -> Result<(), LogError> {
        self.writer(job).write(write).await.map(drop)
    }

    async fn flush(&self, job: &JobId) -> Result<(), LogError> {
        match self.open_writer(job) {
            Some(writer) => writer.flush().await.map(drop),
            None => Ok(()),
        }
    }

    fn stored(&self, job: &JobId) -> LogCursor {
        match self.open_writer(job) {
            Some(writer) => writer.cursor(),
            None => self.cursor(job),
        }
    }

    async fn confirm_lease(&self, job: &JobId) -> Result<(), LeaseLost> {
        let held = self.bus.token();
        let now = self.core.clock.now();
        match self.core.store.lease_run(job.run, self.core.lease_from_now(), now).await {
            Ok(token) if token == held => Ok(()),
            Ok(token) => {
                tracing::debug!(%job, ?held, ?token, "the lease had ended meanwhile");
                Err(LeaseLost)
            }
            Err(error) => {
                tracing::warn!(%job, %error, "the lease cannot be confirmed");
                Err(LeaseLost)
            }
        }
    }

    fn mask(&self, text: &str) -> String {
        self.masker.mask(text)
    }

    fn holds_secret(&self, text: &str) -> bool {
        self.masker.holds(text)
    }
}
