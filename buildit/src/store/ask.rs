//! What people ask of runs, whichever engine drives them.

use std::fmt::Debug;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{RunStore, StoreError};
use crate::event::Approval;
use crate::id::{RunId, StageName};

/// Keeps what is asked of runs until whoever drives them has heeded it.
///
/// Who may ask is for the caller to know. An engine that dies between an ask and its events leaves the ask to the next
/// one; of an ask whose events are there already the run's state machine makes nothing, so it is heeded once.
#[async_trait]
pub trait AskStore: RunStore {
    /// Keeps what is asked of a run; whether it is new. One of the same [subject](Ask::subject) that is there stays as
    /// it is. It is durable when this returns.
    ///
    /// A dead letter that is asked to end may be taken once more, to do that.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoRun`] when there is no such run; any other [`StoreError`] when it was not kept.
    async fn ask(&self, run: RunId, ask: Ask) -> Result<bool, StoreError>;

    /// What is asked of these runs and not [settled](Self::settle), in the order in which it was asked; at most `limit`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn asks(&self, runs: &[RunId], limit: usize) -> Result<Vec<(RunId, Ask)>, StoreError>;

    /// Forgets what was asked: what follows from it is durable, or nothing does. What is asked of a run goes with the
    /// run, too. Idempotent.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it was not forgotten.
    async fn settle(&self, run: RunId, subject: &AskSubject) -> Result<(), StoreError>;

    /// Waits until something may have been asked. It is a hint, which may come for nothing or not at all: whoever waits
    /// also looks from time to time.
    async fn asks_changed(&self) {
        std::future::pending().await
    }
}

/// What is asked of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// To end in good order.
    Cancel {
        /// Who wants that and why, for people.
        reason: String,
    },
    /// To take a person's answer.
    Answer {
        /// The stage that waits for it.
        stage: StageName,
        /// The answer.
        approval: Approval,
    },
}

/// What an ask is about: there is one ask of each subject at a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskSubject {
    /// The end of the run.
    Cancel,
    /// The answer to this stage.
    Answer(StageName),
}

impl Ask {
    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> AskSubject {
        match self {
            Self::Cancel { .. } => AskSubject::Cancel,
            Self::Answer { stage, .. } => AskSubject::Answer(stage.clone()),
        }
    }
}
