//! Starting a run.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::mpsc;

use super::bus::RunBus;
use super::core::Core;
use super::driver::{Driver, Work};
use super::environments;
use super::error::{RunError, StartError};
use super::groups::{Groups, Place};
use super::handle::RunHandle;
use super::host::RunHost;
use super::lease;
use super::looks::Looks;
use super::mailbox::Mailbox;
use super::message::Message;
use super::missing;
use super::options::StartOptions;
use super::params;
use super::placement::Placement;
use super::plans::Known;
use super::prepare::Preparer;
use super::release::{self, Releases};
use super::secrets::RunSecrets;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::executor::JobContext;
use crate::id::{ExecutorName, JobId, RunId};
use crate::pipeline::{ConcurrencySpec, Pipeline, PipelineSpec, RunContext};
use crate::plan::Plan;
use crate::run::{Run, RunInfo};
use crate::secret::Masker;
use crate::store::{NewRun, RunRecord};
use crate::variables::{NoStages, Scope, resolve_plain};

/// A run that nothing speaks against.
pub(super) struct Checked {
    plan: Plan,
    placement: Placement,
    secrets: RunSecrets,
    masker: Arc<Masker>,
    /// What is to be kept.
    pub(super) new: NewRun,
}

/// Finds everything that speaks against a run, before anything of it is kept.
pub(super) async fn check(core: &Core, pipeline: &dyn Pipeline, options: StartOptions) -> Result<Checked, StartError> {
    let context = Arc::new(options.context);
    let known = core.plans.compile(pipeline.spec(&context)?, options.limits)?;
    let new = NewRun {
        id: options.id.unwrap_or_else(RunId::new),
        tenant: options.tenant,
        source: options.source,
        in_place: options.in_place,
        executor: options.executor,
        max_parallel: options.max_parallel.or(core.max_parallel),
        ..NewRun::new(Arc::clone(known.plan.spec()), context, core.clock.now())
    };
    admit(core, &known, new).await
}

/// Finds everything that speaks against this run, which has no group yet.
pub(super) async fn admit(core: &Core, known: &Known, new: NewRun) -> Result<Checked, StartError> {
    if core.is_closing() {
        return Err(StartError::ShuttingDown);
    }
    let plan = known.plan.clone();
    let spec = plan.spec();
    let mut findings = params::check(spec, &new.context);
    findings.extend(plan.check_context(&new.context));
    let selected = selected(&plan, &new).unwrap_or_else(|unknown| {
        findings.extend(unknown.0);
        vec![true; spec.stages.len()]
    });
    let new = environments::find(core, &plan, &selected, new, &mut findings).await?;
    let context = &new.context;
    let placement = match place(core, known, &selected, new.executor.as_ref()) {
        Ok(placement) => placement,
        Err(nowhere) => {
            findings.extend(nowhere.0);
            Placement::All(0)
        }
    };
    let secrets = RunSecrets::find(&plan, &selected, &new, &*core.secrets).await?;
    findings.extend(missing::missing(spec, &selected, &secrets.missing));
    if !findings.is_empty() {
        return Err(Diagnostics(findings).into());
    }
    let masker = secrets.masker()?;
    let in_clear = params::in_clear(spec, context, &masker);
    if !in_clear.is_empty() {
        return Err(Diagnostics(in_clear).into());
    }
    let group = match &spec.concurrency {
        Some(concurrency) => Some(group_name(concurrency, spec, context, new.id)?),
        None => None,
    };
    Ok(Checked { new: NewRun { group, ..new }, plan, placement, secrets, masker })
}

/// Which stages this run may start, by index: those that were asked for, but for what it goes on from.
pub(super) fn selected(plan: &Plan, run: &NewRun) -> Result<Vec<bool>, Diagnostics> {
    let mut selected = plan.graph().select(plan.spec(), run.context.only.iter().map(String::as_str))?;
    for stage in run.carried.iter().filter_map(|carried| plan.graph().index(&carried.stage)) {
        selected[stage.index()] = false;
    }
    Ok(selected)
}

/// Starts a run: everything that can be refused is refused before anything is kept.
pub(super) async fn start(
    core: &Arc<Core>,
    pipeline: &dyn Pipeline,
    options: StartOptions,
) -> Result<RunHandle, StartError> {
    launch(core, check(core, pipeline, options).await?).await
}

/// Keeps a run and drives it.
pub(super) async fn launch(core: &Arc<Core>, checked: Checked) -> Result<RunHandle, StartError> {
    let Checked { plan, placement, secrets, masker, new } = checked;
    let (id, context) = (new.id, Arc::clone(&new.context));
    let claim = core.claims.claim(id).await;
    let record = core.store.create_run(new).await?;
    let token = core.store.lease_run(id, core.lease_from_now(), core.clock.now()).await?;
    let info = RunInfo { id, number: record.number };
    let run = Run::of_plan(&plan, context, info).carrying(Arc::clone(&record.run.carried));
    let (bus, inbox) = RunBus::new(&record, plan, token, 0, core.faults.clone());
    let place = join(core, &record, &bus);
    let host = RunHost::new(Arc::clone(core), Arc::clone(&bus), masker);
    let ready = Ready { bus, inbox, host, run, placement, secrets, place, record, released: Vec::new() };
    let handle = ready.spawn(core);
    drop(claim);
    Ok(handle)
}

