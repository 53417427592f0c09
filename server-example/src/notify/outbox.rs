//! What happens in runs becomes notifications.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use buildit::condition::Globs;
use buildit::event::{Event, EventBody, RunStatus};
use buildit::id::{ChannelId, NotificationId, RunId, StageName, TenantId};
use buildit::store::{
    Channel, NoticeRule, Notification, Occasion, RunFilter, RunRecord, StoreError, StoredPipeline, each_event,
};
use jiff::Timestamp;

use super::Notice;
use super::about::{page_of, pipeline_of};
use crate::settings::Settings;
use crate::state::ServerStore;

/// How many channels a tenant may have.
pub(crate) const MOST: usize = 100;

/// How many earlier runs are looked at for one that succeeded or failed.
const EARLIER: usize = 50;

/// How many runs that wait are looked at together.
const PAGE: usize = 100;

/// How often it is tried to note that a stage waits, and how long it takes until the first time again.
const TRIES: u32 = 5;
const AGAIN: Duration = Duration::from_secs(1);

/// The subject of what is told of a run's end.
const END: &str = "end";

/// Stages that wait for a person, and what they ask.
pub(crate) type Waiting = BTreeMap<StageName, String>;

/// Puts into the store what people want to hear of.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    store: Arc<dyn ServerStore>,
    /// How people reach the server.
    url: String,
    /// Whether a collector of traces is to be told of runs, too.
    has_collector: bool,
}

/// A run, with who wants to hear of it.
struct Heard {
    record: RunRecord,
    pipeline: Option<StoredPipeline>,
    channels: Vec<(Channel, NoticeRule)>,
}

impl Outbox {
    pub(crate) fn new(store: Arc<dyn ServerStore>, settings: &Settings) -> Self {
        Self { store, url: settings.url(), has_collector: settings.traces_url.is_some() }
    }

    /// Notes that a run has ended, for whoever wants to hear of it. It may be noted again.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it was not noted.
    pub(crate) async fn ended(&self, run: RunId) -> Result<(), StoreError> {
        if self.has_collector {
            self.store.export(run, Timestamp::now()).await?;
        }
        let Some(heard) = self.heard(run).await? else { return Ok(()) };
        let occasion = match heard.record.status {
            RunStatus::Failed => Occasion::Failed,
            RunStatus::Cancelled => Occasion::Cancelled,
            RunStatus::Succeeded if self.was_broken(&heard.record).await? => Occasion::Fixed,
            RunStatus::Succeeded => Occasion::Succeeded,
            // Nobody closes it.
            RunStatus::Queued | RunStatus::Running | RunStatus::Waiting => return Ok(()),
        };
        let first = self.store.events(run, 0, 1).await?.events;
        let last = self.store.events(run, heard.record.last_seq.saturating_sub(1), 1).await?.events;
        let time = last.first().map_or_else(Timestamp::now, |event| event.time);
        let seconds = first.first().map(|event| time.duration_since(event.time).as_secs());
        let notice = Notice {
            occasion: Some(occasion),
            seconds: seconds.and_then(|seconds| u64::try_from(seconds).ok()),
            ..self.notice(&heard, time).await?
        };
        self.put(&heard, occasion, END.to_owned(), &notice).await
    }

    /// Notes that stages wait for people, for whoever wants to hear of it. It may be noted again.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it was not noted.
    async fn wait(&self, run: RunId, stages: &Waiting) -> Result<(), StoreError> {
        let Some(heard) = self.heard(run).await? else { return Ok(()) };
        let notice = self.notice(&heard, Timestamp::now()).await?;
        for (stage, question) in stages {
            let notice = Notice {
                occasion: Some(Occasion::Waiting),
                stage: Some(stage.to_string()),
                question: Some(question.clone()),
                ..notice.clone()
            };
            self.put(&heard, Occasion::Waiting, format!("approval/{stage}"), &notice).await?;
        }
        Ok(())
    }

