//! Runs and their events.

use std::fmt::Debug;
use std::num::NonZeroU32;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Lease, RunFilter, RunSummary, StoreError};
use crate::event::{Event, RunStatus};
use crate::id::{Digest, ExecutorName, FencingToken, RunId, TenantId};
use crate::pipeline::{PipelineSpec, RunContext};
use crate::run::CarriedStage;

/// Keeps runs and their events.
#[async_trait]
pub trait RunStore: Debug + Send + Sync + 'static {
    /// Keeps a new run, under the id that it comes with, and gives it its number: 1 for the first run of a pipeline,
    /// without gaps or doubles. It is open and unleased. Pipelines of one name of different tenants are different ones.
    ///
    /// If its pipeline's concurrency group cancels what is in progress, all earlier runs of the group that have not ended
    /// are asked to, in the same step: their [`Standing`]s say so from then on, and those that are dead letters may be
    /// taken once more.
    ///
    /// # Errors
    ///
    /// [`StoreError::Exists`] for an id that is taken; any other [`StoreError`] when it was not kept.
    async fn create_run(&self, run: NewRun) -> Result<RunRecord, StoreError>;

    /// What a run was started with, and where it is.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoRun`] when there is none.
    async fn run(&self, run: RunId) -> Result<RunRecord, StoreError>;

    /// Those runs that the filter lets through, by the time of their creation, the newest first; at most `limit`.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoRun`] when the run that the filter goes on from is not there; any other [`StoreError`] when the
    /// store cannot tell.
    async fn runs(&self, filter: &RunFilter, limit: usize) -> Result<Vec<RunSummary>, StoreError>;

    /// The run of this number of a pipeline, which [`TenantId::NONE`] or a tenant has.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSuchNumber`] when there is none.
    async fn run_by_number(&self, tenant: TenantId, pipeline: &str, number: u64) -> Result<RunSummary, StoreError>;

    /// The runs that are not [closed](Self::close_run), in the order in which they were created: those that have not
    /// ended, and those that have ended and of which something may be left.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn open_runs(&self) -> Result<Vec<RunId>, StoreError>;

    /// Appends events, all or none. The first has the number `expected_seq + 1`, and `expected_seq` is the number of
    /// the last that is stored. They are durable when it returns. A store in memory may keep the events as they come:
    /// nobody changes them.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when the record is elsewhere, [`StoreError::Fenced`] when a larger token was seen
    /// for this run; [`StoreError::NoRun`] when there is no such run. Then nothing is stored.
    ///
    /// # Cancel safety
    ///
    /// A dropped future may have appended: read the record before going on.
    async fn append(
        &self,
        run: RunId,
        expected_seq: u64,
        token: FencingToken,
        events: Arc<[Event]>,
    ) -> Result<(), StoreError>;

    /// Events after number `after`, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoRun`] when there is no such run.
    async fn events(&self, run: RunId, after: u64, limit: usize) -> Result<EventPage, StoreError>;

    /// Notes that a run has ended and nothing of it is left at any executor: it is no longer open. Idempotent.
    ///
    /// # Errors
    ///
    /// [`StoreError::Fenced`] when a larger token was seen for this run, [`StoreError::NotEnded`] when its last event
    /// is not there yet, [`StoreError::NoRun`] when there is no such run.
    async fn close_run(&self, run: RunId, token: FencingToken) -> Result<(), StoreError>;

    /// Forgets a closed run: its record, its events, its logs and its place in the queue. Its number is not given again. What it left in the
    /// blob store stays there until nothing refers to it.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotEnded`] when it is not [closed](Self::close_run), [`StoreError::NoRun`] when there is no such
    /// run.
    async fn delete_run(&self, run: RunId) -> Result<(), StoreError>;

    /// Takes or renews the lease on a run for `worker` until `until`. One that is held by another and has not ended
    /// at `now` is refused. A new holder gets a larger token; who renews before the end keeps its own. So a worker's
    /// id must be one that no earlier process had.
    ///
    /// # Errors
    ///
    /// [`StoreError::Fenced`] when another holds it, [`StoreError::NoRun`] when there is no such run.
    async fn lease_run(&self, run: RunId, lease: Lease, now: Timestamp) -> Result<FencingToken, StoreError>;

    /// Takes or renews the leases on these runs, as [`lease_run`](Self::lease_run) does, and reads what is needed to go on
    /// with them, in their order. Those whose lease another holds, and those that are not there, are left out.
    ///
    /// A store may do all of it in few steps. As it is here it does one after another.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails or one of the records cannot be read; then some may have been leased, and it
    /// can be called again.
    async fn take_up(&self, runs: &[RunId], lease: Lease, now: Timestamp) -> Result<Vec<TakenRun>, StoreError> {
        let mut taken = Vec::new();
        for run in runs {
            let token = match self.lease_run(*run, lease.clone(), now).await {
                Err(StoreError::Fenced | StoreError::NoRun(_)) => continue,
                token => token?,
            };
            let record = self.run(*run).await?;
            let events = self.events(*run, 0, TakenRun::EVENTS).await?.events;
            taken.push(TakenRun { token, record, events });
        }
        Ok(taken)
    }

    /// How these runs stand with others of their concurrency groups; those that are not there are left out.
    ///
    /// The runs of one pipeline of one tenant and of one group go one after another, by their numbers: each waits for all earlier ones
    /// that have not ended. So a run whose turn has come keeps it, whichever engine drives it, and when that one dies
    /// the others wait until the run is taken over and ends.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn standings(&self, runs: &[RunId]) -> Result<Vec<Standing>, StoreError>;
}

