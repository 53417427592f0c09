//! The router, with what holds for every request.

use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::csrf::CsrfLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::trace::TraceLayer;
use tower_sessions::cookie::SameSite;
use tower_sessions::{Expiry, SessionManagerLayer};
use tracing::Span;

use crate::access::Sessions;
use crate::meters::{self, measure};
use crate::problem::Problem;
use crate::state::ServerState;
use crate::{api, health, web};

/// How large a body may be: a pipeline's text, a form.
const BODY: usize = 4 * 1024 * 1024;

/// What a page may do: nothing but what comes from this server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The page of the API's description brings styles in its elements.
const DOCS_POLICY: &str = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The server's routes, to be nested where [`Settings::external_url`](crate::Settings::external_url) says. Whoever serves them tells the peers' addresses
/// ([`into_make_service_with_connect_info`](Router::into_make_service_with_connect_info)): rate limits, and the way to the
/// first owner, go by them.
pub fn router(state: ServerState) -> Router {
    let is_https = state.settings().url().starts_with("https://");
    let days = time::Duration::days(i64::from(state.settings().session_days));
    let sessions = SessionManagerLayer::new(Sessions::new(state.store().clone()))
        .with_name("buildit")
        .with_secure(is_https)
        .with_http_only(true)
        .with_path(if state.base().is_empty() { "/".to_owned() } else { state.base().to_owned() })
        .with_same_site(SameSite::Lax)
        .with_expiry(Expiry::OnInactivity(days));
    let csrf = CsrfLayer::new().with_rejection_response(|_| Problem::foreign().into_response());
    let csrf = match csrf.clone().add_trusted_origin(state.settings().origin()) {
        Ok(trusting) => trusting,
        Err(error) => {
            tracing::warn!(%error, url = state.settings().url(), "the external URL is no origin");
            csrf
        }
    };
    let pages = web::router(&state).merge(api::router(state.base())).layer(sessions).layer(csrf);
    pages
        .merge(health::router())
        .merge(meters::router())
        .layer(from_fn(guard))
        .layer(CompressionLayer::new())
        .layer(DefaultBodyLimit::max(BODY))
        .layer(CatchPanicLayer::custom(|_| Problem::internal().into_response()))
        .layer(from_fn_with_state(state.meters().clone(), measure))
        .layer(TraceLayer::new_for_http().make_span_with(span))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .with_state(state)
}

/// Where what is written for a request is written: with its id. Its address is not told, which may have a token in it.
fn span(request: &Request) -> Span {
    let is_plain = |id: &&str| id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let id = request.headers().get("x-request-id").and_then(|id| id.to_str().ok()).filter(is_plain);
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str);
    tracing::info_span!("request", request_id = id.unwrap_or_default(), method = %request.method(), route)
}

/// Tells browsers what a page of this server may do.
async fn guard(request: Request, next: Next) -> Response {
    let is_docs = request.uri().path().starts_with("/api/docs");
    let is_asset = request.uri().path().starts_with("/assets/");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let policy = if is_docs { DOCS_POLICY } else { POLICY };
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    if !is_asset {
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
    response
}

/// How long requests that are under way have when the server stops.
pub(crate) const LEAVE: Duration = Duration::from_secs(10);
