//! What the pages do at a repository's forge: its webhook, and what it was told of commits.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use buildit::account::Role;
use buildit::id::{RepositoryId, StatusId};
use buildit::store::{DispatchStatus, Report};
use serde::Deserialize;

use super::page::{Crumb, Frame, Place, When, draw, part};
use super::repositories::{home, refuse};
use crate::app::{repositories, statuses, webhooks};
use crate::list::Page;
use crate::problem::Problem;
use crate::state::ServerState;

/// Something that a forge was told of a commit, as a page shows it.
pub(super) struct Line {
    pub(super) report: Report,
}

pub(super) fn line(report: &Report) -> Line {
    Line { report: report.clone() }
}

impl Line {
    pub(super) fn progress(&self) -> &'static str {
        match self.report.progress {
            DispatchStatus::Sent => "told",
            DispatchStatus::Waiting if self.report.tries > 0 => "tried again",
            DispatchStatus::Waiting => "on its way",
            DispatchStatus::GivenUp => "not told",
        }
    }

    /// All of it, on one line.
    pub(super) fn title(&self) -> String {
        let status = &self.report.status;
        let commit = status.commit.get(..10).unwrap_or(&status.commit);
        format!("{} of {commit}: {}", status.context, status.description)
    }

    pub(super) fn tries(&self) -> String {
        match self.report.tries {
            0 => String::new(),
            1 => "1 try".to_owned(),
            several => format!("{several} tries"),
        }
    }

    pub(super) fn ago(&self) -> When {
        When(self.report.status.created_at)
    }

    pub(super) fn may_retry(&self) -> bool {
        self.report.progress != DispatchStatus::Sent && self.report.sending.is_none() && self.report.tries > 0
    }
}

#[derive(Template)]
#[template(path = "statuses.html")]
struct ListPage {
    frame: Frame,
    link: String,
    lines: Vec<Line>,
    more: Option<String>,
    may_make: bool,
    problem: Option<String>,
}

impl ListPage {
    async fn new(state: &ServerState, place: &Place, id: RepositoryId, page: &Page) -> Result<Self, Problem> {
        let repository = repositories::within(state, &place.access, id).await?;
        let link = format!("{}/{id}", home(place));
        let found = statuses::list(state, &repository, page).await?;
        let crumbs = vec![
            Crumb::to("Repositories", home(place)),
            Crumb::to(&repository.name, link.clone()),
            Crumb::here("Statuses"),
        ];
        Ok(Self {
            frame: place.frame("repositories", "Statuses", crumbs),
            lines: found.items.iter().map(line).collect(),
            more: found.next.map(|next| format!("{link}/statuses?cursor={}", part(&next))),
            link,
            may_make: place.may(Role::Member),
            problem: None,
        })
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Named {
    repository: RepositoryId,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct NamedStatus {
    repository: RepositoryId,
    status: StatusId,
}

/// What is to be done with a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Make,
    Check,
    Remove,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct NamedAction {
    repository: RepositoryId,
    action: Action,
}

/// Looks for the webhook at the forge, makes it there or removes it.
pub(crate) async fn act(
    State(state): State<ServerState>,
    place: Place,
    Path(named): Path<NamedAction>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Admin)?;
    let repository = repositories::within(&state, &access, named.repository).await?;
    let done = match named.action {
        Action::Make => webhooks::make(&state, &access, &repository).await,
        Action::Check => webhooks::check(&state, &access, &repository).await,
        Action::Remove => webhooks::remove(&state, &access, &repository).await,
    };
    match done {
        Ok(_) => Ok(Redirect::to(&format!("{}/{}#webhook", home(&place), repository.id)).into_response()),
        Err(problem) => refuse(&state, &place, named.repository, &problem).await,
    }
}

pub(crate) async fn statuses(
    State(state): State<ServerState>,
    place: Place,
    Path(named): Path<Named>,
    Query(page): Query<Page>,
) -> Result<Response, Problem> {
    draw(&ListPage::new(&state, &place, named.repository, &page).await?)
}

/// Tells the forge once more what it was not told.
pub(crate) async fn retry(
    State(state): State<ServerState>,
    place: Place,
    Path(named): Path<NamedStatus>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Member)?;
    let repository = repositories::within(&state, &access, named.repository).await?;
    match statuses::retry(&state, &access, &repository, named.status).await {
        Ok(()) => Ok(Redirect::to(&format!("{}/{}/statuses", home(&place), repository.id)).into_response()),
        Err(problem) => {
            let page = ListPage::new(&state, &place, named.repository, &Page::default()).await?;
            let page = ListPage { problem: Some(problem.said()), ..page };
            Ok((problem.status(), draw(&page)?).into_response())
        }
    }
}
