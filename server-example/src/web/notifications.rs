//! The pages of notifications: the channels of a tenant, one with its log, and what a pipeline tells them.

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use buildit::account::Role;
use buildit::id::{ChannelId, NotificationId};
use buildit::store::{Channel, ChannelKind, Dispatch, DispatchStatus, NoticeRule, Occasion, StoredPipeline};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::page::{Crumb, Frame, Place, When, draw};
use super::pipelines::{Head, Named, head, named};
use crate::app::channels::{self, Told};
use crate::list::{List, Page};
use crate::notify::Notice;
use crate::problem::Problem;
use crate::state::ServerState;

/// What a form has a box for, with what stands beside it.
const OCCASIONS: [(Occasion, &str); 5] = [
    (Occasion::Failed, "Failed"),
    (Occasion::Fixed, "Fixed: succeeded after a failure"),
    (Occasion::Succeeded, "Succeeded"),
    (Occasion::Waiting, "Waiting for approval"),
    (Occasion::Cancelled, "Cancelled"),
];

fn home(place: &Place) -> String {
    format!("{}/settings/notifications", place.root())
}

/// A rule in a few words.
fn words(rule: &NoticeRule) -> String {
    let mut words: Vec<&str> = rule.occasions.iter().map(|occasion| occasion.as_str()).collect();
    if words.is_empty() {
        words.push("nothing");
    }
    match rule.branches.as_slice() {
        [] => words.join(", "),
        branches => format!("{} of {}", words.join(", "), branches.join(", ")),
    }
}

/// The boxes and the globs of a form. A box that is not ticked is not there.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RuleForm {
    failed: Option<String>,
    fixed: Option<String>,
    succeeded: Option<String>,
    waiting: Option<String>,
    cancelled: Option<String>,
    branches: String,
}

impl RuleForm {
    fn rule(&self) -> Result<NoticeRule, Problem> {
        let Self { failed, fixed, succeeded, waiting, cancelled, branches } = self;
        let boxes = [
            (failed, Occasion::Failed),
            (fixed, Occasion::Fixed),
            (succeeded, Occasion::Succeeded),
            (waiting, Occasion::Waiting),
            (cancelled, Occasion::Cancelled),
        ];
        let ticked = boxes.into_iter().filter(|(given, _)| given.is_some()).map(|(_, occasion)| occasion.as_str());
        channels::rule(ticked, branches.split(','))
    }
}

#[derive(Template)]
#[template(path = "settings_notifications.html")]
struct ListPage {
    frame: Frame,
    channels: Vec<Channel>,
    /// The key that was just made, and for which channel: it is shown this once.
    made: Option<(String, String)>,
    problem: Option<String>,
    may_change: bool,
    has_mail: bool,
}

impl ListPage {
    async fn new(state: &ServerState, place: &Place) -> Result<Self, Problem> {
        let crumbs = vec![Crumb::to("Settings", format!("{}/settings", place.root())), Crumb::here("Notifications")];
        Ok(Self {
            frame: place.frame("settings", "Notifications", crumbs),
            channels: channels::all(state, &place.access).await?,
            made: None,
            problem: None,
            may_change: place.may(Role::Admin),
            has_mail: state.mail().is_some(),
        })
    }

    fn words(&self, channel: &Channel) -> String {
        words(&channel.rule)
    }

    fn is_usual(&self, occasion: &Occasion) -> bool {
        channels::USUAL.contains(occasion)
    }
}

pub(crate) async fn list(State(state): State<ServerState>, place: Place) -> Result<Response, Problem> {
    draw(&ListPage::new(&state, &place).await?)
}

/// A channel that is to be made. `Debug` shows no address.
#[derive(Debug, Deserialize)]
pub(crate) struct NewForm {
    name: String,
    kind: String,
    target: SecretString,
    #[serde(flatten)]
    rule: RuleForm,
}

pub(crate) async fn create(
    State(state): State<ServerState>,
    place: Place,
    Form(new): Form<NewForm>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Admin)?;
    let made = async {
        let kind: Result<ChannelKind, _> = new.kind.parse();
        let kind = kind.map_err(|_| Problem::invalid("a channel is Slack, e-mail or a webhook"))?;
        let new = channels::New { name: new.name, kind, target: new.target, key: None, rule: new.rule.rule()? };
        channels::create(&state, &access, new).await
    };
    match made.await {
        Ok((channel, Some(key))) => {
            let made = Some((channel.name, key.expose_secret().to_owned()));
            draw(&ListPage { made, ..ListPage::new(&state, &place).await? })
        }
        Ok((channel, None)) => Ok(Redirect::to(&format!("{}/{}", home(&place), channel.id)).into_response()),
        Err(problem) => {
            let page = ListPage { problem: Some(problem.said()), ..ListPage::new(&state, &place).await? };
            Ok((problem.status(), draw(&page)?).into_response())
        }
    }
}

