//! [`RunHandle`].

use std::fmt;
use std::sync::Arc;

use futures_util::stream::BoxStream;
use tokio::sync::oneshot;

use super::bus::RunBus;
use super::core::Core;
use super::error::{ApproveError, RunError};
use super::feed::{self, LogFrom, StageLog};
use super::message::Message;
use super::notices;
use super::report::RunReport;
use crate::event::{Approval, Event};
use crate::id::{FencingToken, RunId, StageName};
use crate::plan::Plan;
use crate::store::StoreError;

/// A run that an engine drives. Clones are the same run; dropping them all stops nothing.
#[derive(Clone)]
pub struct RunHandle {
    core: Arc<Core>,
    bus: Arc<RunBus>,
}

impl fmt::Debug for RunHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunHandle").field("id", &self.id()).field("number", &self.number()).finish_non_exhaustive()
    }
}

impl RunHandle {
    pub(super) fn new(core: Arc<Core>, bus: Arc<RunBus>) -> Self {
        Self { core, bus }
    }

    /// The run.
    #[must_use]
    pub fn id(&self) -> RunId {
        self.bus.info.id
    }

    /// Its number within the pipeline, from 1.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.bus.info.number
    }

    /// What is run.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.bus.plan
    }

    /// All events of the run, from the first on, as they are stored. The stream ends with the run, or when this engine
    /// drives it no more. A reader that lags misses nothing and keeps nobody waiting.
    #[must_use]
    pub fn events(&self) -> BoxStream<'static, Result<Event, StoreError>> {
        self.events_after(0)
    }

    /// Events after this number.
    #[must_use]
    pub fn events_after(&self, seq: u64) -> BoxStream<'static, Result<Event, StoreError>> {
        feed::events(Arc::clone(&self.core), Arc::clone(&self.bus), seq)
    }

    /// The log of a stage, attempt after attempt, as it is stored. The stream ends with the stage.
    #[must_use]
    pub fn logs(&self, stage: impl Into<StageName>) -> BoxStream<'static, Result<StageLog, StoreError>> {
        feed::logs(Arc::clone(&self.core), Arc::clone(&self.bus), stage.into(), LogFrom::default())
    }

    /// The log of one attempt of a stage.
    #[must_use]
    pub fn logs_of(
        &self,
        stage: impl Into<StageName>,
        attempt: u32,
    ) -> BoxStream<'static, Result<StageLog, StoreError>> {
        let from = LogFrom { attempt: Some(attempt), ..LogFrom::default() };
        feed::logs(Arc::clone(&self.core), Arc::clone(&self.bus), stage.into(), from)
    }

    /// The log of one attempt behind this line, whose end is looked for among the events after number `seen`: what a reader
    /// that was cut off goes on with, and one of all logs of a run of many stages, who need not read again for each of them
    /// what happened before its start.
    #[must_use]
    pub fn log_after(
        &self,
        stage: impl Into<StageName>,
        attempt: u32,
        line: u64,
        seen: u64,
    ) -> BoxStream<'static, Result<StageLog, StoreError>> {
        let from = LogFrom { attempt: Some(attempt), line, event: seen };
        feed::logs(Arc::clone(&self.core), Arc::clone(&self.bus), stage.into(), from)
    }

    /// What people should hear of while the run goes and its record cannot tell: that it cannot be stored, or that a
    /// backend is gone, and that it is tried again; or that another run of its concurrency group has the turn. Each trouble is told once, when it begins; there is no secret in
    /// it. The stream ends when this engine drives the run no more.
    #[must_use]
    pub fn notices(&self) -> BoxStream<'static, Arc<str>> {
        notices::notices(&self.bus)
    }

    /// Answers a stage that waits for a person. When it returns, the answer is durable.
    ///
    /// Whether this person may answer is for the caller to know: the stage's `approval` says who may.
    ///
    /// # Errors
    ///
    /// [`ApproveError`] when the stage waits for no answer, or for a better one.
    pub async fn approve(&self, stage: &str, approval: Approval) -> Result<(), ApproveError> {
        let known = self.bus.plan.graph().index(stage);
        let stage = known.ok_or_else(|| ApproveError::NoStage(stage.to_owned()))?;
        let (reply, answer) = oneshot::channel();
        let sent = self.bus.sender.send(Message::Approve { stage, approval, reply });
        sent.map_err(|_| ApproveError::NotDriven)?;
        answer.await.map_err(|_| ApproveError::NotDriven)?
    }

    /// Asks the run to end in good order: what runs gets the grace period, what waits does not start.
    pub fn cancel(&self, reason: impl Into<String>) {
        self.bus.cancel(reason.into());
    }

    /// Ends the run at once: what runs is killed. A run whose record cannot be stored meanwhile is left as it is, open
    /// in the store and with its jobs: [`wait`](Self::wait) tells.
    pub fn kill(&self, reason: impl Into<String>) {
        self.bus.kill(reason.into());
    }

    /// Proof of the lease under which it is driven.
    pub(super) fn token(&self) -> FencingToken {
        self.bus.token()
    }

    /// Waits for the end of the run, and until nothing is left of it.
    ///
    /// # Errors
    ///
    /// [`RunError`] when the run went out of this engine's hands before it ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn wait(&self) -> Result<RunReport, RunError> {
        let mut ended = self.bus.ended.subscribe();
        match ended.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(Ok(run))) => Ok(RunReport::new(Arc::clone(run))),
            Ok(Some(Err(error))) => Err(error.clone()),
            _ => Err(RunError::Broken),
        }
    }
}
