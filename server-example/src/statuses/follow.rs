//! What happens in runs becomes what forges are to say.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use buildit::event::{Event, EventBody, StageReason};
use buildit::id::{RepositoryId, RunId, StatusId};
use buildit::pipeline::RunContext;
use buildit::store::{
    CommitState, CommitStatus, PipelineSource, Repository, RunRecord, StatusMode, StoreError, StoredPipeline,
    each_event,
};
use jiff::Timestamp;
use tokio::sync::OnceCell;

use super::story::{Said, Story, of_stage, queued};
use crate::forge::known;
use crate::notify::{page_of, pipeline_of};
use crate::state::ServerStore;

/// How many stages a run may have whose stages are told of: a forge shows a line for each.
const MOST_STAGES: usize = 100;

/// How long a context may be: no forge shows more.
const CONTEXT: usize = 255;

/// How often it is tried to note what a run does, and how long it takes until the first time again.
const TRIES: u32 = 5;
const AGAIN: Duration = Duration::from_secs(1);

/// Keeps what forges are to say.
#[derive(Clone, Debug)]
pub(crate) struct Reporter {
    store: Arc<dyn ServerStore>,
    /// How people reach the server.
    url: String,
    /// The runs that this server drives, and who wants to hear of them.
    followed: Arc<Mutex<HashMap<RunId, Follows>>>,
}

/// Who wants to hear of a run; nobody of most.
type Follows = Arc<OnceCell<Option<Arc<Followed>>>>;

/// A run whose repository's forge wants to hear of it.
#[derive(Debug)]
struct Followed {
    repository: RepositoryId,
    commit: String,
    reference: String,
    context: String,
    run: RunId,
    number: u64,
    url: String,
    has_stages: bool,
}

impl Followed {
    /// What the run says with this event of what the context names, which is the pipeline's without.
    fn status(&self, stage: Option<&str>, seq: u64, (state, description): Said) -> CommitStatus {
        CommitStatus {
            id: StatusId::new(),
            repository: self.repository,
            commit: self.commit.clone(),
            reference: self.reference.clone(),
            context: match stage {
                // A cell of a matrix may have a name of any length, and forges have lines.
                Some(stage) => known(&format!("{}/{stage}", self.context), CONTEXT),
                None => self.context.clone(),
            },
            run: Some(self.run),
            number: self.number,
            seq,
            state,
            description,
            url: match stage {
                Some(stage) => format!("{}?stage={}", self.url, crate::web::part(stage)),
                None => self.url.clone(),
            },
            created_at: Timestamp::now(),
        }
    }
}

/// A change for which a pipeline started no run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused<'a> {
    pub(crate) pipeline: &'a StoredPipeline,
    /// What a run would have been started with.
    pub(crate) context: &'a RunContext,
    pub(crate) state: CommitState,
    pub(crate) why: &'a str,
    /// When that was asked for.
    pub(crate) at: Timestamp,
}

/// The context of a pipeline.
fn context(pipeline: &StoredPipeline) -> String {
    format!("buildit/{}", pipeline.name)
}

/// A name by which a forge finds the commit of a run.
fn reference(context: &RunContext) -> String {
    let git = &context.git;
    match &context.pull_request {
        // Its branch is in another repository.
        Some(request) if request.fork => format!("refs/pull/{}/head", request.number),
        _ if git.branch.is_empty() => git.tag.clone(),
        _ => git.branch.clone(),
    }
}

/// Whether the forge of a repository wants to hear how it stands with commits.
fn wants(repository: &Repository) -> bool {
    let settings = &repository.settings;
    settings.forge.is_some() && settings.has_token() && settings.statuses != StatusMode::Off
}

impl Reporter {
    pub(crate) fn new(store: Arc<dyn ServerStore>, url: String) -> Self {
        Self { store, url, followed: Arc::default() }
    }

    /// Keeps that a run is in the queue.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it was not kept.
    pub(crate) async fn queued(&self, record: &RunRecord) -> Result<(), StoreError> {
        let Some(followed) = self.follow(record).await? else { return Ok(()) };
        self.store.report_status(followed.status(None, 0, queued())).await.map(drop)
    }

    /// The same beside whoever made the run.
    pub(crate) fn note_queued(&self, record: &RunRecord) {
        if record.run.context.git.sha.is_empty() {
            return;
        }
        let (reporter, record) = (self.clone(), record.clone());
        tokio::spawn(async move { again(record.run.id, || reporter.queued(&record)).await });
    }

    /// Keeps what these events of a run mean, beside whoever drives it. What is not kept, because the server is killed
    /// before, is when the run [ends](Self::ended).
    pub(crate) fn note(&self, run: RunId, events: &Arc<[Event]>) {
        let follows = self.follows(run);
        let is_nobodys = follows.get().is_some_and(Option::is_none);
        if is_nobodys || !events.iter().any(|event| turns(&event.body) || of_stage(&event.body).is_some()) {
            return;
        }
        let (reporter, events) = (self.clone(), Arc::clone(events));
        tokio::spawn(async move { again(run, || reporter.hear(run, &follows, &events)).await });
    }

