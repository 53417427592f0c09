//! `/metrics`.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use buildit::store::QueueStatus;
use subtle::ConstantTimeEq;

use crate::access::{Whose, given, is_local};
use crate::problem::Problem;
use crate::settings::Hidden;
use crate::state::{Peer, ServerState};

/// What Prometheus says it reads.
const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(crate) fn router() -> Router<ServerState> {
    Router::new().route("/metrics", get(metrics))
}

/// For who brings the token of the settings; without one, for somebody at this machine.
async fn metrics(State(state): State<ServerState>, Peer(peer): Peer, headers: HeaderMap) -> Result<Response, Problem> {
    let may_read = match &state.settings().metrics_token {
        Some(token) => given(&headers).is_some_and(|given| is_same(token, given.expose())),
        None => is_local(peer, &headers),
    };
    if !may_read {
        state.limits().request(Whose::Address(peer.ip()))?;
        return Err(Problem::unauthenticated());
    }
    let depths = state.store().queue_depths().await?;
    for status in QueueStatus::ALL {
        let depth = depths.iter().find(|(of, _)| *of == status).map_or(0, |(_, depth)| *depth);
        state.meters().set("buildit_queue_runs", &[("status", status.as_str())], depth as f64);
    }
    Ok(([(header::CONTENT_TYPE, KIND)], state.meters().text()).into_response())
}

fn is_same(token: &Hidden, given: &str) -> bool {
    token.expose().as_bytes().ct_eq(given.as_bytes()).into()
}
