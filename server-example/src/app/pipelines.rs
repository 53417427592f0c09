//! Pipelines: kept, changed and started.

use buildit::account::Role;
use buildit::config::{self, Limits};
use buildit::diagnostic::Diagnostic;
use buildit::engine::{QueueOptions, StartOptions};
use buildit::id::{OrganizationId, PipelineId, RunId, TenantId};
use buildit::pipeline::{ExpandLimits, PipelineSpec, RunContext};
use buildit::plan::Plan;
use buildit::store::{NewPipeline, PipelineChange, PipelineSource, RunRecord, StoreError, StoredPipeline};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{approvals, audit, badges, channels, schedules};
use crate::access::{Access, Actor};
use crate::problem::Problem;
use crate::state::ServerState;

/// The file that a text which is kept here is said to be.
pub(crate) const FILE: &str = ".buildit.kdl";

/// How large a text may be, and how many stages it may have: whoever may look at anything may have one judged.
const TEXT: usize = 256 * 1024;
const STAGES: usize = 10_000;

/// How long the name of a pipeline may be.
const LONGEST_NAME: usize = 100;

/// What a run is started with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Start {
    /// The id of the run, when that is settled already.
    pub(crate) run: Option<RunId>,
    pub(crate) branch: String,
    pub(crate) commit: String,
    pub(crate) params: IndexMap<String, String>,
}

/// What is wrong with a text, and what is odd about it.
pub(crate) fn check(kdl: &str) -> Vec<Diagnostic> {
    match compile(kdl) {
        Ok((_, warnings)) => warnings,
        Err(found) => found,
    }
}

/// A text as a pipeline, and what is odd about it.
pub(crate) fn compile(kdl: &str) -> Result<(PipelineSpec, Vec<Diagnostic>), Vec<Diagnostic>> {
    let limits = ExpandLimits { stages: STAGES, ..ExpandLimits::default() };
    let mut options = config::Options::default().with_limits(Limits { bytes: TEXT, ..Limits::default() });
    options.expand = limits;
    let read = config::parse(FILE, kdl, &options).map_err(|found| found.diagnostics.0)?;
    let spec = PipelineSpec::clone(read.spec());
    Plan::compile(&spec, limits).map_err(|found| found.0)?;
    Ok((spec, read.warnings().0.clone()))
}

fn checked(kdl: &str) -> Result<PipelineSpec, Problem> {
    compile(kdl).map(|(spec, _)| spec).map_err(|found| Problem::refused(&found))
}

/// Whether a pipeline can be called that.
fn named(name: &str) -> Result<String, Problem> {
    let name = name.trim();
    let is_odd = |character: char| character.is_control() || "/\\?#%".contains(character);
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.contains(is_odd) || name.starts_with('.') {
        let rule = format!(
            "the name of a pipeline has 1 to {LONGEST_NAME} characters, none of them `/`, `\\`, `?`, `#` or `%`"
        );
        return Err(Problem::invalid(rule));
    }
    Ok(name.to_owned())
}

/// Keeps a pipeline; named as its text says, if nothing else is said.
pub(crate) async fn create(
    state: &ServerState,
    access: &Access,
    name: Option<&str>,
    kdl: String,
) -> Result<StoredPipeline, Problem> {
    let spec = checked(&kdl)?;
    let new = NewPipeline {
        tenant: access.tenant.id,
        name: named(name.unwrap_or(&spec.name))?,
        source: PipelineSource::Text { kdl },
        settings: Map::new(),
        created_at: Timestamp::now(),
    };
    let made = state.store().create_pipeline(new).await?;
    schedules::set(state, &made, &spec).await?;
    audit::of_tenant(state, access, "pipeline.create", &made.name, &[]).await;
    Ok(made)
}

/// The pipeline, and leave to act on it.
pub(crate) async fn find(
    state: &ServerState,
    actor: Actor,
    id: PipelineId,
    least: Role,
) -> Result<(Access, StoredPipeline), Problem> {
    // Who is nobody is told so first, whether it is there or not.
    let actor = actor.known()?;
    let pipeline = state.store().pipeline(id).await?;
    Ok((Access::to(state, actor, pipeline.tenant, least).await?, pipeline))
}

/// What is to change of a pipeline; the rest stays.
#[derive(Clone, Debug, Default)]
pub(crate) struct Update {
    pub(crate) name: Option<String>,
    /// Its text.
    pub(crate) kdl: Option<String>,
    /// Whether anybody may see its badge.
    pub(crate) public_badge: Option<bool>,
}