/// Which executor each stage goes to.
fn place(
    core: &Core,
    known: &Known,
    selected: &[bool],
    sent_to: Option<&ExecutorName>,
) -> Result<Placement, Diagnostics> {
    let is_usual = sent_to.is_none() && selected.iter().all(|selected| *selected);
    match known.placement.get().filter(|_| is_usual) {
        Some(placement) => Ok(placement.clone()),
        None => {
            let placement = super::place::find(core, &known.plan, selected, sent_to)?;
            if is_usual {
                let _ = known.placement.set(placement.clone());
            }
            Ok(placement)
        }
    }
}

fn group_name(
    concurrency: &ConcurrencySpec,
    spec: &PipelineSpec,
    context: &RunContext,
    id: RunId,
) -> Result<String, Diagnostics> {
    let nothing = indexmap::IndexMap::new();
    let group = |number| {
        let scope = Scope {
            context,
            plan: spec,
            run: RunInfo { id, number },
            stage: None,
            index: 0,
            attempt: 0,
            stages: &NoStages,
            approval: None,
            environment: &nothing,
        };
        resolve_plain(&concurrency.group, &scope).map(Cow::into_owned)
    };
    let refused = |message: String| {
        let finding = Diagnostic::error("concurrency", message).with_part(None, "concurrency", None);
        Diagnostics(vec![match spec.origins.get("concurrency") {
            Some(origin) => finding.with_origin(origin.clone()),
            None => finding,
        }])
    };
    // A run has its number when it is kept, which is later. That the group names it is refused when the pipeline is
    // read; here it may still come through `env`.
    match (group(0), group(1)) {
        (Ok(group), Ok(other)) if group == other => Ok(group),
        (Ok(_), Ok(_)) => Err(refused("a run joins its group before it has its number".into())),
        (Err(error), _) | (_, Err(error)) => Err(refused(error.to_string())),
    }
}

/// The run's place in its group.
pub(super) fn join(core: &Arc<Core>, record: &RunRecord, bus: &Arc<RunBus>) -> Option<Place> {
    record.run.group.as_ref()?;
    Some(Groups::join(core, bus))
}

/// A run that can be driven.
pub(super) struct Ready {
    pub(super) bus: Arc<RunBus>,
    pub(super) inbox: mpsc::UnboundedReceiver<Message>,
    pub(super) host: Arc<RunHost>,
    pub(super) run: Run,
    pub(super) placement: Placement,
    pub(super) secrets: RunSecrets,
    pub(super) place: Option<Place>,
    pub(super) record: RunRecord,
    /// Jobs whose outcome is durable and of which something may be left, each with its executor.
    pub(super) released: Vec<(JobId, usize)>,
}

impl Ready {
    /// Drives the run in tasks of their own: a task that is polled by `block_on` wakes far more slowly.
    pub(super) fn spawn(self, core: &Arc<Core>) -> RunHandle {
        let Self { bus, inbox, host, run, placement, secrets, place, record, released } = self;
        let mut used = vec![false; core.executors.len()];
        let mut releases = Releases::default();
        for (job, executor) in released {
            used[executor] = true;
            releases.release(core, executor, job);
        }
        for job in run.wanted() {
            core.executor(job.executor).into_iter().for_each(|executor| used[executor] = true);
        }
        let max_parallel = record.run.max_parallel.map_or(usize::MAX, |jobs| jobs.get() as usize);
        let preparer = Preparer::new(&bus.plan, record.run.source, secrets);
        core.drive(&bus);
        Mailbox::watch(core);
        if core.is_closing() {
            // A shutdown that began meanwhile may have missed it; one that begins now sees it.
            bus.hand_over();
        }
        let context = JobContext::builder(Arc::clone(&host) as _, Arc::clone(&core.blobs))
            .inputs(Arc::clone(preparer.inputs()))
            .faults(core.faults.clone())
            .grace(core.grace)
            .build();
        let driver = Driver {
            core: Arc::clone(core),
            bus: Arc::clone(&bus),
            run,
            inbox,
            host,
            context,
            preparer,
            placement,
            max_parallel,
            place,
            used,
            releases,
            work: Work::new(Looks::of(core, &bus.plan)),
        };
        let handle = RunHandle::new(Arc::clone(core), Arc::clone(&bus));
        let core = Arc::clone(core);
        tokio::spawn(async move {
            let keeper = tokio::spawn(lease::keep(Arc::clone(&core), Arc::clone(&bus)));
            let driven = AssertUnwindSafe(driver.drive()).catch_unwind().await;
            keeper.abort();
            let id = bus.info.id;
            let ended = driven.unwrap_or(Err(RunError::Broken));
            if let Err(error) = &ended {
                tracing::warn!(run = %id, %error, "the run is no longer driven here");
                core.slots.leave(id);
            }
            if matches!(ended, Err(RunError::LeaseLost | RunError::LeaseEnded(_))) {
                release::clear_up(&core, id).await;
            }
            if matches!(ended, Err(RunError::HandedOver)) {
                // Whoever takes the run over need not wait for the end of the lease.
                let now = core.clock.now();
                let over = crate::store::Lease { worker: core.worker.clone(), until: now };
                let _ = core.store.lease_run(id, over, now).await;
            }
            core.runs().remove(&id);
            Mailbox::rest(&core);
            bus.ended.send_replace(Some(ended));
        });
        handle
    }
}