    /// The same beside whoever tells it. What is not noted, because the server is killed before, is
    /// [found](Self::overlooked) later.
    pub(crate) fn note_waiting(&self, run: RunId, events: &[Event]) {
        let stages = waiting(events);
        if stages.is_empty() {
            return;
        }
        let outbox = self.clone();
        tokio::spawn(async move {
            for tried in 1..=TRIES {
                match outbox.wait(run, &stages).await {
                    Ok(()) => return,
                    Err(error) => {
                        tracing::warn!(%run, error = &error as &dyn std::error::Error, "nobody is told that it waits");
                        tokio::time::sleep(AGAIN * tried).await;
                    }
                }
            }
        });
    }

    /// Notes which stages wait, whoever should have: the server that drove their runs may have been killed before it did.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails.
    pub(crate) async fn overlooked(&self) -> Result<(), StoreError> {
        let mut has_channels: HashMap<TenantId, bool> = HashMap::new();
        let mut filter = RunFilter { status: Some(RunStatus::Waiting), ..RunFilter::default() };
        loop {
            let page = self.store.runs(&filter, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            filter.before = Some(last.id);
            for run in page {
                let has = match has_channels.get(&run.tenant) {
                    Some(has) => *has,
                    None => !self.store.channels(run.tenant, None, 1).await?.is_empty(),
                };
                has_channels.insert(run.tenant, has);
                if has {
                    let mut events = Vec::new();
                    each_event::<StoreError>(&*self.store, run.id, 0, |event| {
                        events.push(event);
                        Ok(())
                    })
                    .await?;
                    self.wait(run.id, &waiting(&events)).await?;
                }
            }
        }
    }

    /// A run, if anybody wants to hear of it.
    async fn heard(&self, run: RunId) -> Result<Option<Heard>, StoreError> {
        let record = self.store.run(run).await?;
        let channels = self.store.channels(record.run.tenant, None, MOST).await?;
        if channels.is_empty() {
            return Ok(None);
        }
        let pipeline = pipeline_of(&*self.store, &record).await?;
        let own: HashMap<ChannelId, NoticeRule> = match &pipeline {
            Some(pipeline) => self.store.rules(pipeline.id).await?.into_iter().collect(),
            None => HashMap::new(),
        };
        let with_rule = |channel: Channel| {
            let rule = own.get(&channel.id).unwrap_or(&channel.rule).clone();
            (channel, rule)
        };
        Ok(Some(Heard { record, pipeline, channels: channels.into_iter().map(with_rule).collect() }))
    }

    /// Whether the last run before this one, of the same pipeline and branch, that succeeded or failed has failed.
    async fn was_broken(&self, record: &RunRecord) -> Result<bool, StoreError> {
        let branch = Some(record.run.context.git.branch.clone()).filter(|branch| !branch.is_empty());
        let filter = RunFilter {
            tenant: Some(record.run.tenant),
            branch: branch.clone(),
            before: Some(record.run.id),
            ..RunFilter::of_pipeline(&record.run.plan.name)
        };
        let earlier = self.store.runs(&filter, EARLIER).await?;
        // Without a branch the list has those of every branch.
        let mut of_branch = earlier.iter().filter(|run| branch.is_some() || run.branch.is_empty());
        let last = of_branch.find(|run| matches!(run.status, RunStatus::Succeeded | RunStatus::Failed));
        Ok(last.is_some_and(|run| run.status == RunStatus::Failed))
    }

    /// What there is to say of a run, whatever happened.
    async fn notice(&self, heard: &Heard, time: Timestamp) -> Result<Notice, StoreError> {
        let run = &heard.record.run;
        let name = heard.pipeline.as_ref().map_or(&run.plan.name, |pipeline| &pipeline.name).clone();
        let git = &run.context.git;
        Ok(Notice {
            number: heard.record.number,
            run: Some(run.id.as_uuid()),
            url: page_of(&*self.store, &self.url, run.tenant, &name, Some(heard.record.number)).await?,
            branch: git.branch.clone(),
            commit: git.sha.clone(),
            message: git.message.lines().next().unwrap_or_default().chars().take(200).collect(),
            author: git.author.clone(),
            ..Notice::try_out(&name, String::new(), time)
        })
    }

    /// Puts it into the outbox of each channel that wants to hear of it.
    async fn put(&self, heard: &Heard, occasion: Occasion, subject: String, notice: &Notice) -> Result<(), StoreError> {
        let branch = &heard.record.run.context.git.branch;
        let wants = heard.channels.iter().filter(|(_, rule)| rule.wants(occasion) && is_of(rule, branch));
        let told = wants.map(|(channel, _)| Notification {
            id: NotificationId::new(),
            channel: channel.id,
            run: Some(heard.record.run.id),
            subject: subject.clone(),
            occasion: Some(occasion),
            message: notice.clone().into_kept(),
            created_at: Timestamp::now(),
        });
        self.store.notify(told.collect()).await.map(drop)
    }
}

/// Whether a rule is for runs of this branch. Globs were looked at when they were set.
fn is_of(rule: &NoticeRule, branch: &str) -> bool {
    let globs = Globs::new(rule.branches.iter().map(String::as_str));
    rule.branches.is_empty() || globs.is_ok_and(|globs| globs.is_match(branch))
}

/// The stages that wait for a person after these events.
fn waiting(events: &[Event]) -> Waiting {
    let mut waiting = Waiting::new();
    for event in events {
        match &event.body {
            EventBody::ApprovalRequested { stage, message, .. } => {
                waiting.insert(stage.clone(), message.to_string());
            }
            EventBody::ApprovalGiven { stage, missing: 0, .. } | EventBody::StageFinished { stage, .. } => {
                waiting.remove(stage);
            }
            EventBody::RunFinished { .. } => waiting.clear(),
            _ => {}
        }
    }
    waiting
}

#[cfg(test)]
mod tests {
    use buildit::event::Approval;

