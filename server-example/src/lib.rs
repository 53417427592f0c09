//! The BuildIt server as a library: [`router`] gives an [`axum::Router`] that another program can nest.
//!
//! So far it tells how it is: `GET /health/live` (the process answers) and `GET /health/ready` (its store answers too),
//! with `GET /health` for both.
#![forbid(unsafe_code)]

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use buildit::store::Store;
use serde_json::{Value, json};

/// What the server stands on.
#[derive(Clone, Debug)]
pub struct ServerState {
    store: Arc<dyn Store>,
}

impl ServerState {
    /// A server over this store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }
}

/// The server's routes.
pub fn router(state: ServerState) -> Router {
    Router::new()
        .route("/health", get(ready))
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .with_state(state)
}

async fn live() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

async fn ready(State(state): State<ServerState>) -> (StatusCode, Json<Value>) {
    match state.store.open_runs().await {
        Ok(runs) => (StatusCode::OK, Json(json!({ "status": "ok", "open_runs": runs.len() }))),
        Err(error) => {
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "unavailable", "reason": error.to_string() })))
        }
    }
}
