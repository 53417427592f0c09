//! Requests, by the pattern of their route.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;

use super::Meters;

/// The route of what matches none: whatever somebody asks for is no label.
const NONE: &str = "none";

/// Counts a request, and how long it took until its answer began.
pub(crate) async fn measure(State(meters): State<Meters>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let (method, since) = (word(request.method()), Instant::now());
    let response = next.run(request).await;
    let route = route.as_ref().map_or(NONE, MatchedPath::as_str);
    let status = response.status();
    let labels = [("method", method), ("route", route), ("status", status.as_str())];
    meters.count("buildit_http_requests_total", &labels, 1);
    meters.took("buildit_http_request_seconds", &labels[..2], since.elapsed());
    response
}

/// A method as a label: anybody may invent others.
fn word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