/// Changes a pipeline of this version.
pub(crate) async fn update(
    state: &ServerState,
    access: &Access,
    pipeline: &StoredPipeline,
    version: u64,
    update: Update,
) -> Result<StoredPipeline, Problem> {
    let spec = update.kdl.as_deref().map(checked).transpose()?;
    let settings = update.public_badge.map(|is_public| {
        let mut settings = pipeline.settings.clone();
        settings.insert(badges::PUBLIC.to_owned(), is_public.into());
        settings
    });
    let change = PipelineChange {
        name: update.name.as_deref().map(named).transpose()?,
        source: update.kdl.map(|kdl| PipelineSource::Text { kdl }),
        settings,
    };
    let changed = state.store().update_pipeline(pipeline.id, version, change, Timestamp::now()).await?;
    if let Some(spec) = &spec {
        schedules::set(state, &changed, spec).await?;
    }
    audit::of_tenant(state, access, "pipeline.update", &changed.name, &[]).await;
    Ok(changed)
}

pub(crate) async fn delete(state: &ServerState, access: &Access, pipeline: &StoredPipeline) -> Result<(), Problem> {
    state.store().delete_pipeline(pipeline.id).await?;
    state.store().set_schedules(pipeline.id, Vec::new()).await?;
    channels::forget_rules(state, pipeline.id).await?;
    audit::of_tenant(state, access, "pipeline.delete", &pipeline.name, &[]).await;
    Ok(())
}

/// What a pipeline is now: its text, under the name that it has here.
pub(crate) fn spec(pipeline: &StoredPipeline) -> Result<PipelineSpec, Problem> {
    match &pipeline.source {
        PipelineSource::Text { kdl } => {
            let mut spec = checked(kdl)?;
            spec.name.clone_from(&pipeline.name);
            Ok(spec)
        }
        _ => Err(Problem::conflict("this server cannot read where the pipeline comes from")),
    }
}

/// Who or what starts a run of a pipeline.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    tenant: TenantId,
    organization: Option<OrganizationId>,
    event: &'static str,
    name: String,
    /// Whom a run is said to be started by: the person behind an API key.
    person: String,
}

impl Origin {
    /// Somebody who asks for it.
    async fn of_access(state: &ServerState, access: &Access) -> Result<Self, Problem> {
        let (tenant, organization) = (access.tenant.id, Some(access.tenant.organization));
        let person = approvals::person(state, &access.actor).await?;
        Ok(Self { tenant, organization, event: "manual", name: access.actor.name(), person })
    }

    /// The server by itself, for this event.
    pub(crate) async fn of_server(
        state: &ServerState,
        pipeline: &StoredPipeline,
        event: &'static str,
        name: String,
    ) -> Result<Self, StoreError> {
        let tenant = pipeline.tenant;
        let organization = state.identity().tenant(tenant).await?.map(|tenant| tenant.organization);
        Ok(Self { tenant, organization, event, person: name.clone(), name })
    }

    /// Notes what it did with a pipeline.
    pub(crate) async fn note(
        &self,
        state: &ServerState,
        action: &str,
        pipeline: &StoredPipeline,
        details: &[(&str, Value)],
    ) {
        audit::by(state, self.organization, Some(self.tenant), &self.name, action, &pipeline.name, details).await;
    }
}

/// Puts a run of it into the queue for somebody who may. It is kept when this returns.
pub(crate) async fn trigger(
    state: &ServerState,
    access: &Access,
    pipeline: &StoredPipeline,
    start: Start,
) -> Result<RunRecord, Problem> {
    self::start(state, &Origin::of_access(state, access).await?, pipeline, start).await
}

/// Puts a run of it into the queue, whoever or whatever starts it. It is kept when this returns.
pub(crate) async fn start(
    state: &ServerState,
    origin: &Origin,
    pipeline: &StoredPipeline,
    start: Start,
) -> Result<RunRecord, Problem> {
    let spec = spec(pipeline)?;
    let mut context = RunContext { event: origin.event.to_owned(), ..RunContext::default() };
    context.git.reference =
        if start.branch.is_empty() { String::new() } else { format!("refs/heads/{}", start.branch) };
    (context.git.branch, context.git.sha) = (start.branch, start.commit);
    context.params = start.params;
    context.pipeline_id = pipeline.id.to_string();
    context.custom.insert("triggered_by".into(), origin.name.clone());
    context.started_by = origin.person.clone();
    let mut options = StartOptions { id: start.run, tenant: origin.tenant, ..StartOptions::new(context) };
    if !state.settings().local_for_all && origin.tenant != state.default_tenant() {
        if !state.has_docker() {
            let why = "jobs of this tenant would run as the server's own user: it needs Docker, or the setting `local_for_all`";
            return Err(Problem::conflict(why));
        }
        options = options.executor("docker");
    }
    let run = state.engine().enqueue(&spec, options, QueueOptions::default()).await?;
    let details = [("run", run.run.id.to_string().into()), ("number", run.number.into())];
    origin.note(state, "run.trigger", pipeline, &details).await;
    Ok(run)
}
