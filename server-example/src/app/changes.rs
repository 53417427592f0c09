//! From what happened in a repository to runs.
//!
//! ```text
//! Change ─► the commit is fetched ─► each of its pipelines: file ─► compiled ─► `on` ─► source ─► run
//!                                                     └─► skipped, with the reason    └─► invalid, with the findings
//! ```
//!
//! The ids of the runs follow from the key of the change, so whoever is broken off on the way begins again, and nothing
//! runs twice.

use buildit::condition::triggers;
use buildit::diagnostic::{Diagnostic, Severity};
use buildit::id::RunId;
use buildit::pipeline::{PipelineSpec, PullRequest, RunContext};
use buildit::store::{CommitState, Forge, PipelineSource, Repository, StoredPipeline};
use buildit_executors::remote::{Comparison, Credential, Mirror, Remote, Revision, Trust};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::commits::Commit;
use super::pipelines::{self, New, Origin};
use super::repositories::{self, told};
use super::{audit, requests, schedules};
use crate::forge::{ForgeEvent, PullRequest as ForgeRequest};
use crate::mirrors::PATIENCE;
use crate::problem::Problem;
use crate::state::ServerState;
use crate::statuses::Refused;

/// What a commit's message says when nothing is to run for it.
const SKIP: [&str; 2] = ["[skip ci]", "[ci skip]"];

/// How many findings of a file are kept with a decision.
const MOST_FINDINGS: usize = 10;

/// Something that happened in a repository, and may start runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) what: What,
    /// The commit that it is about, which some forges abbreviate.
    pub(crate) sha: String,
    /// Who did it, by the name that they have at the forge.
    pub(crate) actor: String,
    /// Who has looked at what a fork would do, and lets it have secrets; empty when nobody has.
    pub(crate) approved_by: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A branch has a new head.
    Push { branch: String, before: Option<String> },
    /// There is a new tag.
    Tag { tag: String },
    /// A pull request is there, or has changed.
    PullRequest(Box<ForgeRequest>),
}

impl Change {
    /// What a forge tells of; or why that starts nothing.
    pub(crate) fn of_event(event: ForgeEvent) -> Result<Self, String> {
        let (what, commit) = match event {
            ForgeEvent::Push { branch, before, commit } => (What::Push { branch, before }, commit),
            ForgeEvent::Tag { tag, commit } => (What::Tag { tag }, commit),
            ForgeEvent::PullRequest { request, commit } => (What::PullRequest(Box::new(request)), commit),
            ForgeEvent::Deleted { name } => return Err(format!("`{name}` is gone")),
            ForgeEvent::Ping => return Err("the forge tries whether somebody is there".to_owned()),
            ForgeEvent::Ignored { why } => return Err(why),
        };
        Ok(Self { what, sha: commit.sha, actor: commit.actor, approved_by: String::new() })
    }

    fn event(&self) -> &'static str {
        match self.what {
            What::Push { .. } => "push",
            What::Tag { .. } => "tag",
            What::PullRequest(_) => "pull_request",
        }
    }

    fn request(&self) -> Option<&ForgeRequest> {
        match &self.what {
            What::PullRequest(request) => Some(request),
            _ => None,
        }
    }

    pub(crate) fn is_fork(&self) -> bool {
        self.request().is_some_and(|request| request.is_fork)
    }
}

/// What came of a change for one pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Decision {
    /// The pipeline, or what would be one.
    pub(crate) pipeline: String,
    /// The file that it is in.
    pub(crate) path: String,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// A run was started.
    Started { run: RunId, number: u64 },
    /// None was, for this reason.
    Skipped { why: String },
    /// None was, because this is wrong with the file or with what it asks for.
    Invalid { why: Vec<String> },
}

/// A finding on one line, with its place.
fn line(found: &Diagnostic) -> String {
    match &found.origin {
        Some(place) => format!("{}:{}:{}: {}", place.file, place.line, place.column, found.message),
        None => found.message.clone(),
    }
}

fn invalid(findings: &[Diagnostic]) -> Outcome {
    let errors = findings.iter().filter(|found| found.severity == Severity::Error);
    Outcome::Invalid { why: errors.take(MOST_FINDINGS).map(line).collect() }
}