/// A line of a channel's log.
struct Line {
    dispatch: Dispatch,
    title: String,
    /// The page of its run.
    link: Option<String>,
}

impl Line {
    fn new(dispatch: Dispatch) -> Self {
        let notice = Notice::of_kept(&dispatch.notification.message).ok();
        let title = notice.as_ref().map_or_else(|| dispatch.notification.subject.clone(), Notice::title);
        let link = notice.filter(|_| dispatch.notification.run.is_some()).map(|notice| notice.url);
        Self { dispatch, title, link }
    }

    /// How it stands, in words.
    fn status(&self) -> &'static str {
        match (self.dispatch.status, self.dispatch.tries) {
            (DispatchStatus::Sent, _) => "sent",
            (DispatchStatus::GivenUp, _) => "given up",
            (DispatchStatus::Waiting, 0) => "to be sent",
            (DispatchStatus::Waiting, _) => "to be sent again",
        }
    }

    fn tries(&self) -> String {
        match self.dispatch.tries {
            1 => "1 try".to_owned(),
            tries => format!("{tries} tries"),
        }
    }

    fn ago(&self) -> When {
        When(self.dispatch.notification.created_at)
    }

    fn created_at(&self) -> Timestamp {
        self.dispatch.notification.created_at
    }

    fn may_retry(&self) -> bool {
        self.dispatch.status == DispatchStatus::GivenUp
            || (self.dispatch.status == DispatchStatus::Waiting && self.dispatch.error.is_some())
    }
}

#[derive(Template)]
#[template(path = "channel.html")]
struct ChannelPage {
    frame: Frame,
    link: String,
    channel: Channel,
    lines: Vec<Line>,
    more: Option<String>,
    problem: Option<String>,
    is_tried_out: bool,
    may_change: bool,
}

impl ChannelPage {
    async fn new(state: &ServerState, place: &Place, id: ChannelId, page: &Page) -> Result<Self, Problem> {
        let channel = channels::find(state, &place.access, id).await?;
        let crumbs = vec![Crumb::to("Notifications", home(place)), Crumb::here(&channel.name)];
        let found = state.store().dispatches(channel.id, page.after()?, page.limit() + 1).await?;
        let list = List::cut(found, page.limit(), |one| one.notification.id.to_string());
        let link = format!("{}/{}", home(place), channel.id);
        Ok(Self {
            frame: place.frame("settings", &channel.name, crumbs),
            more: list.next.map(|next| format!("{link}?cursor={next}")),
            link,
            channel,
            lines: list.items.into_iter().map(Line::new).collect(),
            problem: None,
            is_tried_out: false,
            may_change: place.may(Role::Admin),
        })
    }

    fn has(&self, occasion: &Occasion) -> bool {
        self.channel.rule.occasions.contains(occasion)
    }

    fn branches(&self) -> String {
        self.channel.rule.branches.join(", ")
    }

    fn is_email(&self) -> bool {
        self.channel.kind == ChannelKind::Email
    }

    fn is_webhook(&self) -> bool {
        self.channel.kind == ChannelKind::Webhook
    }

    fn refuse(self, problem: &Problem) -> Result<Response, Problem> {
        Ok((problem.status(), draw(&Self { problem: Some(problem.said()), ..self })?).into_response())
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct NamedChannel {
    channel: ChannelId,
}

/// What the page after a step says, beside which part of the log it has.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct After {
    tried: Option<String>,
}

pub(crate) async fn show(
    State(state): State<ServerState>,
    place: Place,
    Path(named): Path<NamedChannel>,
    Query(page): Query<Page>,
    Query(after): Query<After>,
) -> Result<Response, Problem> {
    let page = ChannelPage::new(&state, &place, named.channel, &page).await?;
    draw(&ChannelPage { is_tried_out: after.tried.is_some(), ..page })
}

/// What is changed; an empty address or key stays as it is.
#[derive(Debug, Deserialize)]
pub(crate) struct ChangeForm {
    name: String,
    #[serde(default)]
    target: SecretString,
    #[serde(default)]
    key: SecretString,
    #[serde(flatten)]
    rule: RuleForm,
}

pub(crate) async fn change(
    State(state): State<ServerState>,
    place: Place,
    Path(named): Path<NamedChannel>,
    Form(form): Form<ChangeForm>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Admin)?;
    let known = channels::find(&state, &access, named.channel).await?;
    let given = |text: SecretString| Some(text).filter(|text| !text.expose_secret().trim().is_empty());
    let changed = async {
        let (name, rule) = (Some(form.name), Some(form.rule.rule()?));
        let change = channels::Change { name, target: given(form.target), key: given(form.key), rule };
        channels::change(&state, &access, &known, change).await
    };
    match changed.await {
        Ok(_) => Ok(Redirect::to(&format!("{}/{}", home(&place), known.id)).into_response()),
        Err(problem) => ChannelPage::new(&state, &place, known.id, &Page::default()).await?.refuse(&problem),
    }
}

