//! The port [`Store`]: where runs, logs and the queue are kept. It is the sum of small traits, so that a caller asks
//! for no more than it uses.

mod ask;
mod audit;
mod channel;
mod control;
mod credential;
mod delivery;
mod environment;
mod events;
mod export;
mod fit;
mod garbage;
mod identity;
mod log;
mod notification;
mod pipeline;
mod policy;
mod progress;
mod queue;
mod repository;
mod request;
mod retention;
mod run;
mod schedule;
mod search;
mod secret;
mod share;
mod status;
mod summary;
mod upkeep;

use std::fmt::Debug;

pub use ask::{Ask, AskStore, AskSubject};
pub use audit::{AuditFilter, AuditStore};
pub use channel::{Channel, ChannelKind, ChannelStore, NoticeRule, Occasion, UnknownOccasion};
pub use control::{Intake, QueueControl, QueueFilter, QueueLine, QueueOf, QueuePlace, QueueStatus, QueuedRun, Worker};
pub use credential::CredentialStore;
pub use delivery::{Delivery, DeliveryState, DeliveryStore, check_delivery};
pub use environment::{Environment, EnvironmentStore};
pub use events::each_event;
pub use export::{Export, ExportStore};
pub use fit::{
    LONGEST_TEXT, check_channel, check_link, check_organization, check_tenant, check_text, check_user, is_fit,
};
pub use garbage::{Amount, Collected, GarbageError, ReferenceStore, collect_garbage, find_garbage};
pub use identity::IdentityStore;
pub use log::{LogAppend, LogChunk, LogPage, LogStore};
pub use notification::{Dispatch, DispatchStatus, Notification, NotificationStore, Settled};
pub use pipeline::{
    NewPipeline, PipelineChange, PipelineFilter, PipelineLine, PipelineSource, PipelineStage, PipelineStore,
    StoredPipeline,
};
pub use policy::{PolicyStore, RetentionPolicy};
pub use progress::RunProgress;
pub use queue::{Claim, Enqueue, Lease, QueueStore, QueuedJob};
pub use repository::{
    Fetch, Forge, Login, Repository, RepositorySettings, RepositoryStore, StatusMode, Webhook, WebhookState,
    check_repository,
};
pub use request::{Request, RequestStore};
pub use retention::{Retention, RunSift, apply_retention, expired_runs};
pub use run::{EventPage, NewRun, RunRecord, RunStore, Standing, TakenRun, WorkFolder, replaced_by};
pub use schedule::{Schedule, ScheduleStore};
pub use search::{BadQuery, LogHit, LogHits, LogQuery, LogSearch, LogTerms, SearchPlace};
pub use secret::{SealedSecret, SecretPlace, SecretScope, SecretStore, SecretSummary};
pub use share::{Line, Share, Turns, come_in, take_turns};
pub use status::{CommitState, CommitStatus, Report, StatusStore, check_status};
pub use summary::{RunFilter, RunSummary};
pub use upkeep::{KeptLogs, LogRetention, LogRetentions, LogSift, LogSifts, LogUpkeep};

use crate::id::{JobId, OrganizationId, RunId, TenantId};

/// Everything that an engine keeps.
pub trait Store: RunStore + AskStore + LogStore + QueueStore {}

impl<T: RunStore + AskStore + LogStore + QueueStore + ?Sized> Store for T {}

/// Everything that is done with the logs of closed runs.
pub trait LogKeep: LogUpkeep + LogSearch {}

impl<T: LogUpkeep + LogSearch + ?Sized> LogKeep for T {}

/// Everything that a server keeps of people: who they are, what lets them in, and what they did.
pub trait AccountStore: IdentityStore + CredentialStore + AuditStore {}

impl<T: IdentityStore + CredentialStore + AuditStore + ?Sized> AccountStore for T {}

impl StoreError {
    /// The backend of this name failed.
    pub fn backend(name: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Backend { name, source: source.into() }
    }
}

/// A store refused or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no such run.
    #[error("no run {0}")]
    NoRun(RunId),
    /// There is no log of this job.
    #[error("no log of job {0}")]
    NoLog(Box<JobId>),
    /// The log of this job was removed.
    #[error("the log of job {0} was removed, as logs are that are too old, too large or too many")]
    LogRemoved(Box<JobId>),
    /// The record is not where the writer believes it is: somebody else wrote.
    #[error("the record is at {actual}, not at {expected}")]
    Conflict {
        /// Where the writer believed it to be.
        expected: u64,
        /// Where it is.
        actual: u64,
    },
    /// The writer's lease has ended and another has taken over (guarantee G11).
    #[error("another engine has taken the run over")]
    Fenced,
    /// The run has not ended, so it cannot be closed.
    #[error("run {0} has not ended")]
    NotEnded(RunId),
    /// There is a run of this id already.
    #[error("run {0} exists already")]
    Exists(RunId),
    /// The pipeline has no run of this number.
    #[error("the pipeline `{pipeline}` has no run {number}")]
    NoSuchNumber {
        /// The pipeline.
        pipeline: String,
        /// The number.
        number: u64,
    },
    /// Something else has this name, address or id, of which there may be one.
    #[error("{0} is taken")]
    Taken(String),
    /// What is asked for or to be changed, or what it belongs to, is not there.
    #[error("{0} is not there")]
    NotFound(String),
    /// No store keeps this text: it is empty where it may not be, too long, or holds a NUL.
    #[error("{0}")]
    Unfit(String),
    /// The organization would be left without an owner.
    #[error("an organization needs an owner, and this is its last one")]
    LastOwner,
    /// The user would be left without a way to sign in.
    #[error("an account needs a way in, and this is its last one")]
    LastWayIn,
    /// The tenant still has pipelines, runs or repositories.
    #[error("tenant {0} still has pipelines, runs or repositories")]
    NotEmpty(TenantId),
    /// The organization still has tenants.
    #[error("organization {0} still has tenants")]
    HasTenants(OrganizationId),
    /// Another process has the store open.
    #[error("the store {place} is in use by {holder}")]
    InUse {
        /// Where the store is.
        place: String,
        /// Who has it open, as far as it can be told.
        holder: String,
    },
    /// What is stored cannot be read.
    #[error("the store is corrupt: {0}")]
    Corrupt(String),
    /// The store was written by a newer version.
    #[error("the store has format {found}; this version reads up to {supported}")]
    Newer {
        /// The format that was found.
        found: u32,
        /// The newest format that is known here.
        supported: u32,
    },
    /// The backend failed; the same call may work later.
    #[error("store `{name}` failed")]
    Backend {
        /// The store.
        name: &'static str,
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
