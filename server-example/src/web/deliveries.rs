//! The pages of what forges have told of a repository.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use buildit::account::Role;
use buildit::id::{DeliveryId, RepositoryId};
use buildit::store::{Delivery, DeliveryState, Repository};
use jiff::Timestamp;
use serde::Deserialize;

use super::page::{Crumb, Frame, Place, When, draw, part};
use crate::app::changes::{Decision, Outcome};
use crate::app::deliveries::{self, Came};
use crate::app::repositories;
use crate::list::{List, Page};
use crate::problem::Problem;
use crate::state::ServerState;

fn crumbs(place: &Place, repository: &Repository, here: Option<&str>) -> Vec<Crumb> {
    let home = format!("{}/repositories", place.root());
    let link = format!("{home}/{}", repository.id);
    let mut crumbs = vec![Crumb::to("Repositories", home), Crumb::to(&repository.name, link.clone())];
    match here {
        Some(here) => crumbs.extend([Crumb::to("Deliveries", format!("{link}/deliveries")), Crumb::here(here)]),
        None => crumbs.push(Crumb::here("Deliveries")),
    }
    crumbs
}

/// What came of a delivery, in a few words.
fn about(delivery: &Delivery) -> String {
    match Came::of(delivery) {
        Some(Came::Nothing { why }) => why,
        Some(Came::Decided { decisions }) => {
            let started = decisions.iter().filter(|of| matches!(of.outcome, Outcome::Started { .. })).count();
            let invalid = decisions.iter().filter(|of| matches!(of.outcome, Outcome::Invalid { .. })).count();
            let mut words = vec![if started == 1 { "1 run".to_owned() } else { format!("{started} runs") }];
            if invalid > 0 {
                words.push(format!("{invalid} invalid"));
            }
            if started + invalid < decisions.len() {
                words.push(format!("{} skipped", decisions.len() - started - invalid));
            }
            words.join(", ")
        }
        None => String::new(),
    }
}

#[derive(Template)]
#[template(path = "deliveries.html")]
struct ListPage {
    frame: Frame,
    link: String,
    deliveries: List<Delivery>,
}

impl ListPage {
    fn about(&self, delivery: &Delivery) -> String {
        about(delivery)
    }

    fn ago(&self, time: &Timestamp) -> When {
        When(*time)
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Named {
    repository: RepositoryId,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct NamedWithin {
    repository: RepositoryId,
    delivery: DeliveryId,
}

pub(crate) async fn list(
    State(state): State<ServerState>,
    place: Place,
    Path(named): Path<Named>,
    Query(page): Query<Page>,
) -> Result<Response, Problem> {
    let repository = repositories::within(&state, &place.access, named.repository).await?;
    let deliveries = deliveries::list(&state, &repository, &page).await?;
    let frame = place.frame("repositories", "Deliveries", crumbs(&place, &repository, None));
    let link = format!("{}/repositories/{}/deliveries", place.root(), repository.id);
    draw(&ListPage { frame, link, deliveries })
}

#[derive(Template)]
#[template(path = "delivery.html")]
struct OnePage {
    frame: Frame,
    link: String,
    delivery: Delivery,
    about: String,
    decisions: Vec<Decision>,
    payload: String,
    may_act: bool,
    /// The commit of a fork that may be given secrets, and its page.
    to_approve: Option<(String, Option<String>)>,
    problem: Option<String>,
}

impl OnePage {
    fn ago(&self, time: &Timestamp) -> When {
        When(*time)
    }

    /// The address of the run that was started.
    fn run(&self, decision: &Decision) -> Option<(String, u64)> {
        let Outcome::Started { number, .. } = decision.outcome else { return None };
        Some((format!("{}/pipelines/{}/runs/{number}", self.frame.root, part(&decision.pipeline)), number))
    }

    fn reasons(&self, decision: &Decision) -> Vec<String> {
        match &decision.outcome {
            Outcome::Started { .. } => Vec::new(),
            Outcome::Skipped { why } => vec![why.clone()],
            Outcome::Invalid { why } => why.clone(),
        }
    }

    fn is_refused(&self) -> bool {
        self.delivery.state == DeliveryState::Refused
    }
}

pub(crate) async fn show(
    State(state): State<ServerState>,
    place: Place,
    Path(named): Path<NamedWithin>,
) -> Result<Response, Problem> {
    draw(&one(&state, &place, named, None).await?)
}

async fn one(
    state: &ServerState,
    place: &Place,
    named: NamedWithin,
    problem: Option<String>,
) -> Result<OnePage, Problem> {
    let repository = repositories::within(state, &place.access, named.repository).await?;
    let delivery = deliveries::within(state, &repository, named.delivery).await?;
    let decisions = match Came::of(&delivery) {
        Some(Came::Decided { decisions }) => decisions,
        _ => Vec::new(),
    };
    let to_approve = match place.may(Role::Admin) {
        true => deliveries::commit_of_fork(state, &delivery).await?,
        false => None,
    };
    let to_approve = to_approve.map(|sha| {
        let page = crate::forge::pages::commit(&repository, &sha);
        (sha, page)
    });
    Ok(OnePage {
        frame: place.frame("repositories", &delivery.event, crumbs(place, &repository, Some(&delivery.event))),
        link: format!("{}/repositories/{}/deliveries/{}", place.root(), repository.id, delivery.id),
        about: about(&delivery),
        decisions,
        payload: deliveries::payload(state, &delivery).await?,
        may_act: place.may(Role::Member),
        to_approve,
        problem,
        delivery,
    })
}

pub(crate) async fn redeliver(
    State(state): State<ServerState>,
    place: Place,
    Path(named): Path<NamedWithin>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Member)?;
    let repository = repositories::within(&state, &access, named.repository).await?;
    let delivery = deliveries::within(&state, &repository, named.delivery).await?;
    let again = deliveries::redeliver(&state, &access, &repository, &delivery).await?;
    let to = format!("{}/repositories/{}/deliveries/{}", place.root(), repository.id, again.id);
    Ok(Redirect::to(&to).into_response())
}

/// Starts what is of a fork with secrets, and shows the run.
pub(crate) async fn approve(
    State(state): State<ServerState>,
    place: Place,
    Path(named): Path<NamedWithin>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Admin)?;
    let repository = repositories::within(&state, &access, named.repository).await?;
    let delivery = deliveries::within(&state, &repository, named.delivery).await?;
    let started = match deliveries::approve(&state, &access, &repository, &delivery).await {
        Ok(decisions) => decisions.into_iter().find_map(|decision| match decision.outcome {
            Outcome::Started { number, .. } => Some((decision.pipeline, number)),
            _ => None,
        }),
        Err(problem) => {
            let page = one(&state, &place, named, Some(problem.said())).await?;
            return Ok((problem.status(), draw(&page)?).into_response());
        }
    };
    let to = match started {
        Some((pipeline, number)) => format!("{}/pipelines/{}/runs/{number}", place.root(), part(&pipeline)),
        // What came of it instead is the newest there.
        None => format!("{}/repositories/{}/deliveries", place.root(), repository.id),
    };
    Ok(Redirect::to(&to).into_response())
}