pub(crate) async fn test(
    State(state): State<ServerState>,
    place: Place,
    Path(named): Path<NamedChannel>,
) -> Result<Redirect, Problem> {
    let access = place.grant(Role::Admin)?;
    let known = channels::find(&state, &access, named.channel).await?;
    channels::try_out(&state, &access, &known).await?;
    Ok(Redirect::to(&format!("{}/{}?tried=out", home(&place), known.id)))
}

pub(crate) async fn delete(
    State(state): State<ServerState>,
    place: Place,
    Path(named): Path<NamedChannel>,
) -> Result<Redirect, Problem> {
    let access = place.grant(Role::Admin)?;
    let known = channels::find(&state, &access, named.channel).await?;
    channels::delete(&state, &access, &known).await?;
    Ok(Redirect::to(&home(&place)))
}

#[derive(Debug, Deserialize)]
pub(crate) struct NamedDispatch {
    channel: ChannelId,
    dispatch: NotificationId,
}

pub(crate) async fn retry(
    State(state): State<ServerState>,
    place: Place,
    Path(named): Path<NamedDispatch>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Admin)?;
    let known = channels::find(&state, &access, named.channel).await?;
    match channels::retry(&state, &access, &known, named.dispatch).await {
        Ok(()) => Ok(Redirect::to(&format!("{}/{}", home(&place), known.id)).into_response()),
        Err(problem) => ChannelPage::new(&state, &place, known.id, &Page::default()).await?.refuse(&problem),
    }
}

#[derive(Template)]
#[template(path = "notifications.html")]
struct RulesPage {
    frame: Frame,
    head: Head,
    told: Vec<Told>,
    problem: Option<String>,
}

impl RulesPage {
    async fn new(state: &ServerState, place: &Place, pipeline: &StoredPipeline) -> Result<Self, Problem> {
        let (frame, head) = head(place, pipeline, "notifications");
        Ok(Self { frame, head, told: channels::of_pipeline(state, &place.access, pipeline).await?, problem: None })
    }

    fn words(&self, told: &Told) -> String {
        words(&told.rule)
    }

    fn has(&self, told: &Told, occasion: &Occasion) -> bool {
        told.rule.occasions.contains(occasion)
    }

    fn branches(&self, told: &Told) -> String {
        told.rule.branches.join(", ")
    }
}

pub(crate) async fn rules(
    State(state): State<ServerState>,
    place: Place,
    Path(named_): Path<Named>,
) -> Result<Response, Problem> {
    let pipeline = named(&state, &place, &named_.pipeline).await?;
    draw(&RulesPage::new(&state, &place, &pipeline).await?)
}

/// What a pipeline is to tell a channel; `reset` for what the channel says.
#[derive(Debug, Deserialize)]
pub(crate) struct SetRule {
    channel: ChannelId,
    #[serde(default)]
    reset: Option<String>,
    #[serde(flatten)]
    rule: RuleForm,
}

pub(crate) async fn set_rule(
    State(state): State<ServerState>,
    place: Place,
    Path(named_): Path<Named>,
    Form(form): Form<SetRule>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Member)?;
    let pipeline = named(&state, &place, &named_.pipeline).await?;
    let set = async {
        let rule = if form.reset.is_some() { None } else { Some(form.rule.rule()?) };
        channels::set_rule(&state, &access, &pipeline, form.channel, rule).await
    };
    match set.await {
        Ok(()) => {
            let (_, head) = head(&place, &pipeline, "notifications");
            Ok(Redirect::to(&format!("{}/notifications", head.link)).into_response())
        }
        Err(problem) => {
            let page = RulesPage { problem: Some(problem.said()), ..RulesPage::new(&state, &place, &pipeline).await? };
            Ok((problem.status(), draw(&page)?).into_response())
        }
    }
}
