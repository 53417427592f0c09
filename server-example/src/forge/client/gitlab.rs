//! The API of GitLab.

use axum::http::header::InvalidHeaderValue;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use buildit::store::CommitState;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::call::{Call, cut};
use super::dialect::{Dialect, Found, Hook, INACTIVE, PAGE, Saying, alone, hidden, id};
use super::place::Place;

/// How long a description and a name may be.
const DESCRIPTION: usize = 255;

/// What a webhook tells of, as a field for each.
const EVENTS: [(&str, &str); 3] =
    [("push_events", "pushes"), ("tag_push_events", "tags"), ("merge_requests_events", "merge requests")];

#[derive(Debug)]
pub(super) struct GitLab;

fn path<const N: usize>(at: &Place, more: [&str; N]) -> Vec<String> {
    // The whole path is one part of the address.
    let parts = ["projects".to_owned(), at.path().join("/")].into_iter();
    parts.chain(more.map(str::to_owned)).collect()
}

fn state(state: CommitState) -> &'static str {
    match state {
        CommitState::Running => "running",
        CommitState::Succeeded => "success",
        CommitState::Failed | CommitState::Errored => "failed",
        CommitState::Cancelled => "canceled",
        _ => "pending",
    }
}

/// The same name as GitLab has it.
fn reference(name: &str) -> String {
    match name.strip_prefix("refs/pull/") {
        Some(request) => format!("refs/merge-requests/{request}"),
        None => name.to_owned(),
    }
}

fn body(hook: &Hook) -> Value {
    let mut body = json!({ "url": hook.url, "token": hook.secret.expose_secret(), "enable_ssl_verification": true });
    for (field, _) in EVENTS {
        body[field] = true.into();
    }
    body
}

impl Dialect for GitLab {
    fn headers(&self, token: &SecretString) -> Result<HeaderMap, InvalidHeaderValue> {
        Ok(HeaderMap::from_iter([(HeaderName::from_static("private-token"), hidden(alone(token))?)]))
    }

    fn say(&self, at: &Place, saying: &Saying<'_>) -> Call {
        let mut body = json!({
            "state": state(saying.state),
            "name": cut(saying.context, DESCRIPTION),
            "description": cut(saying.description, DESCRIPTION),
            "target_url": saying.url,
        });
        if !saying.reference.is_empty() {
            body["ref"] = reference(saying.reference).into();
        }
        Call::new(Method::POST, path(at, ["statuses", saying.commit])).with_body(body)
    }

    /// It refuses the state that it shows already, or one from which it knows no way, and takes the description all the
    /// same.
    fn is_said(&self, status: StatusCode, message: &str) -> bool {
        status == StatusCode::BAD_REQUEST && message.starts_with("Cannot transition status via")
    }

    fn hooks(&self, at: &Place, page: usize) -> Call {
        let query = vec![("per_page", PAGE.to_string()), ("page", page.to_string())];
        Call::new(Method::GET, path(at, ["hooks"])).with_query(query)
    }

    fn read_hooks(&self, list: &Value) -> Vec<Found> {
        let read = |hook: &Value| {
            let missing: Vec<&str> =
                EVENTS.iter().filter(|(field, _)| hook[field] != true).map(|(_, word)| *word).collect();
            let wrong = match hook["alert_status"].as_str() {
                Some("disabled" | "temporarily_disabled") => Some(INACTIVE.to_owned()),
                _ if hook["enable_ssl_verification"] == false => Some("it trusts every certificate".to_owned()),
                _ => (!missing.is_empty()).then(|| format!("it does not tell of {}", missing.join(", "))),
            };
            Some(Found { id: id(&hook["id"])?, url: hook["url"].as_str()?.to_owned(), wrong })
        };
        list.as_array().into_iter().flatten().filter_map(read).collect()
    }

    fn make_hook(&self, at: &Place, hook: &Hook) -> Call {
        Call::new(Method::POST, path(at, ["hooks"])).with_body(body(hook))
    }

    fn change_hook(&self, at: &Place, id: &str, hook: &Hook) -> Option<Call> {
        Some(Call::new(Method::PUT, path(at, ["hooks", id])).with_body(body(hook)))
    }

    fn remove_hook(&self, at: &Place, id: &str) -> Call {
        Call::new(Method::DELETE, path(at, ["hooks", id]))
    }
}
