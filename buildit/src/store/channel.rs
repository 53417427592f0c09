//! Whom people want to be told, and of what.

use std::collections::BTreeSet;
use std::fmt::{self, Debug};
use std::str::FromStr;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::id::{ChannelId, PipelineId, TenantId};

/// Keeps channels, and what pipelines tell them. What of a channel is secret is not here.
#[async_trait]
pub trait ChannelStore: Debug + Send + Sync + 'static {
    /// Keeps a new channel.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] when its tenant has one of this name, or there is one of its id; [`StoreError::Unfit`] when no
    /// store keeps a text.
    async fn create_channel(&self, channel: Channel) -> Result<(), StoreError>;

    /// The channel of this id.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn channel(&self, id: ChannelId) -> Result<Option<Channel>, StoreError>;

    /// The channels of a tenant in the order of their names, byte by byte; at most `limit`, behind the name `after`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn channels(&self, tenant: TenantId, after: Option<&str>, limit: usize) -> Result<Vec<Channel>, StoreError>;

    /// Puts `to` in the place of the channel of the same id, tenant and kind that is known, if that is still as it is known;
    /// whether it was.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] when another one has the name, [`StoreError::Unfit`] when no store keeps a text.
    async fn change_channel(&self, known: &Channel, to: Channel) -> Result<bool, StoreError>;

    /// Forgets a channel, what pipelines tell it, and what was or is to be sent there; whether there was one.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it was not forgotten.
    async fn delete_channel(&self, id: ChannelId) -> Result<bool, StoreError>;

    /// Makes this what a pipeline tells a channel; without one, what the channel itself says.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is no such channel.
    async fn set_rule(
        &self,
        channel: ChannelId,
        pipeline: PipelineId,
        rule: Option<NoticeRule>,
    ) -> Result<(), StoreError>;

    /// What a pipeline tells, where it is not what the channel says, in the order of the channels' ids. Those of a pipeline
    /// that is gone stay until somebody sets them anew.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn rules(&self, pipeline: PipelineId) -> Result<Vec<(ChannelId, NoticeRule)>, StoreError>;
}

/// A way to tell people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// Its id.
    pub id: ChannelId,
    /// Whose it is.
    pub tenant: TenantId,
    /// What people call it.
    pub name: String,
    /// How it tells.
    pub kind: ChannelKind,
    /// Where to, as far as everybody may know: addresses, or the host of an address that is secret.
    pub target: String,
    /// What pipelines tell it that say nothing else.
    pub rule: NoticeRule,
    /// When it was made.
    pub created_at: Timestamp,
}

/// How a channel tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChannelKind {
    /// An incoming webhook of Slack, or of what understands the same.
    Slack,
    /// Mail.
    Email,
    /// A request with a signed body.
    Webhook,
}

impl ChannelKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Slack, Self::Email, Self::Webhook];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Email => "email",
            Self::Webhook => "webhook",
        }
    }
}

impl FromStr for ChannelKind {
    type Err = StoreError;

    fn from_str(word: &str) -> Result<Self, StoreError> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == word);
        found.ok_or_else(|| StoreError::Corrupt(format!("`{word}` is no kind of a channel")))
    }
}

/// What people may want to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Occasion {
    /// A run failed.
    Failed,
    /// A run succeeded where the one before it failed.
    Fixed,
    /// A run succeeded.
    Succeeded,
    /// A stage waits for a person.
    Waiting,
    /// A run was cancelled.
    Cancelled,
}

impl Occasion {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Failed, Self::Fixed, Self::Succeeded, Self::Waiting, Self::Cancelled];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Fixed => "fixed",
            Self::Succeeded => "succeeded",
            Self::Waiting => "waiting",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for Occasion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no [`Occasion`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is nothing to tell of: failed, fixed, succeeded, waiting and cancelled are")]
pub struct UnknownOccasion(String);

impl FromStr for Occasion {
    type Err = UnknownOccasion;

    fn from_str(word: &str) -> Result<Self, UnknownOccasion> {
        Self::ALL.into_iter().find(|occasion| occasion.as_str() == word).ok_or_else(|| UnknownOccasion(word.to_owned()))
    }
}

/// What is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeRule {
    /// Of what.
    pub occasions: BTreeSet<Occasion>,
    /// Of which branches' runs, as globs; of all without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub branches: Vec<String>,
}

impl NoticeRule {
    /// Whether it wants to hear of this. Who hears of each success hears of one after a failure too.
    #[must_use]
    pub fn wants(&self, occasion: Occasion) -> bool {
        let is_success = occasion == Occasion::Fixed && self.occasions.contains(&Occasion::Succeeded);
        self.occasions.contains(&occasion) || is_success
    }
}
