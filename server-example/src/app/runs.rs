//! Runs: looked at, answered, cancelled and run again.

use buildit::account::Role;
use buildit::engine::{Asked, QueueOptions, Rerun};
use buildit::event::{Approval, Event, RunStatus};
use buildit::id::{PipelineId, RunId};
use buildit::plan::Plan;
use buildit::run::{Explanation, Holder, Run, RunInfo};
use buildit::store::{Repository, RunRecord, StoreError, each_event};
use indexmap::IndexMap;

use super::{approvals, audit, pipelines};
use crate::access::{Access, Actor};
use crate::problem::Problem;
use crate::state::ServerState;
use crate::view::run::RunView;

/// The run, and leave to act on it.
pub(crate) async fn find(
    state: &ServerState,
    actor: Actor,
    id: RunId,
    least: Role,
) -> Result<(Access, RunRecord), Problem> {
    let actor = actor.known()?;
    let record = state.store().run(id).await?;
    Ok((Access::to(state, actor, record.run.tenant, least).await?, record))
}

/// The run as it is now.
pub(crate) async fn view(state: &ServerState, record: &RunRecord) -> Result<RunView, Problem> {
    let mut view = RunView::new(record);
    let read = each_event(&**state.store(), record.run.id, 0, |event| {
        view.apply(event);
        Ok::<_, StoreError>(())
    });
    read.await?;
    Ok(view)
}

/// The repository that a run is of a commit of, if that is still there.
pub(crate) async fn repository(state: &ServerState, record: &RunRecord) -> Result<Option<Repository>, Problem> {
    let Ok(pipeline) = record.run.context.pipeline_id.parse::<PipelineId>() else { return Ok(None) };
    match state.store().pipeline(pipeline).await {
        Ok(pipeline) => pipelines::repository_of(state, &pipeline).await,
        Err(StoreError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Why each of its stages did what it did.
pub(crate) async fn explain(state: &ServerState, record: &RunRecord) -> Result<Vec<Explanation>, Problem> {
    let store = &**state.store();
    let mut events: Vec<Event> = Vec::new();
    let read = each_event(store, record.run.id, 0, |event| {
        events.push(event);
        Ok::<_, StoreError>(())
    });
    read.await?;
    let plan = Plan::restore(record.run.plan.clone()).map_err(|found| Problem::refused(&found.0))?;
    let info = RunInfo { id: record.run.id, number: record.number };
    let (spec, graph, context) = (plan.spec().clone(), plan.graph().clone(), record.run.context.clone());
    let run = Run::replay(spec, graph, context, info, &events).map_err(|error| {
        tracing::error!(%error, run = %record.run.id, "a run cannot be replayed");
        Problem::internal()
    })?;
    let holder = match waits_for(state, record.run.id).await? {
        Some(run) => Some(Holder { run, number: store.run(run).await?.number }),
        None => None,
    };
    Ok(run.explain(&events, holder))
}

/// The run of its concurrency group that this one waits for.
pub(crate) async fn waits_for(state: &ServerState, run: RunId) -> Result<Option<RunId>, Problem> {
    let standings = state.store().standings(&[run]).await?;
    Ok(standings.into_iter().find_map(|standing| standing.waits_for))
}

/// What the pipeline of a run is called by now.
pub(crate) async fn pipeline_of(state: &ServerState, record: &RunRecord) -> Result<String, Problem> {
    let name = || record.run.plan.name.clone();
    let Ok(pipeline) = record.run.context.pipeline_id.parse::<PipelineId>() else { return Ok(name()) };
    match state.store().pipeline(pipeline).await {
        Ok(pipeline) => Ok(pipeline.name),
        Err(StoreError::NotFound(_)) => Ok(name()),
        Err(error) => Err(error.into()),
    }
}

/// Asks a run to end, whichever server drives it; one that waits in the queue ends at once.
pub(crate) async fn cancel(state: &ServerState, access: &Access, record: &RunRecord) -> Result<(), Problem> {
    state.engine().cancel(record.run.id, format!("cancelled by {}", access.actor.name())).await?;
    noted(state, access, "run.cancel", record).await;
    Ok(())
}

/// Answers a stage that waits for a person, whichever server drives the run.
pub(crate) async fn answer(
    state: &ServerState,
    access: &Access,
    record: &RunRecord,
    stage: &str,
    is_yes: bool,
    fields: IndexMap<String, String>,
) -> Result<Asked, Problem> {
    approvals::check(access, record, stage, is_yes)?;
    let approval = Approval { by: access.actor.name(), approved: is_yes, fields };
    let asked = state.engine().answer(record.run.id, stage, approval).await?;
    noted(state, access, if is_yes { "run.approve" } else { "run.reject" }, record).await;
    Ok(asked)
}

/// Which stages run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    All,
    Failed,
}

/// Puts an ended run into the queue again, as a new one of the pipeline that it is of, whatever that is called by now.
pub(crate) async fn rerun(
    state: &ServerState,
    access: &Access,
    record: &RunRecord,
    which: Which,
) -> Result<RunRecord, Problem> {
    let store = &**state.store();
    let rerun = match which {
        Which::All => Rerun::all(store, record.run.id).await?,
        Which::Failed => Rerun::from_failed(store, record.run.id).await?,
    };
    let rerun = match record.run.context.pipeline_id.parse::<PipelineId>() {
        Ok(pipeline) => rerun.of_pipeline(&store.pipeline(pipeline).await?.name)?,
        Err(_) => rerun,
    };
    let rerun = rerun.started_by(access.person());
    let again = state.engine().enqueue_rerun(rerun, QueueOptions::default()).await?;
    noted(state, access, "run.rerun", record).await;
    Ok(again)
}

async fn noted(state: &ServerState, access: &Access, action: &str, record: &RunRecord) {
    let details = [("run", record.run.id.to_string().into()), ("number", record.number.into())];
    audit::of_tenant(state, access, action, &record.run.plan.name, &details).await;
}

/// The word of a status, as a query has it.
pub(crate) fn status(word: &str) -> Result<RunStatus, Problem> {
    serde_json::from_value(word.into()).map_err(|_| Problem::invalid(format!("`{word}` is no status of a run")))
}
