//! The server says how it is.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use buildit::memory::MemoryStore;
use buildit_server::{ServerState, router};
use http_body_util::BodyExt;
use tower::ServiceExt;

#[tokio::test]
async fn it_is_ready_when_its_store_answers_also_where_it_is_nested() {
    let app = axum::Router::new().nest("/ci", router(ServerState::new(Arc::new(MemoryStore::new()))));
    for path in ["/ci/health", "/ci/health/live", "/ci/health/ready"] {
        let answer = app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["status"], "ok", "{path}");
    }
}
