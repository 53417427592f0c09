//! A run that goes on, as whoever follows it needs it: here in an engine, or on a server.

use std::sync::Arc;

use async_trait::async_trait;
use buildit::engine::{ApproveError, RunHandle, StageLog};
use buildit::event::{Approval, Event};
use buildit::id::StageName;
use futures_util::stream::{BoxStream, StreamExt, TryStreamExt};

/// What happens, piece by piece.
pub(crate) type Pieces<T> = BoxStream<'static, anyhow::Result<T>>;

/// A run that goes on.
#[async_trait]
pub(crate) trait Course: std::fmt::Debug + Send + Sync {
    /// Its events from the first to the last one.
    fn events(&self) -> Pieces<Event>;

    /// The log of an attempt that started with the event of this number, to its end.
    fn log(&self, stage: &StageName, attempt: u32, started: u64) -> Pieces<StageLog>;

    /// What people are to know beside.
    fn notices(&self) -> BoxStream<'static, Arc<str>>;

    /// Answers a stage that waits for a person. A stage that waits no more is no error.
    async fn approve(&self, stage: &StageName, approval: Approval) -> anyhow::Result<()>;

    /// Asks it to end in good order.
    async fn cancel(&self, reason: &str) -> anyhow::Result<()>;

    /// Asks it to end at once, or tells that nobody can ask that here.
    fn kill(&self, reason: &str) -> Killed;
}

/// What becomes of a run that is to end at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Killed {
    /// It does.
    Yes,
    /// It ends in good order, elsewhere, whether somebody looks on or not.
    Elsewhere,
}

#[async_trait]
impl Course for RunHandle {
    fn events(&self) -> Pieces<Event> {
        self.events().map_err(anyhow::Error::new).boxed()
    }

    fn log(&self, stage: &StageName, attempt: u32, started: u64) -> Pieces<StageLog> {
        self.log_after(stage.clone(), attempt, 0, started).map_err(anyhow::Error::new).boxed()
    }

    fn notices(&self) -> BoxStream<'static, Arc<str>> {
        self.notices()
    }

    async fn approve(&self, stage: &StageName, approval: Approval) -> anyhow::Result<()> {
        match self.approve(stage, approval).await {
            // A run that is resumed shows requests again that were answered long ago.
            Ok(()) | Err(ApproveError::NotDriven | ApproveError::Refused(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn cancel(&self, reason: &str) -> anyhow::Result<()> {
        self.cancel(reason);
        Ok(())
    }

    fn kill(&self, reason: &str) -> Killed {
        self.kill(reason);
        Killed::Yes
    }
}