/// Starts the runs of a change. The same key starts them once, however often this is called.
///
/// # Errors
///
/// A [`Problem`] when it cannot be told what is to run, or the store fails: it can be called again then.
pub(crate) async fn start_change(
    state: &ServerState,
    repository: &Repository,
    change: &Change,
    key: (&str, Timestamp),
) -> Result<Vec<Decision>, Problem> {
    let commit = fetch(state, repository, change).await?;
    let known = repositories::pipelines_of(state, repository).await?;
    let mut found = commit.files().await?;
    let gone: Vec<String> = known.iter().filter_map(pipelines::path_of).map(str::to_owned).collect();
    found.extend(gone);
    found.sort_unstable();
    found.dedup();
    let context = context(&commit, change).await?;
    let mut decisions = Vec::new();
    for path in found {
        let of: Vec<Option<&StoredPipeline>> =
            known.iter().filter(|pipeline| pipelines::path_of(pipeline) == Some(&path)).map(Some).collect();
        let of = if of.is_empty() { vec![None] } else { of };
        for pipeline in of {
            let one = Deciding { state, repository, change, commit: &commit, context: &context, key };
            decisions.push(one.decide(&path, pipeline).await?);
        }
    }
    Ok(decisions)
}

/// Brings the commit of a change here.
async fn fetch(state: &ServerState, repository: &Repository, change: &Change) -> Result<Commit, Problem> {
    let (mirror, remote) = repositories::fetch(state, repository).await?;
    let id = match resolve(&mirror, &change.sha).await {
        Ok(id) => id,
        Err(none) => {
            let fetched = match change.request() {
                Some(request) => fetch_request(state, repository, &mirror, &remote, request).await,
                None => mirror.fetch_one(&remote, &change.sha).await.map_err(told),
            };
            fetched.map_err(|_| none)?;
            resolve(&mirror, &change.sha).await?
        }
    };
    let mut git = mirror.describe(&id).await.map_err(told)?.into_context();
    match &change.what {
        What::Push { branch, .. } => {
            git.reference = format!("refs/heads/{branch}");
            git.branch.clone_from(branch);
        }
        What::Tag { tag } => {
            git.reference = format!("refs/tags/{tag}");
            git.tag.clone_from(tag);
        }
        What::PullRequest(request) => {
            git.reference = format!("refs/pull/{}/head", request.number);
            git.branch.clone_from(&request.head);
        }
    }
    Ok(Commit::of_change(repository, mirror, remote, git))
}

async fn resolve(mirror: &Mirror, sha: &str) -> Result<String, Problem> {
    mirror.resolve(&Revision::Commit(sha.to_owned())).await.map_err(told)
}

/// Brings the head of a pull request here: under the name that the forge gives it, or out of the fork as anybody can.
async fn fetch_request(
    state: &ServerState,
    repository: &Repository,
    mirror: &Mirror,
    remote: &Remote,
    request: &ForgeRequest,
) -> Result<(), Problem> {
    let reference = match repository.settings.forge {
        Some(Forge::GitLab) => format!("refs/merge-requests/{}/head", request.number),
        _ => format!("refs/pull/{}/head", request.number),
    };
    match mirror.fetch_one(remote, &reference).await {
        Err(error) if request.head_url.is_empty() => Err(told(error)),
        Err(_) => {
            let address = state.mirrors().address(&request.head_url).map_err(told)?;
            let fork = Remote::new(address, Credential::None, state.mirrors().here(), PATIENCE);
            mirror.fetch_one(&fork, &format!("refs/heads/{}", request.head)).await.map_err(told)
        }
        Ok(()) => Ok(()),
    }
}

/// What all runs of a change are started with.
async fn context(commit: &Commit, change: &Change) -> Result<RunContext, Problem> {
    let (base, pull_request) = match &change.what {
        What::Push { before, .. } => (before.clone().map(Comparison::With), None),
        What::Tag { .. } => (None, None),
        What::PullRequest(of) => {
            let target = match of.base_sha.is_empty() {
                true => commit.head_of(&of.base).await,
                false => Some(of.base_sha.clone()),
            };
            let merge_base = match &target {
                Some(target) => commit.left(target).await?.unwrap_or_default(),
                None => String::new(),
            };
            let (number, title, base, head) = (of.number, of.title.clone(), of.base.clone(), of.head.clone());
            let approved_by = change.approved_by.clone();
            let request = PullRequest { number, title, base, head, merge_base, fork: of.is_fork, approved_by };
            (target.map(Comparison::SinceLeaving), Some(request))
        }
    };
    let changes = match base {
        Some(base) => commit.changes(&base).await?,
        None => None,
    };
    Ok(RunContext { event: change.event().to_owned(), pull_request, changes, ..commit.context() })
}