/// How a run stands with others of its concurrency group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The run.
    pub run: RunId,
    /// The first run of its group that has not ended and is earlier than it; none when its turn has come.
    pub waits_for: Option<RunId>,
    /// Why it is to end, when another run has asked it to.
    pub cancel: Option<String>,
}

/// A run that is to be kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewRun {
    /// Its id.
    pub id: RunId,
    /// Whose it is. What earlier versions wrote is of nobody.
    #[serde(default = "TenantId::none", skip_serializing_if = "TenantId::is_none")]
    pub tenant: TenantId,
    /// The compiled plan; a later edit of the file changes nothing.
    pub plan: Arc<PipelineSpec>,
    /// What it is started with.
    pub context: Arc<RunContext>,
    /// The archive of its source.
    pub source: Option<Digest>,
    /// The folder that its jobs work in, when it has no source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_place: Option<WorkFolder>,
    /// When it was created.
    pub created_at: Timestamp,
    /// The resolved name of its concurrency group, if it has one.
    pub group: Option<String>,
    /// The executor that every stage goes to, whatever the stage says.
    #[serde(default)]
    pub executor: Option<ExecutorName>,
    /// How many of its jobs may run at once, beside what the pipeline says.
    #[serde(default)]
    pub max_parallel: Option<NonZeroU32>,
    /// The run that it is a rerun of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun_of: Option<RunId>,
    /// What it goes on from, when it is a rerun of what failed.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub carried: Arc<[CarriedStage]>,
}

/// A folder of a host in which the jobs of a run work, in place of workspaces of their own. An engine makes nothing of it:
/// whoever takes such a run up sets its executors up for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkFolder {
    /// Its absolute path.
    pub path: String,
    /// What tells it from another folder that lies there later, in words of whoever started the run.
    pub identity: String,
}

fn is_empty(carried: &Arc<[CarriedStage]>) -> bool {
    carried.is_empty()
}

