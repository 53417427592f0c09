//! Webhooks that forges have delivered.

use std::fmt::Debug;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Forge, StoreError, check_text};
use crate::id::{DeliveryId, RepositoryId};

/// A webhook that a forge has delivered for a repository, without its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its id; those of later ones are larger.
    pub id: DeliveryId,
    /// The repository that it is of.
    pub repository: RepositoryId,
    /// What the forge calls it; of a repository's deliveries no two have the same key.
    pub key: String,
    /// The forge that has sent it.
    pub forge: Forge,
    /// What the forge calls the event.
    pub event: String,
    /// When it came.
    pub received_at: Timestamp,
    /// What has become of it.
    pub state: DeliveryState,
    /// How often somebody has begun to work on it.
    pub attempts: u32,
    /// When it may be taken by somebody, as long as it waits.
    pub due_at: Timestamp,
    /// What came of it, in words of whoever works on it.
    pub outcome: String,
}

/// What has become of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Somebody is to work on it.
    Waiting,
    /// It was worked on.
    Done,
    /// It was given up.
    Failed,
    /// Whoever sent it does not know the secret; nobody is to work on it.
    Refused,
}

impl DeliveryState {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

impl FromStr for DeliveryState {
    type Err = StoreError;

    fn from_str(word: &str) -> Result<Self, StoreError> {
        let all = [Self::Waiting, Self::Done, Self::Failed, Self::Refused];
        let found = all.into_iter().find(|state| state.as_str() == word);
        found.ok_or_else(|| StoreError::Corrupt(format!("`{word}` is no state of a delivery")))
    }
}

/// Keeps deliveries until they are worked on, and for a while after that.
#[async_trait]
pub trait DeliveryStore: Debug + Send + Sync + 'static {
    /// Keeps a delivery with its body, unless the repository has one of its key; whether it was kept. It is durable when
    /// this returns.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unfit`] when no store keeps its key or its event, any other [`StoreError`] when it was not kept.
    async fn keep_delivery(&self, delivery: Delivery, body: Vec<u8>) -> Result<bool, StoreError>;

    /// The delivery of this id.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError>;

    /// What a delivery brought, byte for byte.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn delivery_body(&self, id: DeliveryId) -> Result<Option<Vec<u8>>, StoreError>;

    /// The deliveries of a repository, the newest first: those before this one, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn deliveries(
        &self,
        repository: RepositoryId,
        before: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError>;

    /// Takes deliveries that wait and are due, those first that are due longest, at most `limit`: each counts one attempt more, and is
    /// due for others at `until` only. Of two who take at once no two get the same.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails.
    async fn take_deliveries(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError>;

    /// Notes what has become of a delivery: its state, when it is due and its outcome. Whether it was: whoever has taken it
    /// since, and so counted one more attempt, has it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails.
    async fn settle_delivery(&self, delivery: Delivery) -> Result<bool, StoreError>;

    /// Forgets deliveries that came before this time and do not wait, a part of them at once; how many.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails.
    async fn sweep_deliveries(&self, before: Timestamp) -> Result<u64, StoreError>;
}

/// Refuses a delivery whose key or event no store keeps.
///
/// # Errors
///
/// [`StoreError::Unfit`] then.
pub fn check_delivery(delivery: &Delivery) -> Result<(), StoreError> {
    check_text("the key of a delivery", &delivery.key)?;
    check_text("the event of a delivery", &delivery.event)
}

#[async_trait]
impl<T: DeliveryStore + ?Sized> DeliveryStore for Arc<T> {
    async fn keep_delivery(&self, delivery: Delivery, body: Vec<u8>) -> Result<bool, StoreError> {
        (**self).keep_delivery(delivery, body).await
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        (**self).delivery(id).await
    }

    async fn delivery_body(&self, id: DeliveryId) -> Result<Option<Vec<u8>>, StoreError> {
        (**self).delivery_body(id).await
    }

    async fn deliveries(
        &self,
        repository: RepositoryId,
        before: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        (**self).deliveries(repository, before, limit).await
    }

    async fn take_deliveries(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        (**self).take_deliveries(now, until, limit).await
    }

    async fn settle_delivery(&self, delivery: Delivery) -> Result<bool, StoreError> {
        (**self).settle_delivery(delivery).await
    }

    async fn sweep_deliveries(&self, before: Timestamp) -> Result<u64, StoreError> {
        (**self).sweep_deliveries(before).await
    }
}
