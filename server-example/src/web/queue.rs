//! The page of the queue, and of the workers for owners of the installation.

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use buildit::account::Role;
use buildit::id::{RunId, WorkerId};
use buildit::store::{Intake, QueueFilter, QueueLine, QueueOf, QueueStatus, Worker};
use indexmap::IndexMap;
use jiff::Timestamp;
use serde::Deserialize;

use super::page::{Crumb, Frame, Place, When, draw, part};
use crate::access::Access;
use crate::app::queue::{self, Queued};
use crate::app::{runs, workers};
use crate::list::Page;
use crate::problem::Problem;
use crate::state::ServerState;

/// How many workers are shown.
const WORKERS: usize = 200;

/// How many of a worker's runs are counted.
const COUNTED: usize = 100;

/// The parts of the page.
const TABS: [(QueueStatus, &str); 5] = [
    (QueueStatus::Waiting, "Waiting"),
    (QueueStatus::Scheduled, "Scheduled"),
    (QueueStatus::Behind, "Behind another"),
    (QueueStatus::Taken, "Running"),
    (QueueStatus::Dead, "Dead letters"),
];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Look {
    status: Option<String>,
    cursor: Option<String>,
}

/// A worker, and how many runs it has.
struct Row {
    worker: Worker,
    state: &'static str,
    has: usize,
}

impl Row {
    /// How many runs it has, of how many.
    fn load(&self) -> String {
        let more = if self.has > COUNTED { "+" } else { "" };
        match self.worker.runs {
            Some(runs) => format!("{}{more} of {runs} runs", self.has.min(COUNTED)),
            None => "only serves".to_owned(),
        }
    }

    /// The mark that its state is drawn with.
    fn mark(&self) -> &'static str {
        match self.state {
            "working" => "succeeded",
            "draining" => "waiting",
            _ => "lost",
        }
    }
}

#[derive(Template)]
#[template(path = "queue.html")]
struct QueuePage {
    frame: Frame,
    status: QueueStatus,
    line: QueueLine,
    runs: Vec<Queued>,
    next: Option<String>,
    may_cancel: bool,
    may_steer: bool,
    /// Those of the installation, for its owners.
    workers: Option<Vec<Row>>,
}

impl QueuePage {
    fn ago(&self, time: &Timestamp) -> When {
        When(*time)
    }

    /// How long a lease holds yet.
    fn left(&self, until: &Timestamp) -> String {
        match until.duration_since(Timestamp::now()).as_secs() {
            seconds @ 1.. => format!("leased for {seconds} s"),
            _ => "its lease has ended".to_owned(),
        }
    }

    fn link(&self, run: &Queued) -> String {
        format!("{}/pipelines/{}/runs/{}", self.frame.root, part(&run.of.pipeline), run.of.number)
    }

    /// The mark that a run in this part is drawn with.
    fn mark(&self) -> &'static str {
        match self.status {
            QueueStatus::Taken => "running",
            QueueStatus::Dead => "lost",
            _ => "queued",
        }
    }
}

pub(crate) async fn show(
    State(state): State<ServerState>,
    place: Place,
    Query(look): Query<Look>,
) -> Result<Response, Problem> {
    let status = look.status.as_deref().map_or(Ok(QueueStatus::Waiting), queue::status)?;
    let after = look.cursor.as_deref().map(queue::place).transpose()?;
    let found = queue::list(&state, &place.access, status, after, Page::default().limit()).await?;
    let next = found.next.map(|next| format!("{}/queue?status={}&cursor={next}", place.root(), status.as_str()));
    let is_owner = Access::to_installation(&state, place.access.actor.clone()).await.is_ok();
    draw(&QueuePage {
        frame: place.frame("queue", "Queue", vec![Crumb::here("Queue")]),
        status,
        line: queue::line(&state, &place.access).await?,
        runs: found.items,
        next,
        may_cancel: place.may(Role::Member),
        may_steer: place.may(Role::Admin),
        workers: if is_owner { Some(rows(&state).await?) } else { None },
    })
}

async fn rows(state: &ServerState) -> Result<Vec<Row>, Problem> {
    let now = Timestamp::now();
    let mut rows = Vec::new();
    for worker in state.store().workers(None, WORKERS).await? {
        let filter = QueueFilter { status: QueueStatus::Taken, of: QueueOf::Worker(worker.id.clone()) };
        let has = state.store().queued(&filter, None, COUNTED + 1).await?.len();
        rows.push(Row { state: workers::state_of(&worker, now), has, worker });
    }
    Ok(rows)
}

/// What a button that pauses or opens says.
#[derive(Debug, Deserialize)]
pub(crate) struct Turned {
    intake: Intake,
}

fn back(place: &Place) -> Redirect {
    Redirect::to(&format!("{}/queue", place.root()))
}

/// Pauses the queue of the tenant, or opens it again.
pub(crate) async fn turn(
    State(state): State<ServerState>,
    place: Place,
    Form(turned): Form<Turned>,
) -> Result<Redirect, Problem> {
    queue::set_intake(&state, &place.grant(Role::Admin)?, turned.intake).await?;
    Ok(back(&place))
}

/// Pauses the queues of all tenants, or opens them again.
pub(crate) async fn turn_all(
    State(state): State<ServerState>,
    place: Place,
    Form(turned): Form<Turned>,
) -> Result<Redirect, Problem> {
    let access = Access::to_installation(&state, place.access.actor.clone()).await?;
    queue::set_intake_of_all(&state, &access, turned.intake).await?;
    Ok(back(&place))
}

#[derive(Debug, Deserialize)]
pub(crate) struct NamedWorker {
    worker: String,
}

/// Drains a worker, or has it take runs again.
pub(crate) async fn turn_worker(
    State(state): State<ServerState>,
    place: Place,
    Path(named): Path<NamedWorker>,
    Form(turned): Form<Turned>,
) -> Result<Redirect, Problem> {
    let access = Access::to_installation(&state, place.access.actor.clone()).await?;
    workers::set(&state, &access, &WorkerId::from(named.worker), turned.intake).await?;
    Ok(back(&place))
}

#[derive(Debug, Deserialize)]
pub(crate) struct Acted {
    run: RunId,
    action: String,
}

/// Does something to a run in the queue.
pub(crate) async fn act(
    State(state): State<ServerState>,
    place: Place,
    Path(acted): Path<Acted>,
    Form(given): Form<IndexMap<String, String>>,
) -> Result<Response, Problem> {
    let least = if acted.action == "cancel" { Role::Member } else { Role::Admin };
    let (access, record) = runs::find(&state, place.access.actor.clone(), acted.run, least).await?;
    match acted.action.as_str() {
        "cancel" => runs::cancel(&state, &access, &record).await?,
        "requeue" => queue::requeue(&state, &access, &record).await?,
        "priority" => {
            let priority = given.get("priority").and_then(|priority| priority.trim().parse().ok());
            let priority = priority.ok_or_else(|| Problem::invalid("a priority is a whole number"))?;
            queue::set_priority(&state, &access, &record, priority).await?;
        }
        _ => return Err(Problem::not_found()),
    }
    let status = given.get("status").map_or(Ok(QueueStatus::Waiting), |word| queue::status(word))?;
    Ok(Redirect::to(&format!("{}/queue?status={}", place.root(), status.as_str())).into_response())
}
