//! Whether the server is well: `/health/live` (the process answers) and `/health/ready` (its store answers too, and it is
//! not about to stop), with `/health` for both.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::state::ServerState;

/// How long the store may take: shorter than whoever asks waits.
const PATIENCE: Duration = Duration::from_secs(3);

pub(crate) fn router() -> Router<ServerState> {
    Router::new().route("/health", get(ready)).route("/health/live", get(live)).route("/health/ready", get(ready))
}

async fn live() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

async fn ready(State(state): State<ServerState>) -> (StatusCode, Json<Value>) {
    if state.leaving().is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "stopping" })));
    }
    match tokio::time::timeout(PATIENCE, state.identity().has_users()).await {
        Err(_) => {
            tracing::error!("the store does not answer in time");
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "unavailable" })))
        }
        Ok(Ok(_)) => (StatusCode::OK, Json(json!({ "status": "ok" }))),
        Ok(Err(error)) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the store does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "unavailable" })))
        }
    }
}
