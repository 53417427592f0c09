//! What forges are to say of commits, until they do.

use std::fmt::Debug;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{DispatchStatus, Settled, StoreError, check_text};
use crate::id::{RepositoryId, RunId, StatusId};

/// What a forge is to say of a commit in a context: what it is to say last stands here, once.
///
/// A forge shows what it was told last, so nothing old may come behind something new. What takes the place of another one is
/// not sent before whoever sends that one has [settled](Self::settle_status) it, or has had it for too long.
#[async_trait]
pub trait StatusStore: Debug + Send + Sync + 'static {
    /// Makes this what is to be said of its commit in its context, due at once, if nothing that is
    /// [newer](CommitStatus::is_newer_than) or the same is there; whether it was made.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unfit`] when no store keeps its commit or context; other [`StoreError`]s when it was not kept: it can be
    /// called again.
    async fn report_status(&self, status: CommitStatus) -> Result<bool, StoreError>;

    /// Takes what is due at `now`, the longest due first, at most `limit`: each is another try, and nobody else takes it, or
    /// what comes in its place, before `until`, unless it is [settled](Self::settle_status).
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails; then some may have been taken.
    async fn take_statuses(&self, now: Timestamp, until: Timestamp, limit: usize) -> Result<Vec<Report>, StoreError>;

    /// Notes how a try went, unless another one was made meanwhile; whether it was noted. When something has taken its place,
    /// nothing is noted but that this is due by the same [time](Settled::at): who is told to wait waits with all of it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it was not noted.
    async fn settle_status(&self, id: StatusId, tries: u32, how: Settled) -> Result<bool, StoreError>;

    /// Makes what a repository's forge was not told yet, and is not being told, due at `now`, as if it had never been tried;
    /// whether there was such a one.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it was not kept.
    async fn retry_status(&self, repository: RepositoryId, id: StatusId, now: Timestamp) -> Result<bool, StoreError>;

    /// What the forge of a repository was or is to be told, the newest first; at most `limit`, behind `before`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn statuses(
        &self,
        repository: RepositoryId,
        before: Option<StatusId>,
        limit: usize,
    ) -> Result<Vec<Report>, StoreError>;

    /// Forgets what was said, or given up, before this, a part of it at once; how many.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when they were not forgotten.
    async fn sweep_statuses(&self, before: Timestamp) -> Result<u64, StoreError>;
}

/// What a forge is to say of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitStatus {
    /// Its id, by whose order lists go: each that takes the place of another one has one of its own.
    pub id: StatusId,
    /// Where the commit is.
    pub repository: RepositoryId,
    /// The commit's full id.
    pub commit: String,
    /// A name by which the commit may be found: a branch, a tag, or `refs/pull/NUMBER/head`; empty when none is known.
    pub reference: String,
    /// What of the commit it is about: `buildit/NAME`.
    pub context: String,
    /// The run that says it; none when no run was made.
    pub run: Option<RunId>,
    /// That run's number; 0 without one.
    pub number: u64,
    /// The number of the run's event that says it; without a run, what grows with time.
    pub seq: u64,
    /// How it stands.
    pub state: CommitState,
    /// The same in words.
    pub description: String,
    /// The page that tells more.
    pub url: String,
    /// When that was so.
    pub created_at: Timestamp,
}

impl CommitStatus {
    /// Whether it is of a later run than this other one of the same commit and context, or of the same run later on. What
    /// no run has said is older than what one has.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        (self.number, self.seq) > (other.number, other.seq)
    }
}

/// How it stands with a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CommitState {
    /// It waits for its turn, or for a person.
    Pending,
    /// It is looked at.
    Running,
    /// It is good.
    Succeeded,
    /// It is not.
    Failed,
    /// Nobody can say, because something else is wrong.
    Errored,
    /// Nobody wants to know any more.
    Cancelled,
}

impl CommitState {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Running, Self::Succeeded, Self::Failed, Self::Errored, Self::Cancelled];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Errored => "errored",
            Self::Cancelled => "cancelled",
        }
    }
}

impl FromStr for CommitState {
    type Err = StoreError;

    fn from_str(word: &str) -> Result<Self, StoreError> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == word);
        found.ok_or_else(|| StoreError::Corrupt(format!("`{word}` is no state of a commit")))
    }
}

/// How far it is with telling a forge of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What it is told.
    pub status: CommitStatus,
    /// How far it is.
    pub progress: DispatchStatus,
    /// How often it was tried.
    pub tries: u32,
    /// When it is due, or was.
    pub next_at: Timestamp,
    /// What somebody is telling right now: this, or what stood in its place before.
    pub sending: Option<StatusId>,
    /// What went wrong in the last try.
    pub error: Option<String>,
    /// When it was told, or given up.
    pub ended_at: Option<Timestamp>,
}

impl Report {
    /// One that was not tried yet.
    #[must_use]
    pub fn of_new(status: CommitStatus) -> Self {
        let (progress, next_at) = (DispatchStatus::Waiting, status.created_at);
        Self { status, progress, tries: 0, next_at, sending: None, error: None, ended_at: None }
    }

    /// What takes its place.
    #[must_use]
    pub fn replaced_by(self, status: CommitStatus) -> Self {
        let next_at = if self.sending.is_some() { self.next_at } else { status.created_at };
        Self { next_at, sending: self.sending, ..Self::of_new(status) }
    }

    /// The same after a try.
    #[must_use]
    pub fn settled(self, how: Settled) -> Self {
        let this = Self { sending: None, ..self };
        match how {
            Settled::Sent { at } => Self { progress: DispatchStatus::Sent, error: None, ended_at: Some(at), ..this },
            Settled::Later { at, error } => Self { next_at: at, error: Some(error), ..this },
            Settled::GivenUp { at, error } => {
                Self { progress: DispatchStatus::GivenUp, error: Some(error), ended_at: Some(at), ..this }
            }
        }
    }
}

/// Refuses a status whose commit or context no store keeps.
///
/// # Errors
///
/// [`StoreError::Unfit`] then.
pub fn check_status(status: &CommitStatus) -> Result<(), StoreError> {
    check_text("the commit of a status", &status.commit)?;
    check_text("the context of a status", &status.context)
}

#[async_trait]
impl<T: StatusStore + ?Sized> StatusStore for Arc<T> {
    async fn report_status(&self, status: CommitStatus) -> Result<bool, StoreError> {
        (**self).report_status(status).await
    }

    async fn take_statuses(&self, now: Timestamp, until: Timestamp, limit: usize) -> Result<Vec<Report>, StoreError> {
        (**self).take_statuses(now, until, limit).await
    }

    async fn settle_status(&self, id: StatusId, tries: u32, how: Settled) -> Result<bool, StoreError> {
        (**self).settle_status(id, tries, how).await
    }

    async fn retry_status(&self, repository: RepositoryId, id: StatusId, now: Timestamp) -> Result<bool, StoreError> {
        (**self).retry_status(repository, id, now).await
    }

    async fn statuses(
        &self,
        repository: RepositoryId,
        before: Option<StatusId>,
        limit: usize,
    ) -> Result<Vec<Report>, StoreError> {
        (**self).statuses(repository, before, limit).await
    }

    async fn sweep_statuses(&self, before: Timestamp) -> Result<u64, StoreError> {
        (**self).sweep_statuses(before).await
    }
}
