//! What people are to be told, until it is.

use std::fmt::Debug;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Occasion, StoreError};
use crate::id::{ChannelId, NotificationId, RunId};

/// The outbox: what is to be sent to channels, by whichever server, and how that went.
#[async_trait]
pub trait NotificationStore: Debug + Send + Sync + 'static {
    /// Keeps what is to be sent, due at once. Of one subject of a run a channel is told once: one that is there already
    /// changes nothing, nor does one for a channel that is not there. How many were new.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when they were not kept; it can be called again.
    async fn notify(&self, notifications: Vec<Notification>) -> Result<u64, StoreError>;

    /// Takes what is due at `now`, the longest due first, at most `limit`: each is another try, and nobody else takes it
    /// before `until`. Whoever has sent it [settles](Self::settle_notification) it; what is not settled by then is due again.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails; then some may have been taken.
    async fn take_notifications(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Dispatch>, StoreError>;

    /// Notes how a try went, unless another one was made meanwhile; whether it was noted.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it was not noted.
    async fn settle_notification(&self, id: NotificationId, tries: u32, how: Settled) -> Result<bool, StoreError>;

    /// Makes what was not sent to a channel due at `now`, as if it had never been tried; whether there was such a one.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it was not kept.
    async fn retry_notification(
        &self,
        channel: ChannelId,
        id: NotificationId,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// What was or is to be sent to a channel, the newest first; at most `limit`, behind `before`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn dispatches(
        &self,
        channel: ChannelId,
        before: Option<NotificationId>,
        limit: usize,
    ) -> Result<Vec<Dispatch>, StoreError>;

    /// Forgets what was sent, or given up, before this; how many.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when they were not forgotten.
    async fn sweep_notifications(&self, before: Timestamp) -> Result<u64, StoreError>;
}

/// Something that a channel is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// Its id, by whose order lists go: who gets it twice knows it by this.
    pub id: NotificationId,
    /// The channel.
    pub channel: ChannelId,
    /// The run that it tells of; none for a try-out.
    pub run: Option<RunId>,
    /// What tells it from what else is told of the run: `end`, or which stage waits.
    pub subject: String,
    /// Of what it tells; none for a try-out.
    pub occasion: Option<Occasion>,
    /// What is told: kept as it is.
    pub message: Map<String, Value>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// How it stands with a notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispatch {
    /// The notification.
    pub notification: Notification,
    /// How far it is.
    pub status: DispatchStatus,
    /// How often it was tried.
    pub tries: u32,
    /// When it is due, or was.
    pub next_at: Timestamp,
    /// What went wrong in the last try.
    pub error: Option<String>,
    /// When it was sent, or given up.
    pub ended_at: Option<Timestamp>,
}

impl Dispatch {
    /// One that was not tried yet.
    #[must_use]
    pub fn of_new(notification: Notification) -> Self {
        let next_at = notification.created_at;
        Self { notification, status: DispatchStatus::Waiting, tries: 0, next_at, error: None, ended_at: None }
    }

    /// The same after a try.
    #[must_use]
    pub fn settled(self, how: Settled) -> Self {
        match how {
            Settled::Sent { at } => Self { status: DispatchStatus::Sent, error: None, ended_at: Some(at), ..self },
            Settled::Later { at, error } => Self { next_at: at, error: Some(error), ..self },
            Settled::GivenUp { at, error } => {
                Self { status: DispatchStatus::GivenUp, error: Some(error), ended_at: Some(at), ..self }
            }
        }
    }
}

/// How far the dispatch of a notification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DispatchStatus {
    /// It is to be sent.
    Waiting,
    /// It was.
    Sent,
    /// It was not, and nobody tries any more.
    GivenUp,
}

impl DispatchStatus {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Sent, Self::GivenUp];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sent => "sent",
            Self::GivenUp => "given_up",
        }
    }

    /// The one of this word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// How a try went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It was taken.
    Sent {
        /// When.
        at: Timestamp,
    },
    /// It is to be tried again.
    Later {
        /// When.
        at: Timestamp,
        /// What went wrong.
        error: String,
    },
    /// It is not to be tried again.
    GivenUp {
        /// Since when.
        at: Timestamp,
        /// What went wrong.
        error: String,
    },
}

impl Settled {
    /// When that was; for what is to be tried again, when that is.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Sent { at } | Self::Later { at, .. } | Self::GivenUp { at, .. } => *at,
        }
    }
}
