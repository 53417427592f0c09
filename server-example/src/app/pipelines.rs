//! Pipelines: kept, changed and started.

use std::sync::Arc;

use buildit::account::Role;
use buildit::config::{self, Limits, SourceLoader};
use buildit::diagnostic::Diagnostic;
use buildit::engine::{QueueOptions, StartOptions};
use buildit::id::{Digest, OrganizationId, PipelineId, RunId, TenantId};
use buildit::pipeline::{ExpandLimits, PipelineSpec, RunContext};
use buildit::plan::Plan;
use buildit::store::{NewPipeline, PipelineChange, PipelineSource, Repository, RunRecord, StoreError, StoredPipeline};
use buildit_executors::remote::Trust;
use indexmap::IndexMap;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{audit, badges, channels, commits, repositories, schedules};
use crate::access::{Access, Actor};
use crate::problem::Problem;
use crate::state::ServerState;
use crate::traces::VARIABLE;

/// The file that a text which is kept here is said to be, and that a repository has its pipeline in.
pub(crate) const FILE: &str = ".buildit.kdl";

/// How large a text may be, and how many stages it may have: whoever may look at anything may have one judged.
const TEXT: usize = 256 * 1024;
const STAGES: usize = 10_000;

/// The same as those who read texts want them.
pub(crate) const LIMITS: Limits = Limits { bytes: TEXT, depth: 64, files: 64 };
pub(crate) const EXPAND: ExpandLimits = ExpandLimits { cells: 1024, stages: STAGES };

/// How long the name of a pipeline, and of its like, may be.
const LONGEST_NAME: usize = 100;

/// How long the path of its file may be, in bytes.
const LONGEST_PATH: usize = 500;

/// What a run is started with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Start {
    /// The id of the run, when that is settled already.
    pub(crate) run: Option<RunId>,
    pub(crate) branch: String,
    /// Of a pipeline of a repository.
    pub(crate) tag: String,
    pub(crate) commit: String,
    pub(crate) params: IndexMap<String, String>,
    /// The span that it is part of, as W3C's `traceparent` says it: it was read as one.
    pub(crate) traceparent: Option<String>,
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
    compile_file(FILE, kdl, None)
}

/// The same of a file, which may include others.
pub(crate) fn compile_file(
    path: &str,
    kdl: &str,
    includes: Option<Arc<dyn SourceLoader>>,
) -> Result<(PipelineSpec, Vec<Diagnostic>), Vec<Diagnostic>> {
    let options = config::Options { includes, limits: LIMITS, expand: EXPAND };
    let read = config::parse(path, kdl, &options).map_err(|found| found.diagnostics.0)?;
    let spec = PipelineSpec::clone(read.spec());
    Plan::compile(&spec, EXPAND).map_err(|found| found.0)?;
    Ok((spec, read.warnings().0.clone()))
}

fn checked(kdl: &str) -> Result<PipelineSpec, Problem> {
    compile(kdl).map(|(spec, _)| spec).map_err(|found| Problem::refused(&found))
}

