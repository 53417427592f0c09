//! What starts runs of a pipeline by itself.

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use buildit::account::Role;
use buildit::pipeline::Trigger;
use buildit::store::{Schedule, StoredPipeline};
use serde::Deserialize;

use super::page::{Frame, Place, draw};
use super::pipelines::{Head, Named, head, named};
use crate::app::{pipelines, schedules};
use crate::problem::Problem;
use crate::state::ServerState;

#[derive(Template)]
#[template(path = "triggers.html")]
struct TriggersPage {
    frame: Frame,
    head: Head,
    schedules: Vec<Schedule>,
    /// The secrets that webhooks name.
    secrets: Vec<String>,
    /// Other triggers, in words.
    others: Vec<String>,
    /// Where its webhook is.
    hook: String,
    problem: Option<String>,
}

impl TriggersPage {
    async fn new(state: &ServerState, place: &Place, pipeline: &StoredPipeline) -> Result<Self, Problem> {
        let (frame, head) = head(place, pipeline, "triggers");
        // A text that no longer reads has none until somebody mends it.
        let triggers = pipelines::spec(state, pipeline).await.map(|spec| spec.triggers).unwrap_or_default();
        let of = |event: &'static str| triggers.iter().filter(move |trigger| trigger.event == event);
        Ok(Self {
            frame,
            head,
            schedules: state.store().schedules(pipeline.id).await?,
            secrets: of("webhook").filter_map(|trigger| trigger.secret.clone()).collect(),
            others: ["push", "pull_request", "tag"].into_iter().flat_map(of).map(words).collect(),
            hook: format!("{}/hooks/pipelines/{}", state.settings().url(), pipeline.id),
            problem: None,
        })
    }
}

/// A trigger as a sentence has it.
fn words(trigger: &Trigger) -> String {
    let mut words = trigger.event.replace('_', " ");
    let listed = [("of branches", &trigger.branches), ("with changes of", &trigger.paths)];
    for (what, globs) in listed.into_iter().filter(|(_, globs)| !globs.is_empty()) {
        words.push_str(&format!(" {what} {}", globs.join(", ")));
    }
    if let Some(pattern) = &trigger.pattern {
        words.push_str(&format!(" {pattern}"));
    }
    words
}

pub(crate) async fn show(
    State(state): State<ServerState>,
    place: Place,
    Path(named_): Path<Named>,
) -> Result<Response, Problem> {
    let pipeline = named(&state, &place, &named_.pipeline).await?;
    draw(&TriggersPage::new(&state, &place, &pipeline).await?)
}

/// Which schedule is to pause or to go on.
#[derive(Debug, Deserialize)]
pub(crate) struct Pause {
    cron: String,
    timezone: String,
    paused: bool,
}

pub(crate) async fn pause(
    State(state): State<ServerState>,
    place: Place,
    Path(named_): Path<Named>,
    Form(asked): Form<Pause>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Member)?;
    let pipeline = named(&state, &place, &named_.pipeline).await?;
    match schedules::pause(&state, &access, &pipeline, (&asked.cron, &asked.timezone), asked.paused).await {
        Ok(_) => {
            let (_, head) = head(&place, &pipeline, "triggers");
            Ok(Redirect::to(&format!("{}/triggers", head.link)).into_response())
        }
        Err(problem) => {
            let said = Some(problem.said());
            let page = TriggersPage { problem: said, ..TriggersPage::new(&state, &place, &pipeline).await? };
            Ok((problem.status(), draw(&page)?).into_response())
        }
    }
}
