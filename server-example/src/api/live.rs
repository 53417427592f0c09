//! What happens in a run, as it happens.

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use buildit::account::Role;
use buildit::id::RunId;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Id;
use crate::access::{Actor, Credential};
use crate::app::runs;
use crate::list::Asked;
use crate::live::{Reader, events as events_of, socket as websocket, sse, stored};
use crate::problem::Problem;
use crate::state::ServerState;

/// How large a message of a reader may be.
const WISH: usize = 4096;

/// Where to go on.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct After {
    /// The number of the last event that was seen; 0 without.
    after: Option<u64>,
}

/// How far to go.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Until {
    /// `false` to end with what is stored so far, instead of with the run.
    follow: Option<bool>,
}

/// The events of a run as server-sent events, from after `Last-Event-ID` or `after` on, until its last one.
#[utoipa::path(get, path = "/api/v1/runs/{id}/events", tag = "live", params(("id" = Uuid, Path), After, Until),
    responses((status = OK, body = String, content_type = "text/event-stream"), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn events(
    State(state): State<ServerState>,
    actor: Actor,
    credential: Credential,
    Id(id): Id<RunId>,
    Asked(from): Asked<After>,
    Asked(until): Asked<Until>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    runs::find(&state, actor.clone(), id, Role::Viewer).await?;
    let reader = Reader { actor, credential, run: id };
    let last = headers.get("last-event-id").and_then(|last| last.to_str().ok()?.parse().ok());
    let after = last.or(from.after).unwrap_or(0);
    Ok(match until.follow {
        Some(false) => sse::serve(&state, stored(state.clone(), id, after), reader).into_response(),
        _ => sse::serve(&state, events_of(state.clone(), id, after), reader).into_response(),
    })
}

/// A WebSocket with the events of a run from after `after` on, and the log that the reader asks for by `{"log": {"stage",
/// "attempt", "after"}}`.
#[utoipa::path(get, path = "/api/v1/runs/{id}/live", tag = "live", params(("id" = Uuid, Path), After),
    responses((status = SWITCHING_PROTOCOLS), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn socket(
    State(state): State<ServerState>,
    actor: Actor,
    credential: Credential,
    Id(id): Id<RunId>,
    Asked(from): Asked<After>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Problem> {
    // A page of another site may open a socket with this browser's cookie, unless it is refused here.
    if matches!(actor, Actor::User(_) | Actor::Founder) && !is_own(&state, &headers) {
        return Err(Problem::forbidden("this page is not one of this server"));
    }
    runs::find(&state, actor.clone(), id, Role::Viewer).await?;
    let (upgrade, reader) = (upgrade.max_message_size(WISH), Reader { actor, credential, run: id });
    Ok(upgrade.on_upgrade(move |socket| websocket::serve(state, reader, from.after.unwrap_or(0), socket)))
}

/// Whether a page of this server asks, or no page at all.
fn is_own(state: &ServerState, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    origin == state.settings().origin() || origin.split_once("://").is_some_and(|(_, authority)| authority == host)
}
