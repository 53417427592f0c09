//! Taking up runs that an earlier engine left open.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::bus::RunBus;
use super::core::Core;
use super::error::ResumeError;
use super::handle::RunHandle;
use super::host::RunHost;
use super::place;
use super::release;
use super::secrets::RunSecrets;
use super::start::{Ready, join, selected};
use crate::event::{Event, EventBody};
use crate::executor::Adoption;
use crate::id::{ExecutorName, JobId, RunId};
use crate::run::{Run, RunInfo};
use crate::store::{StoreError, TakenRun, each_event};

/// How many of the last ended jobs may still have something left at their executor: more than run at once.
const LAST_ENDED: usize = 256;

/// How many runs are leased and read together: enough that the cost of asking is spread, few enough that the first of
/// them begins at once.
const AT_ONCE: usize = 64;

/// How many times that is under way at the same time.
const PARTS: usize = 4;

/// Takes a run up; `None` when it had ended and only its remains were there, which are removed.
pub(super) async fn resume(core: &Arc<Core>, id: RunId) -> Result<Option<RunHandle>, ResumeError> {
    if core.is_closing() {
        return Err(ResumeError::ShuttingDown);
    }
    let _claim = core.claims.claim(id).await;
    if let Some(bus) = core.runs().get(&id) {
        return Ok(Some(RunHandle::new(Arc::clone(core), Arc::clone(bus))));
    }
    let token = match core.store.lease_run(id, core.lease_from_now(), core.clock.now()).await {
        Ok(token) => token,
        Err(StoreError::Fenced) => return Err(ResumeError::Elsewhere(id)),
        Err(error) => return Err(error.into()),
    };
    let record = core.store.run(id).await?;
    go_on(core, TakenRun { token, record, events: Vec::new() }).await
}

/// Takes up all of these runs that nobody drives, in their order, which is that of their creation.
pub(super) async fn resume_all(core: &Arc<Core>, runs: &[RunId]) -> Vec<RunHandle> {
    let parts: Vec<Vec<RunId>> = runs.chunks(AT_ONCE).map(<[RunId]>::to_vec).collect();
    let core = Arc::clone(core);
    // A task for each, so that several threads read what was kept.
    let part = move |runs: Vec<RunId>| {
        let core = Arc::clone(&core);
        tokio::spawn(async move { resume_some(&core, &runs).await })
    };
    let mut parts = stream::iter(parts).map(part).buffered(PARTS);
    let mut all = Vec::with_capacity(runs.len());
    while let Some(part) = parts.next().await {
        match part {
            Ok(handles) => all.extend(handles),
            Err(error) => tracing::error!(%error, "runs cannot be taken up"),
        }
    }
    all
}

async fn resume_some(core: &Arc<Core>, runs: &[RunId]) -> Vec<RunHandle> {
    // Everybody who claims several does it in the order of their creation, so that nobody waits in a circle.
    let mut claims = Vec::with_capacity(runs.len());
    for run in runs {
        claims.push(core.claims.claim(*run).await);
    }
    let is_driven = |run: &RunId| core.runs().contains_key(run);
    let left: Vec<RunId> = runs.iter().copied().filter(|run| !is_driven(run)).collect();
    let taken = match core.is_closing() {
        true => return Vec::new(),
        false => core.store.take_up(&left, core.lease_from_now(), core.clock.now()).await,
    };
    let mut taken: HashMap<RunId, TakenRun> = match taken {
        Ok(taken) => taken.into_iter().map(|run| (run.record.run.id, run)).collect(),
        Err(error) => {
            tracing::debug!(%error, "runs are taken up one by one");
            drop(claims);
            return resume_each(core, runs).await;
        }
    };
    // What has ended only has to be cleared up, which may take a while.
    let ended: Vec<_> = taken.extract_if(|_, run| run.record.status.is_final()).collect();
    let mut all = Vec::with_capacity(runs.len());
    for (run, claim) in runs.iter().zip(claims) {
        let resumed = match taken.remove(run) {
            Some(taken) => go_on(core, taken).await,
            None => Ok(core.runs().get(run).map(|bus| RunHandle::new(Arc::clone(core), Arc::clone(bus)))),
        };
        all.extend(told(*run, resumed));
        drop(claim);
    }
    for (run, taken) in ended {
        let _claim = core.claims.claim(run).await;
        all.extend(told(run, go_on(core, taken).await));
    }
    all
}

