//! The tests of a run.

use axum::Json;
use axum::extract::State;
use buildit::account::Role;
use buildit::id::RunId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Id;
use super::runs::RunLine;
use crate::access::Actor;
use crate::app::reports::{self, Counts, Standing, Test, Unread, Wanted};
use crate::app::runs;
use crate::list::{Asked, Page};
use crate::problem::Problem;
use crate::state::ServerState;

/// Which tests.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// Those that stand so: `newly_failing`, `failed`, `flaky`, `skipped` or `passed`.
    #[param(inline)]
    status: Option<Standing>,
    /// Those of this stage.
    stage: Option<String>,
    /// Those whose name has this in it, in capitals or not.
    search: Option<String>,
    /// `duration` for the slowest first; without, what failed is first.
    #[param(inline)]
    order: Option<Order>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    Duration,
}

/// The tests of a run, a page at a time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TestList {
    items: Vec<TestLine>,
    /// What to give as `cursor` for the next page; null on the last one. While the run goes, tests may still come.
    next: Option<String>,
    /// Of all tests of the run.
    counts: Counts,
    /// The run that this one is compared with; null when there is none that has tests.
    compared_with: Option<RunLine>,
    /// What of the reports could not be read.
    unread: Vec<Unread>,
}

/// A test.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TestLine {
    /// The stage that reports it.
    stage: String,
    /// The suite, with those around it: `unit/parser`.
    suite: String,
    class: String,
    name: String,
    /// `passed`, `skipped` or `failed`.
    status: &'static str,
    /// Whether it fails and did not in the run that this one is compared with.
    newly_failing: bool,
    /// Whether it passed only after it had failed.
    flaky: bool,
    duration_ms: u64,
    /// Why it did not pass, in few words.
    message: String,
    /// What is told beside that, as a rule the stack of calls.
    details: String,
    /// The file that it stands in, where the runner says.
    place: String,
}

impl From<Test> for TestLine {
    fn from(Test { stage, name, result, standing }: Test) -> Self {
        Self {
            stage: stage.to_string(),
            suite: name.suite,
            class: name.class,
            name: name.name,
            status: result.status.as_str(),
            newly_failing: standing == Standing::NewlyFailing,
            flaky: result.is_flaky,
            duration_ms: reports::millis(&result),
            message: result.message,
            details: result.details,
            place: result.place,
        }
    }
}

/// The tests that a run's stages have reported so far, what fails first.
#[utoipa::path(get, path = "/api/v1/runs/{id}/tests", tag = "runs", params(("id" = Uuid, Path), Filter, Page),
    responses((status = OK, body = TestList), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<RunId>,
    Asked(which): Asked<Filter>,
    Asked(page): Asked<Page>,
) -> Result<Json<TestList>, Problem> {
    let (_, record) = runs::find(&state, actor, id, Role::Viewer).await?;
    let wanted = Wanted {
        standing: which.status,
        stage: which.stage,
        text: which.search,
        by_duration: which.order == Some(Order::Duration),
        after: page.after()?.unwrap_or(0),
        limit: page.limit(),
    };
    let view = runs::view(&state, &record).await?;
    let found = reports::tests(&state, &record, &view, &wanted).await?;
    Ok(Json(TestList {
        items: found.items.into_iter().map(TestLine::from).collect(),
        next: found.next.map(|next| next.to_string()),
        counts: found.counts,
        compared_with: found.baseline.map(RunLine::from),
        unread: found.unread,
    }))
}