    use super::*;

    fn events(bodies: Vec<EventBody>) -> Vec<Event> {
        let event = |(seq, body)| Event { seq, time: Timestamp::UNIX_EPOCH, body };
        (1..).zip(bodies).map(event).collect()
    }

    fn asked(stage: &str) -> EventBody {
        let (message, fields) = (format!("{stage}?").into(), Vec::new());
        EventBody::ApprovalRequested { stage: stage.into(), message, fields, deadline: None, needed: 2 }
    }

    fn given(stage: &str, missing: u32) -> EventBody {
        EventBody::ApprovalGiven { stage: stage.into(), approval: Box::new(Approval::yes("ada")), missing }
    }

    #[test]
    fn a_stage_waits_until_all_have_agreed() {
        let stages = |bodies| waiting(&events(bodies)).into_values().collect::<Vec<String>>();
        assert_eq!(stages(vec![EventBody::RunStarted, asked("b"), asked("a")]), ["a?", "b?"]);
        assert_eq!(stages(vec![asked("a"), given("a", 1)]), ["a?"]);
        assert_eq!(stages(vec![asked("a"), asked("b"), given("a", 1), given("a", 0)]), ["b?"]);
        assert_eq!(stages(vec![asked("a"), EventBody::RunFinished { status: RunStatus::Cancelled }]), [""; 0]);
    }

    #[test]
    fn a_rule_is_for_its_branches() {
        let rule = |branches: &[&str]| NoticeRule {
            branches: branches.iter().map(|branch| (*branch).to_owned()).collect(),
            ..NoticeRule::default()
        };
        assert!(is_of(&rule(&[]), "x") && is_of(&rule(&[]), ""));
        assert!(is_of(&rule(&["main", "release/*"]), "release/1"));
        assert!(!is_of(&rule(&["main", "release/*"]), "x") && !is_of(&rule(&["main"]), ""));
    }
}