    async fn hear(&self, run: RunId, follows: &Follows, events: &[Event]) -> Result<(), StoreError> {
        let found = follows.get_or_try_init(async || self.follow(&self.store.run(run).await?).await).await?;
        let Some(followed) = found else { return Ok(()) };
        if events.iter().any(|event| turns(&event.body)) {
            let (story, _) = self.story(run, followed).await?;
            self.store.report_status(followed.status(None, story.seq, story.said())).await?;
        }
        self.of_stages(followed, events).await
    }

    /// Keeps how a run has ended. It may be kept again.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it was not kept.
    pub(crate) async fn ended(&self, run: RunId) -> Result<(), StoreError> {
        let follows = self.follows(run);
        let found = follows.get_or_try_init(async || self.follow(&self.store.run(run).await?).await).await?;
        if let Some(followed) = found {
            let (story, stages) = self.story(run, followed).await?;
            self.store.report_status(followed.status(None, story.seq, story.said())).await?;
            self.of_stages(followed, &stages).await?;
        }
        self.leave(run);
        Ok(())
    }

    /// Spares looking for whoever wants to hear of a run that is of no commit.
    pub(crate) fn know(&self, record: &RunRecord) {
        if record.run.context.git.sha.is_empty() {
            // Whoever was faster knows the same.
            let _ = self.follows(record.run.id).set(None);
        }
    }

    /// Another server has the run now, or nobody needs to.
    pub(crate) fn leave(&self, run: RunId) {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner).remove(&run);
    }

    /// Keeps why a pipeline started no run for a commit. What a run says of the same commit counts for more.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it was not kept.
    pub(crate) async fn refused(&self, repository: &Repository, refused: Refused<'_>) -> Result<(), StoreError> {
        if !wants(repository) {
            return Ok(());
        }
        let Refused { pipeline, context: of, state, why, at } = refused;
        let status = CommitStatus {
            id: StatusId::new(),
            repository: repository.id,
            commit: of.git.sha.clone(),
            reference: reference(of),
            context: context(pipeline),
            run: None,
            number: 0,
            seq: at.as_millisecond().unsigned_abs(),
            state,
            description: why.to_owned(),
            url: page_of(&*self.store, &self.url, pipeline.tenant, &pipeline.name, None).await?,
            created_at: Timestamp::now(),
        };
        self.store.report_status(status).await.map(drop)
    }

    fn follows(&self, run: RunId) -> Follows {
        Arc::clone(self.followed.lock().unwrap_or_else(PoisonError::into_inner).entry(run).or_default())
    }

    /// Who wants to hear of a run.
    async fn follow(&self, record: &RunRecord) -> Result<Option<Arc<Followed>>, StoreError> {
        let run = &record.run;
        if run.context.git.sha.is_empty() {
            return Ok(None);
        }
        let Some(pipeline) = pipeline_of(&*self.store, record).await? else { return Ok(None) };
        let PipelineSource::Repository { repository, .. } = &pipeline.source else { return Ok(None) };
        let found = self.store.repository(*repository).await?;
        let Some(repository) = found.filter(|found| found.tenant == run.tenant && wants(found)) else {
            return Ok(None);
        };
        let is_small = run.plan.stages.len() <= MOST_STAGES;
        Ok(Some(Arc::new(Followed {
            repository: repository.id,
            commit: run.context.git.sha.clone(),
            reference: reference(&run.context),
            context: context(&pipeline),
            run: run.id,
            number: record.number,
            url: page_of(&*self.store, &self.url, run.tenant, &pipeline.name, Some(record.number)).await?,
            has_stages: repository.settings.statuses == StatusMode::Stages && is_small,
        })))
    }

    /// A run from its beginning, and the last event of each stage, if they are told of.
    async fn story(&self, run: RunId, followed: &Followed) -> Result<(Story, Vec<Event>), StoreError> {
        let (mut story, mut of_stages) = (Story::default(), HashMap::new());
        each_event::<StoreError>(&*self.store, run, 0, |event| {
            story.hear(&event);
            if let Some((stage, _)) = of_stage(&event.body).filter(|_| followed.has_stages) {
                of_stages.insert(stage.clone(), event);
            }
            Ok(())
        })
        .await?;
        Ok((story, of_stages.into_values().collect()))
    }

    /// Keeps what these events say of stages.
    async fn of_stages(&self, followed: &Followed, events: &[Event]) -> Result<(), StoreError> {
        if !followed.has_stages {
            return Ok(());
        }
        for event in events {
            if let Some((stage, said)) = of_stage(&event.body) {
                self.store.report_status(followed.status(Some(stage.as_str()), event.seq, said)).await?;
            }
        }
        Ok(())
    }
}

/// Whether there is something else to say of a run after this event of it. Its end is not kept here.
fn turns(event: &EventBody) -> bool {
    match event {
        EventBody::RunStarted | EventBody::ApprovalRequested { .. } | EventBody::ApprovalGiven { missing: 0, .. } => {
            true
        }
        EventBody::StageFinished { result, .. } => {
            let reason = result.reason.as_deref();
            matches!(reason, Some(StageReason::Rejected { .. } | StageReason::ApprovalTimedOut))
        }
        _ => false,
    }
}

/// Does it, again and again for a while if it fails.
async fn again<Doing: Future<Output = Result<(), StoreError>>>(run: RunId, doing: impl Fn() -> Doing) {
    for tried in 1..=TRIES {
        match doing().await {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(%run, error = &error as &dyn std::error::Error, "a forge is not told of a run");
                tokio::time::sleep(AGAIN * tried).await;
            }
        }
    }
}