/// What is decided for each pipeline of a change.
struct Deciding<'a> {
    state: &'a ServerState,
    repository: &'a Repository,
    change: &'a Change,
    commit: &'a Commit,
    context: &'a RunContext,
    key: (&'a str, Timestamp),
}

impl Deciding<'_> {
    async fn decide(&self, path: &str, pipeline: Option<&StoredPipeline>) -> Result<Decision, Problem> {
        let name = pipeline.map_or_else(|| path.to_owned(), |pipeline| pipeline.name.clone());
        let decision = |outcome| Decision { pipeline: name.clone(), path: path.to_owned(), outcome };
        let skipped = |why: &str| Ok(decision(Outcome::Skipped { why: why.to_owned() }));
        let message = self.commit.git.message.to_ascii_lowercase();
        if let Some(word) = SKIP.iter().find(|word| message.contains(**word)) {
            let why = format!("the commit's message says {word}");
            self.tell_skipped(pipeline, &why).await?;
            return skipped(&why);
        }
        if self.commit.text(path).await?.is_none() {
            return skipped("the commit has no such file");
        }
        let spec = match self.commit.compile(path).await? {
            Ok((spec, _)) => spec,
            Err(findings) => {
                let outcome = invalid(&findings);
                self.tell_invalid(pipeline, &outcome).await?;
                return Ok(decision(outcome));
            }
        };
        let made;
        let pipeline = match pipeline {
            Some(pipeline) => pipeline,
            None if self.change.is_fork() => return skipped("a pull request from a fork makes no new pipeline"),
            None => match self.make(path, &spec).await? {
                Ok(pipeline) => {
                    made = pipeline;
                    &made
                }
                Err(why) => return Ok(decision(Outcome::Invalid { why: vec![why] })),
            },
        };
        self.set_schedules(pipeline, &spec).await?;
        let outcome = match self.speaks_against(&spec) {
            Some(why) => {
                if self.decides(&spec) {
                    self.tell_skipped(Some(pipeline), &why).await?;
                }
                Outcome::Skipped { why }
            }
            None => self.start(pipeline, path, spec).await?,
        };
        self.tell_invalid(Some(pipeline), &outcome).await?;
        Ok(Decision { pipeline: pipeline.name.clone(), path: path.to_owned(), outcome })
    }

    /// Why no `on` of a pipeline is for this.
    fn speaks_against(&self, spec: &PipelineSpec) -> Option<String> {
        let mut reasons = Vec::new();
        for trigger in &spec.triggers {
            match triggers(trigger, self.context) {
                Ok(()) => return None,
                // What is for other events says nothing about this one.
                Err(_) if trigger.event != self.context.event => {}
                Err(why) => reasons.push(why.to_string()),
            }
        }
        Some(if reasons.is_empty() { format!("it has no `on \"{}\"`", self.context.event) } else { reasons.join("; ") })
    }

    /// Whether what the filters of a pipeline refuse here is refused for good: a pipeline that is for pull requests too says
    /// nothing of a push, or its commit would pass until the pull request is told of.
    fn decides(&self, spec: &PipelineSpec) -> bool {
        let has = |event: &str| spec.triggers.iter().any(|trigger| trigger.event == event);
        has(&self.context.event) && (self.context.event == "pull_request" || !has("pull_request"))
    }

    /// Tells the forge why a pipeline starts nothing.
    async fn tell(&self, pipeline: Option<&StoredPipeline>, state: CommitState, why: &str) -> Result<(), Problem> {
        let Some(pipeline) = pipeline else { return Ok(()) };
        let refused = Refused { pipeline, context: self.context, state, why, at: self.key.1 };
        Ok(self.state.reporter().refused(self.repository, refused).await?)
    }

    /// Tells the forge that a pipeline has nothing to say of a commit, which is good.
    async fn tell_skipped(&self, pipeline: Option<&StoredPipeline>, why: &str) -> Result<(), Problem> {
        self.tell(pipeline, CommitState::Succeeded, &format!("Skipped: {why}")).await
    }

    /// Tells the forge what is wrong with a pipeline, if that is why it starts nothing.
    async fn tell_invalid(&self, pipeline: Option<&StoredPipeline>, outcome: &Outcome) -> Result<(), Problem> {
        match outcome {
            Outcome::Invalid { why } => {
                let first = why.first().map_or("it cannot run", String::as_str);
                self.tell(pipeline, CommitState::Errored, &format!("Cannot run: {first}")).await
            }
            _ => Ok(()),
        }
    }

    /// Schedules are those of the default branch.
    async fn set_schedules(&self, pipeline: &StoredPipeline, spec: &PipelineSpec) -> Result<(), Problem> {
        let What::Push { branch, .. } = &self.change.what else { return Ok(()) };
        if self.commit.default_branch().await?.as_deref() == Some(branch) {
            schedules::set(self.state, pipeline, spec).await?;
        }
        Ok(())
    }

    /// Keeps the pipeline of a file that is new here; why not, when it cannot be.
    async fn make(&self, path: &str, spec: &PipelineSpec) -> Result<Result<StoredPipeline, String>, Problem> {
        let source = PipelineSource::Repository { repository: self.repository.id, path: path.to_owned() };
        let said = if spec.name.is_empty() { &self.repository.name } else { &spec.name };
        let other = format!("{} {said}", self.repository.name);
        let mut why = String::new();
        for name in [said, &other] {
            match pipelines::keep(self.state, self.repository.tenant, name, source.clone()).await {
                Ok(made) => {
                    let (tenant, details) = (Some(made.tenant), [("repository", self.repository.name.clone().into())]);
                    audit::by(self.state, None, tenant, &self.actor(), "pipeline.create", &made.name, &details).await;
                    return Ok(Ok(made));
                }
                Err(problem) if problem.status().is_client_error() => {
                    why = problem.said();
                }
                Err(problem) => return Err(problem),
            }
        }
        Ok(Err(why))
    }

    fn actor(&self) -> String {
        let forge = self.repository.settings.forge.map_or("the forge", Forge::as_str);
        match self.change.actor.as_str() {
            "" => format!("{} of {forge}", self.context.event.replace('_', " ")),
            actor => format!("{actor} at {forge}"),
        }
    }

    async fn start(&self, pipeline: &StoredPipeline, path: &str, spec: PipelineSpec) -> Result<Outcome, Problem> {
        let (key, at) = self.key;
        let run = requests::settled(&format!("{}\n{key}\n{}\n{path}", self.repository.id, pipeline.id), at);
        let started = |record: &buildit::store::RunRecord| Outcome::Started { run, number: record.number };
        if let Some(before) = requests::kept(self.state, run).await? {
            // Whoever made it may have been killed before the forge was to be told.
            self.state.reporter().queued(&before).await?;
            return Ok(started(&before));
        }
        let trust = if self.change.is_fork() { Trust::Anybody } else { Trust::Writer };
        let made = async {
            let snapshot = self.commit.snapshot(self.state, &spec, trust).await?;
            let context = RunContext { checksums: snapshot.checksums, ..self.context.clone() };
            let origin = Origin::of_server(self.state, pipeline, self.change.event(), self.actor()).await?;
            let new = New { run: Some(run), spec, context, source: Some(snapshot.source) };
            pipelines::enqueue(self.state, &origin, pipeline, new).await
        };
        match made.await {
            Ok(record) => Ok(started(&record)),
            // Another server was faster.
            Err(problem) => match requests::kept(self.state, run).await? {
                Some(before) => Ok(started(&before)),
                None if problem.status().is_client_error() => {
                    let mut why: Vec<String> = problem.detail().map(str::to_owned).into_iter().collect();
                    why.extend(problem.diagnostics().iter().take(MOST_FINDINGS).map(|found| found.message.clone()));
                    if why.is_empty() {
                        why.push(problem.title().to_owned());
                    }
                    Ok(Outcome::Invalid { why })
                }
                None => Err(problem),
            },
        }
    }
}
