//! The API of Gitea and Forgejo.

use axum::http::header::{AUTHORIZATION, InvalidHeaderValue};
use axum::http::{HeaderMap, Method};
use buildit::store::CommitState;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::call::{Call, cut};
use super::dialect::{Dialect, Found, Hook, PAGE, Saying, alone, hidden};
use super::github;
use super::place::Place;

/// How long a description is shown.
const DESCRIPTION: usize = 255;

/// What a webhook tells of; tags are pushed.
const EVENTS: [&str; 2] = ["push", "pull_request"];

#[derive(Debug)]
pub(super) struct Gitea;

fn state(state: CommitState) -> &'static str {
    match state {
        CommitState::Succeeded => "success",
        CommitState::Failed => "failure",
        CommitState::Errored | CommitState::Cancelled => "error",
        _ => "pending",
    }
}

impl Dialect for Gitea {
    fn headers(&self, token: &SecretString) -> Result<HeaderMap, InvalidHeaderValue> {
        Ok(HeaderMap::from_iter([(AUTHORIZATION, hidden(&format!("token {}", alone(token)))?)]))
    }

    fn say(&self, at: &Place, saying: &Saying<'_>) -> Call {
        Call::new(Method::POST, github::path(at, ["statuses", saying.commit])).with_body(json!({
            "state": state(saying.state),
            "context": saying.context,
            "description": cut(saying.description, DESCRIPTION),
            "target_url": saying.url,
        }))
    }

    fn hooks(&self, at: &Place, page: usize) -> Call {
        let query = vec![("limit", PAGE.to_string()), ("page", page.to_string())];
        Call::new(Method::GET, github::path(at, ["hooks"])).with_query(query)
    }

    fn read_hooks(&self, list: &Value) -> Vec<Found> {
        github::read_hooks(list, &EVENTS)
    }

    fn make_hook(&self, at: &Place, hook: &Hook) -> Call {
        let config = json!({ "url": hook.url, "content_type": "json", "secret": hook.secret.expose_secret() });
        let body = json!({ "type": "gitea", "active": true, "events": EVENTS, "config": config });
        Call::new(Method::POST, github::path(at, ["hooks"])).with_body(body)
    }

    fn change_hook(&self, _: &Place, _: &str, _: &Hook) -> Option<Call> {
        // Its secret stays what it was, whatever is asked.
        None
    }

    fn remove_hook(&self, at: &Place, id: &str) -> Call {
        Call::new(Method::DELETE, github::path(at, ["hooks", id]))
    }
}
