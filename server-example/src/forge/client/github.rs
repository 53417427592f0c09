//! The API of GitHub, in the cloud and one's own.

use axum::http::header::{ACCEPT, AUTHORIZATION, InvalidHeaderValue};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use buildit::store::CommitState;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::call::{Call, cut};
use super::dialect::{Dialect, Found, Hook, INACTIVE, NO_JSON, PAGE, Saying, alone, hidden, id, missing};
use super::place::Place;

/// How long a description may be.
const DESCRIPTION: usize = 140;

/// What a webhook tells of; tags are pushed.
const EVENTS: [&str; 2] = ["push", "pull_request"];

#[derive(Debug)]
pub(super) struct GitHub;

/// `repos/OWNER/NAME/…`, as Gitea has it too.
pub(super) fn path<const N: usize>(at: &Place, more: [&str; N]) -> Vec<String> {
    let parts = ["repos"].into_iter().map(str::to_owned).chain(at.path().iter().cloned());
    parts.chain(more.map(str::to_owned)).collect()
}

/// The webhooks of a list, as Gitea has it too.
pub(super) fn read_hooks(list: &Value, events: &[&str]) -> Vec<Found> {
    let read = |hook: &Value| {
        let config = &hook["config"];
        let wrong = match (hook["active"].as_bool(), config["content_type"].as_str()) {
            (Some(false), _) => Some(INACTIVE.to_owned()),
            (_, kind) if kind != Some("json") => Some(NO_JSON.to_owned()),
            _ if config["insecure_ssl"] == "1" => Some("it trusts every certificate".to_owned()),
            _ => missing(&hook["events"], events),
        };
        Some(Found { id: id(&hook["id"])?, url: config["url"].as_str()?.to_owned(), wrong })
    };
    list.as_array().into_iter().flatten().filter_map(read).collect()
}

fn state(state: CommitState) -> &'static str {
    match state {
        CommitState::Succeeded => "success",
        CommitState::Failed => "failure",
        CommitState::Errored | CommitState::Cancelled => "error",
        // It has no other word for what is not over.
        _ => "pending",
    }
}

fn body(hook: &Hook) -> Value {
    let config = json!({
        "url": hook.url,
        "content_type": "json",
        "secret": hook.secret.expose_secret(),
        "insecure_ssl": "0",
    });
    json!({ "active": true, "events": EVENTS, "config": config })
}

impl Dialect for GitHub {
    fn headers(&self, token: &SecretString) -> Result<HeaderMap, InvalidHeaderValue> {
        Ok(HeaderMap::from_iter([
            (AUTHORIZATION, hidden(&format!("Bearer {}", alone(token)))?),
            (ACCEPT, HeaderValue::from_static("application/vnd.github+json")),
            (HeaderName::from_static("x-github-api-version"), HeaderValue::from_static("2022-11-28")),
        ]))
    }

    fn say(&self, at: &Place, saying: &Saying<'_>) -> Call {
        Call::new(Method::POST, path(at, ["statuses", saying.commit])).with_body(json!({
            "state": state(saying.state),
            "context": saying.context,
            "description": cut(saying.description, DESCRIPTION),
            "target_url": saying.url,
        }))
    }

    fn hooks(&self, at: &Place, page: usize) -> Call {
        let query = vec![("per_page", PAGE.to_string()), ("page", page.to_string())];
        Call::new(Method::GET, path(at, ["hooks"])).with_query(query)
    }

    fn read_hooks(&self, list: &Value) -> Vec<Found> {
        read_hooks(list, &EVENTS)
    }

    fn make_hook(&self, at: &Place, hook: &Hook) -> Call {
        let mut body = body(hook);
        body["name"] = "web".into();
        Call::new(Method::POST, path(at, ["hooks"])).with_body(body)
    }

    fn change_hook(&self, at: &Place, id: &str, hook: &Hook) -> Option<Call> {
        Some(Call::new(Method::PATCH, path(at, ["hooks", id])).with_body(body(hook)))
    }

    fn remove_hook(&self, at: &Place, id: &str) -> Call {
        Call::new(Method::DELETE, path(at, ["hooks", id]))
    }
}