async fn resume_each(core: &Arc<Core>, runs: &[RunId]) -> Vec<RunHandle> {
    let mut all = Vec::with_capacity(runs.len());
    for run in runs {
        all.extend(told(*run, resume(core, *run).await));
    }
    all
}

/// The handle, or a word about what keeps the run from being taken up.
fn told(run: RunId, resumed: Result<Option<RunHandle>, ResumeError>) -> Option<RunHandle> {
    match resumed {
        Ok(handle) => handle,
        Err(ResumeError::Elsewhere(_)) => None,
        Err(error) => {
            tracing::error!(%run, %error, "the run cannot be taken up");
            None
        }
    }
}

/// Goes on with a run that is leased.
async fn go_on(core: &Arc<Core>, taken: TakenRun) -> Result<Option<RunHandle>, ResumeError> {
    let TakenRun { token, record, events } = taken;
    let id = record.run.id;
    let plan = core.restored.restore(&record.run.plan)?;
    let info = RunInfo { id, number: record.number };
    let context = Arc::clone(&record.run.context);
    let mut run = Run::of_plan(&plan, context, info).carrying(Arc::clone(&record.run.carried));
    let mut seen = Seen::default();
    let mut replay = |event: Event| {
        run.replay_one(&event)?;
        seen.note(id, &event.body);
        Ok::<_, ResumeError>(())
    };
    let read = events.last().map_or(0, |event| event.seq);
    events.into_iter().try_for_each(&mut replay)?;
    if read < record.last_seq {
        each_event(&*core.store, id, read, replay).await?;
    }
    let (bus, inbox) = RunBus::new(&record, plan, token, run.seq(), core.faults.clone());
    if run.status().is_final() {
        let used = core.executors.iter().map(|known| seen.executors.contains(&known.name)).collect::<Vec<_>>();
        if let Some(missing) = seen.executors.iter().find(|name| core.executor(name).is_none()) {
            return Err(ResumeError::NoExecutor(missing.clone()));
        }
        release::close(core, &bus, &used).await;
        return Ok(None);
    }
    if let Some(job) = run.wanted().find(|job| core.executor(job.executor).is_none()) {
        return Err(ResumeError::NoExecutor(job.executor.clone()));
    }
    let selected = selected(&bus.plan, &record.run)?;
    let placement = place::find(core, &bus.plan, &selected, record.run.executor.as_ref())?;
    // A secret that is gone fails the attempts that need it, and them alone.
    let secrets = RunSecrets::find(&bus.plan, &selected, &record.run, &*core.secrets).await?;
    let masker = secrets.masker()?;
    let place = join(core, &record, &bus);
    let host = RunHost::new(Arc::clone(core), Arc::clone(&bus), masker);
    let released = seen.left(core);
    let handle = Ready { bus, inbox, host, run, placement, secrets, place, record, released }.spawn(core);
    // Something may have been asked of it before it was driven here.
    core.mailbox.look();
    Ok(Some(handle))
}

/// What of a run's events matters to its executors.
#[derive(Debug, Default)]
struct Seen {
    executors: Vec<ExecutorName>,
    /// Jobs that were started and have not ended.
    running: Vec<(JobId, ExecutorName)>,
    ended: VecDeque<(JobId, ExecutorName)>,
}

impl Seen {
    fn note(&mut self, run: RunId, event: &EventBody) {
        match event {
            EventBody::AttemptStarted { stage, attempt, executor } => {
                if !self.executors.contains(executor) {
                    self.executors.push(executor.clone());
                }
                self.running.push((JobId { run, stage: stage.clone(), attempt: *attempt }, executor.clone()));
            }
            EventBody::AttemptFinished { stage, attempt, .. } => {
                let is_it = |(job, _): &(JobId, ExecutorName)| job.stage == *stage && job.attempt == *attempt;
                let Some(at) = self.running.iter().position(is_it) else { return };
                if self.ended.len() == LAST_ENDED {
                    self.ended.pop_front();
                }
                self.ended.push_back(self.running.swap_remove(at));
            }
            _ => {}
        }
    }

    /// Jobs of which something may be left, each with its executor.
    fn left(self, core: &Core) -> Vec<(JobId, usize)> {
        let place = |(job, name): (JobId, ExecutorName)| {
            let executor = core.executor(&name)?;
            (core.executors[executor].adoption == Adoption::ByJobId).then_some((job, executor))
        };
        self.ended.into_iter().filter_map(place).collect()
    }
}