impl NewRun {
    /// A run of this plan with an id of its own and nothing of what not every run has: no tenant, no source, no concurrency
    /// group, no choice of an executor, no run before it.
    pub fn new(plan: impl Into<Arc<PipelineSpec>>, context: impl Into<Arc<RunContext>>, created_at: Timestamp) -> Self {
        Self {
            id: RunId::new(),
            tenant: TenantId::NONE,
            plan: plan.into(),
            context: context.into(),
            source: None,
            in_place: None,
            created_at,
            group: None,
            executor: None,
            max_parallel: None,
            rerun_of: None,
            carried: Arc::default(),
        }
    }

    /// The scope of the caches and kept results of its pipeline: those of another tenant's pipeline of the same name have
    /// another one. That of a pipeline of nobody is its name.
    #[must_use]
    pub fn scope(&self) -> String {
        self.tenant.scope(&self.plan.name)
    }

    /// The scope of the caches that it saves, and looks at before those of its pipeline; none for a run that is
    /// [trusted](RunContext::is_trusted), whose caches are those of its pipeline. What a run leaves that anybody may have
    /// written is for later runs of the same pull request alone: whoever finds a cache runs what is in it.
    #[must_use]
    pub fn scope_apart(&self) -> Option<String> {
        let request = self.context.pull_request.as_ref().filter(|_| !self.context.is_trusted())?;
        // No tenant is called so.
        Some(format!("tenant:/fork/{}/{}", request.number, self.scope()))
    }

    /// The blobs that it refers to before anything has happened: its source, and what the stages have left that it is
    /// spared.
    pub fn blobs(&self) -> impl Iterator<Item = Digest> + '_ {
        let carried = self.carried.iter().flat_map(|carried| &carried.taken.products);
        self.source.into_iter().chain(carried.flat_map(|products| products.digests()))
    }

    /// Whether it asks the earlier runs of its concurrency group to end.
    #[must_use]
    pub fn cancels_earlier(&self) -> bool {
        self.group.is_some() && self.plan.concurrency.as_ref().is_some_and(|group| group.cancel_in_progress)
    }
}

/// What a run was started with, and where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRecord {
    /// What it was created with.
    pub run: NewRun,
    /// Its number within the pipeline, from 1.
    pub number: u64,
    /// Where it is.
    pub status: RunStatus,
    /// The number of its last event.
    pub last_seq: u64,
}

/// A run whose lease was taken in order to go on with it.
#[derive(Clone, Debug, PartialEq)]
pub struct TakenRun {
    /// Proof of the lease.
    pub token: FencingToken,
    /// What it was created with, and where it is.
    pub record: RunRecord,
    /// Its first events, of which there may be more.
    pub events: Vec<Event>,
}

impl TakenRun {
    /// How many events a store reads of each run: those of most runs, and few enough that many runs fit into memory.
    pub const EVENTS: usize = 1024;
}

/// Why the earlier runs of a concurrency group are to end when the run of this number comes: what a store answers in
/// [`Standing::cancel`].
#[must_use]
pub fn replaced_by(number: u64) -> String {
    format!("run {number} of the same concurrency group takes its place")
}

/// Some events of a run.
#[derive(Clone, Debug, Default)]
pub struct EventPage {
    /// The events, in order.
    pub events: Vec<Event>,
    /// The number of the last event that is stored, which may be beyond this page.
    pub last_seq: u64,
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn no_two_pipelines_have_one_scope() {
        let scope = |tenant, name: &str| {
            let plan = PipelineSpec { name: name.into(), ..PipelineSpec::default() };
            let tenant = TenantId::from(Uuid::from_u128(tenant));
            let run = NewRun { tenant, ..NewRun::new(plan, RunContext::manual(), Timestamp::UNIX_EPOCH) };
            run.scope()
        };
        assert_eq!(scope(0, "shop"), "shop", "what was kept before there were tenants is found");
        let of_one = scope(1, "shop");
        assert_ne!(scope(2, "shop"), of_one);
        assert_ne!(scope(1, "shop/shop"), of_one);
        assert_ne!(scope(0, &of_one), of_one, "nobody's pipeline takes the name of another's scope");
    }
}
