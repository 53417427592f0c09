//! Running an ended run again, as it was kept: its plan, its context, its source.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::core::Core;
use super::error::{RerunError, StartError};
use super::handle::RunHandle;
use super::options::QueueOptions;
use super::plans::Known;
use super::start::{Checked, admit, launch};
use crate::event::{EventBody, TakenResult};
use crate::id::{RunId, StageName, TenantId};
use crate::pipeline::{PipelineSpec, RunContext};
use crate::plan::Plan;
use crate::run::{CarriedStage, Run, RunInfo};
use crate::store::{NewRun, RunRecord, RunStore, each_event};

/// An ended run that is to run again, as a new run: the plan, context and source are those that are kept with it.
#[derive(Clone, Debug)]
pub struct Rerun {
    plan: Plan,
    new: NewRun,
}

impl Rerun {
    /// All of it runs again.
    ///
    /// # Errors
    ///
    /// [`RerunError`] when it has not ended or cannot be read.
    pub async fn all(store: &(impl RunStore + ?Sized), run: RunId) -> Result<Self, RerunError> {
        let (record, plan) = ended(store, run).await?;
        Ok(Self::new(record, plan, Vec::new()))
    }

    /// The stages that failed run again, those that came to nothing because of it, and whatever follows them. The
    /// others count as they ended, with what they left.
    ///
    /// The secrets of those are masked as well, by the values that they have now: one that was replaced since is not
    /// known any more, and stands in clear in what a stage prints of what they left.
    ///
    /// # Errors
    ///
    /// [`RerunError`] when nothing failed, and as of [`all`](Self::all).
    pub async fn from_failed(store: &(impl RunStore + ?Sized), run: RunId) -> Result<Self, RerunError> {
        let (record, plan) = ended(store, run).await?;
        let carried = carried(store, &plan, &record).await?.ok_or(RerunError::NothingFailed(run))?;
        Ok(Self::new(record, plan, carried))
    }

    fn new(record: RunRecord, plan: Plan, carried: Vec<CarriedStage>) -> Self {
        let new = NewRun { rerun_of: Some(record.run.id), carried: carried.into(), ..record.run };
        Self { plan, new }
    }

    /// All of a run that another store keeps, as its record there tells it; here it is nobody's, and a run by itself. Its
    /// source has to be among this engine's blobs.
    ///
    /// # Errors
    ///
    /// [`RerunError::Diagnostics`] when its plan is no pipeline.
    pub fn of_elsewhere(run: NewRun) -> Result<Self, RerunError> {
        let plan = Plan::restore(Arc::clone(&run.plan))?;
        let new = NewRun {
            tenant: TenantId::NONE,
            in_place: None,
            group: None,
            rerun_of: None,
            carried: Arc::default(),
            ..run
        };
        Ok(Self { plan, new })
    }

    /// The same as a run of a pipeline of this name, which it may have by now.
    ///
    /// # Errors
    ///
    /// [`RerunError::Diagnostics`] when that is no pipeline any more.
    pub fn of_pipeline(mut self, name: &str) -> Result<Self, RerunError> {
        if self.new.plan.name != name {
            let mut spec = PipelineSpec::clone(&self.new.plan);
            name.clone_into(&mut spec.name);
            self.new.plan = Arc::new(spec);
            self.plan = Plan::restore(Arc::clone(&self.new.plan))?;
        }
        Ok(self)
    }

    /// The same as a run that this person asked for.
    #[must_use]
    pub fn started_by(mut self, who: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.new.context).started_by = who.into();
        self
    }

    /// Its plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What it is started with.
    #[must_use]
    pub fn context(&self) -> &Arc<RunContext> {
        &self.new.context
    }

    /// The executor that every stage goes to, whatever the stage says.
    #[must_use]
    pub fn executor(&self) -> Option<&str> {
        self.new.executor.as_deref()
    }

    /// The stages that count as they ended.
    #[must_use]
    pub fn carried(&self) -> &[CarriedStage] {
        &self.new.carried
    }
}

pub(super) async fn rerun(core: &Arc<Core>, rerun: Rerun) -> Result<RunHandle, StartError> {
    launch(core, admitted(core, rerun).await?).await
}

/// Keeps it, for any engine that works on the queue.
pub(super) async fn enqueue(core: &Core, rerun: Rerun, queue: QueueOptions) -> Result<RunRecord, StartError> {
    super::work::put(core, admitted(core, rerun).await?.new, queue).await
}

async fn admitted(core: &Core, rerun: Rerun) -> Result<Checked, StartError> {
    let Rerun { plan, new } = rerun;
    // The run that they come from may be removed at any time, and what they are with it.
    for digest in new.blobs() {
        if !core.blobs.hold(&digest).await.map_err(StartError::Blobs)? {
            return Err(StartError::Gone(digest));
        }
    }
    let new = NewRun { id: RunId::new(), created_at: core.clock.now(), ..new };
    let known = Known { plan, placement: OnceLock::new() };
    admit(core, &known, new).await
}

async fn ended(store: &(impl RunStore + ?Sized), run: RunId) -> Result<(RunRecord, Plan), RerunError> {
    let record = store.run(run).await?;
    if !record.status.is_final() {
        return Err(RerunError::NotEnded(run));
    }
    let plan = Plan::restore(Arc::clone(&record.run.plan))?;
    Ok((record, plan))
}

/// What of this run another goes on from; `None` when nothing failed.
async fn carried(
    store: &(impl RunStore + ?Sized),
    plan: &Plan,
    record: &RunRecord,
) -> Result<Option<Vec<CarriedStage>>, RerunError> {
    let id = record.run.id;
    let info = RunInfo { id, number: record.number };
    let mut run = Run::of_plan(plan, Arc::clone(&record.run.context), info);
    let mut taken: HashMap<StageName, TakenResult> = HashMap::new();
    each_event(store, id, 0, |event| {
        run.replay_one(&event)?;
        if let EventBody::ResultTaken { stage, result } = event.body {
            taken.insert(stage, *result);
        }
        Ok::<_, RerunError>(())
    })
    .await?;
    Ok(run.carried(&taken))
}
