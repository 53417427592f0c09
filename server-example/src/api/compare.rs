//! What is different between two runs.

use axum::Json;
use axum::extract::State;
use buildit::account::Role;
use buildit::compare::Difference;
use buildit::id::RunId;
use buildit_executors::reports::TestDifference;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::Id;
use super::runs::RunLine;
use crate::access::Actor;
use crate::app::reports::{self, Unread};
use crate::app::{compare, runs};
use crate::list::Asked;
use crate::problem::Problem;
use crate::state::ServerState;

/// What a run is compared with.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct With {
    /// The earlier run; without, that with which its tests are compared: the last run of the branch that a pull request
    /// is to be merged into, else the one before on its branch.
    before: Option<Uuid>,
}

/// The differences of two runs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Comparison {
    before: RunLine,
    after: RunLine,
    /// What was asked, and then how it went.
    differences: Vec<Differing>,
    /// The tests that do not end as they did, those that newly fail first.
    tests: Vec<Changed>,
    /// How many of both were left off: no more than 5000 are told of each.
    left_off: usize,
    /// What of the reports of the earlier and of the later run could not be read.
    unread_before: Vec<Unread>,
    unread_after: Vec<Unread>,
}

/// Something that is not the same in two runs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Differing {
    /// `plan`, `image`, `input`, `status` or `duration`.
    kind: &'static str,
    /// The stage that it is about, if it is about one.
    stage: Option<String>,
    /// Which thing: the field, the input; empty where kind and stage say it all.
    name: String,
    /// What it was in the earlier run; null: it was not there.
    before: Option<Value>,
    /// What it is in the later one.
    after: Option<Value>,
}

impl From<Difference> for Differing {
    fn from(Difference { kind, stage, name, before, after }: Difference) -> Self {
        Self { kind: kind.as_str(), stage, name, before, after }
    }
}

/// A test that does not end as it did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Changed {
    /// `newly_failing` or `fixed`.
    change: &'static str,
    stage: String,
    suite: String,
    class: String,
    name: String,
}

impl From<TestDifference> for Changed {
    fn from(TestDifference { change, stage, test }: TestDifference) -> Self {
        let (suite, class, name) = (test.suite, test.class, test.name);
        Self { change: change.as_str(), stage: stage.to_string(), suite, class, name }
    }
}

/// What is different between a run and an earlier one: the plan, images, inputs, how stages ended and how long they took,
/// and the tests that newly fail or no longer do.
#[utoipa::path(get, path = "/api/v1/runs/{id}/diff", tag = "runs", params(("id" = Uuid, Path), With),
    responses((status = OK, body = Comparison), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    actor: Actor,
    Id(id): Id<RunId>,
    Asked(with): Asked<With>,
) -> Result<Json<Comparison>, Problem> {
    let (_, after) = runs::find(&state, actor.clone(), id, Role::Viewer).await?;
    let before = match with.before {
        Some(before) => runs::find(&state, actor, before.into(), Role::Viewer).await?.1,
        None => {
            let none = || Problem::not_found().with_detail("there is no earlier run to compare it with: say which");
            state.store().run(reports::baseline(&state, &after).await?.ok_or_else(none)?.id).await?
        }
    };
    let found = compare::compare(&state, &before, &after).await?;
    let [unread_before, unread_after] = found.unread;
    Ok(Json(Comparison {
        before: RunLine::from(&before),
        after: RunLine::from(&after),
        differences: found.differences.into_iter().map(Differing::from).collect(),
        tests: found.tests.into_iter().map(Changed::from).collect(),
        left_off: found.left_off,
        unread_before,
        unread_after,
    }))
}
