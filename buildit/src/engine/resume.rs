//! Taking up runs that an earlier engine left open.

use std::collections::VecDeque;
use std::sync::Arc;

use super::bus::RunBus;
use super::core::Core;
use super::error::ResumeError;
use super::handle::RunHandle;
use super::host::RunHost;
use super::place;
use super::release;
use super::secrets::RunSecrets;
use super::start::{Ready, join, selected};
use crate::event::EventBody;
use crate::executor::Adoption;
use crate::id::{ExecutorName, JobId, RunId};
use crate::plan::Plan;
use crate::run::{Run, RunInfo};
use crate::store::{StoreError, each_event};

/// How many of the last ended jobs may still have something left at their executor: more than run at once.
const LAST_ENDED: usize = 256;

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
    let plan = Plan::restore(Arc::clone(&record.run.plan))?;
    let info = RunInfo { id, number: record.number };
    let context = Arc::clone(&record.run.context);
    let mut run = Run::of_plan(&plan, context, info).carrying(Arc::clone(&record.run.carried));
    let mut seen = Seen::default();
    each_event(&*core.store, id, 0, |event| {
        run.replay_one(&event)?;
        seen.note(id, &event.body);
        Ok::<_, ResumeError>(())
    })
    .await?;
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
    Ok(Some(Ready { bus, inbox, host, run, placement, secrets, place, record, released }.spawn(core)))
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