/// Whether something that has an address of its own, such as `a pipeline`, can be called that.
pub(crate) fn named(what: &str, name: &str) -> Result<String, Problem> {
    let name = name.trim();
    let is_odd = |character: char| character.is_control() || "/\\?#%".contains(character);
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.contains(is_odd) || name.starts_with('.') {
        let rule =
            format!("the name of {what} has 1 to {LONGEST_NAME} characters, none of them `/`, `\\`, `?`, `#` or `%`");
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
    let source = PipelineSource::Text { kdl };
    let made = keep(state, access.tenant.id, name.unwrap_or(&spec.name), source).await?;
    schedules::set(state, &made, &spec).await?;
    audit::of_tenant(state, access, "pipeline.create", &made.name, &[]).await;
    Ok(made)
}

/// Keeps a pipeline whose definition is a file of a repository; named as that says, or the repository, if nothing else is
/// said.
pub(crate) async fn create_from(
    state: &ServerState,
    access: &Access,
    name: Option<&str>,
    repository: &Repository,
    path: Option<&str>,
) -> Result<StoredPipeline, Problem> {
    let path = checked_path(path.unwrap_or(FILE))?;
    if repositories::pipelines_of(state, repository).await?.len() >= repositories::MOST_PIPELINES {
        let limit = format!("a repository has at most {} pipelines", repositories::MOST_PIPELINES);
        return Err(Problem::conflict(limit));
    }
    // What was fetched already says its name and its schedules; what was not may say them later.
    let known = match state.mirrors().of(repository.id).branches(1).await {
        Ok(branches) if !branches.is_empty() => {
            let commit = commits::known(state, repository, &Start::default()).await?;
            commit.compile(&path).await?.ok().map(|(spec, _)| spec)
        }
        _ => None,
    };
    let said = known.as_ref().map(|spec| spec.name.as_str()).filter(|name| !name.is_empty());
    let source = PipelineSource::Repository { repository: repository.id, path };
    let made = keep(state, repository.tenant, name.or(said).unwrap_or(&repository.name), source).await?;
    if let Some(spec) = &known {
        schedules::set(state, &made, spec).await?;
    }
    let details = [("repository", repository.name.clone().into())];
    audit::of_tenant(state, access, "pipeline.create", &made.name, &details).await;
    Ok(made)
}

/// Keeps a new pipeline of a tenant.
pub(crate) async fn keep(
    state: &ServerState,
    tenant: TenantId,
    name: &str,
    source: PipelineSource,
) -> Result<StoredPipeline, Problem> {
    let (name, settings, created_at) = (named("a pipeline", name)?, Map::new(), Timestamp::now());
    Ok(state.store().create_pipeline(NewPipeline { tenant, name, source, settings, created_at }).await?)
}

/// The path of a file within a repository.
fn checked_path(path: &str) -> Result<String, Problem> {
    let path = path.trim();
    let is_odd = |part: &str| matches!(part, "" | "." | "..");
    if path.len() > LONGEST_PATH || path.contains(char::is_control) || path.split('/').any(is_odd) {
        return Err(Problem::invalid("`path` is that of a file in the repository, as in `.buildit/release.kdl`"));
    }
    Ok(path.to_owned())
}

/// The file of its repository that a pipeline is in.
pub(crate) fn path_of(pipeline: &StoredPipeline) -> Option<&str> {
    match &pipeline.source {
        PipelineSource::Repository { path, .. } => Some(path),
        _ => None,
    }
}

/// The repository of a pipeline, if it is of one that is still there.
pub(crate) async fn repository_of(
    state: &ServerState,
    pipeline: &StoredPipeline,
) -> Result<Option<Repository>, Problem> {
    match pipeline.source.repository() {
        Some(id) => Ok(state.store().repository(id).await?),
        None => Ok(None),
    }
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
    if update.kdl.is_some() && pipeline.source.repository().is_some() {
        return Err(Problem::conflict("the definition is in a repository: change it there"));
    }
    let spec = update.kdl.as_deref().map(checked).transpose()?;
    let settings = update.public_badge.map(|is_public| {
        let mut settings = pipeline.settings.clone();
        settings.insert(badges::PUBLIC.to_owned(), is_public.into());
        settings
    });
    let change = PipelineChange {
        name: update.name.as_deref().map(|name| named("a pipeline", name)).transpose()?,
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

/// What a pipeline is now, under the name that it has here: its text, or the file of the default branch as it is known here.
pub(crate) async fn spec(state: &ServerState, pipeline: &StoredPipeline) -> Result<PipelineSpec, Problem> {
    let spec = match &pipeline.source {
        PipelineSource::Text { kdl } => checked(kdl)?,
        PipelineSource::Repository { path, .. } => {
            let commit = commits::known(state, &of_repository(state, pipeline).await?, &Start::default()).await?;
            commit.compile(path).await?.map_err(|found| Problem::refused(&found))?.0
        }
        _ => return Err(Problem::conflict("this server cannot read where the pipeline comes from")),
    };
    Ok(PipelineSpec { name: pipeline.name.clone(), ..spec })
}

/// The text of a file as the default branch of its repository has it here.
pub(crate) async fn text_of(state: &ServerState, repository: &Repository, path: &str) -> Result<String, Problem> {
    let commit = commits::known(state, repository, &Start::default()).await?;
    let text = commit.text(path).await?;
    text.ok_or_else(|| Problem::conflict(format!("the branch `{}` has no file `{path}`", commit.git.branch)))
}

async fn of_repository(state: &ServerState, pipeline: &StoredPipeline) -> Result<Repository, Problem> {
    let found = repository_of(state, pipeline).await?;
    found.ok_or_else(|| Problem::conflict("the repository of the pipeline is gone"))
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
    fn of_access(access: &Access) -> Self {
        let (tenant, organization) = (access.tenant.id, Some(access.tenant.organization));
        Self { tenant, organization, event: "manual", name: access.actor.name(), person: access.person() }
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
    self::start(state, &Origin::of_access(access), pipeline, start).await
}

/// Puts a run of it into the queue, whoever or whatever starts it. It is kept when this returns, and what it is made of is
/// settled: what is pushed later changes nothing.
pub(crate) async fn start(
    state: &ServerState,
    origin: &Origin,
    pipeline: &StoredPipeline,
    start: Start,
) -> Result<RunRecord, Problem> {
    let (spec, mut context, source) = match &pipeline.source {
        PipelineSource::Repository { path, .. } => {
            let commit = commits::fetch(state, &of_repository(state, pipeline).await?, &start).await?;
            let (spec, _) = commit.compile(path).await?.map_err(|found| Problem::refused(&found))?;
            let made = commit.snapshot(state, &spec, Trust::Writer).await?;
            (spec, RunContext { checksums: made.checksums, ..commit.context() }, Some(made.source))
        }
        _ if !start.tag.is_empty() => {
            return Err(Problem::invalid("a tag is of a repository, and the pipeline is of none"));
        }
        _ => {
            let mut context = RunContext::default();
            if !start.branch.is_empty() {
                context.git.reference = format!("refs/heads/{}", start.branch);
            }
            (context.git.branch, context.git.sha) = (start.branch, start.commit);
            (spec(state, pipeline).await?, context, None)
        }
    };
    context.params = start.params;
    context.env.extend(start.traceparent.map(|parent| (VARIABLE.to_owned(), parent)));
    enqueue(state, origin, pipeline, New { run: start.run, spec, context, source }).await
}

/// A run that is to be.
#[derive(Debug)]
pub(crate) struct New {
    /// Its id, when that is settled already.
    pub(crate) run: Option<RunId>,
    pub(crate) spec: PipelineSpec,
    /// The commit, what changed, the parameters; the rest follows from who starts it.
    pub(crate) context: RunContext,
    pub(crate) source: Option<Digest>,
}

/// Puts a run into the queue that is whole. It is kept when this returns.
pub(crate) async fn enqueue(
    state: &ServerState,
    origin: &Origin,
    pipeline: &StoredPipeline,
    new: New,
) -> Result<RunRecord, Problem> {
    let New { run, spec, mut context, source } = new;
    let spec = PipelineSpec { name: pipeline.name.clone(), ..spec };
    context.event = origin.event.to_owned();
    context.pipeline_id = pipeline.id.to_string();
    context.custom.insert("triggered_by".into(), origin.name.clone());
    context.started_by = origin.person.clone();
    let mut options = StartOptions { id: run, tenant: origin.tenant, source, ..StartOptions::new(context) };
    // Whoever makes a fork may write what its jobs do.
    let is_fork = options.context.pull_request.as_ref().is_some_and(|request| request.fork);
    if !state.settings().local_for_all && (is_fork || origin.tenant != state.default_tenant()) {
        if !state.has_docker() {
            let whose = if is_fork { "a pull request from a fork" } else { "this tenant" };
            let why = format!(
                "jobs of {whose} would run as the server's own user: it needs Docker, or the setting `local_for_all`"
            );
            return Err(Problem::conflict(why));
        }
        options = options.executor("docker");
    }
    let run = state.engine().enqueue(&spec, options, QueueOptions::default()).await?;
    let details = [("run", run.run.id.to_string().into()), ("number", run.number.into())];
    origin.note(state, "run.trigger", pipeline, &details).await;
    Ok(run)
}
