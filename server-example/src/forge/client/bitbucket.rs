//! The API of Bitbucket in the cloud.

use axum::http::header::{AUTHORIZATION, InvalidHeaderValue};
use axum::http::{HeaderMap, Method};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use buildit::store::CommitState;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::call::{Call, cut, known};
use super::dialect::{Dialect, Found, Hook, INACTIVE, PAGE, Saying, hidden, id, missing};
use super::place::Place;

/// How long a description and a key may be.
const DESCRIPTION: usize = 255;
const KEY: usize = 40;

/// What a webhook tells of.
const EVENTS: [&str; 3] = ["repo:push", "pullrequest:created", "pullrequest:updated"];

#[derive(Debug)]
pub(super) struct Bitbucket;

fn path<const N: usize>(at: &Place, more: [&str; N]) -> Vec<String> {
    let parts = ["repositories"].into_iter().map(str::to_owned).chain(at.path().iter().cloned());
    parts.chain(more.map(str::to_owned)).collect()
}

fn state(state: CommitState) -> &'static str {
    match state {
        CommitState::Succeeded => "SUCCESSFUL",
        CommitState::Failed | CommitState::Errored => "FAILED",
        CommitState::Cancelled => "STOPPED",
        _ => "INPROGRESS",
    }
}

fn body(hook: &Hook) -> Value {
    let (url, secret) = (&hook.url, hook.secret.expose_secret());
    json!({ "description": "BuildIt", "url": url, "active": true, "secret": secret, "events": EVENTS })
}

impl Dialect for Bitbucket {
    fn headers(&self, token: &SecretString) -> Result<HeaderMap, InvalidHeaderValue> {
        let token = token.expose_secret();
        // One of a repository comes alone, one of a person with their name.
        let shown = match token.contains(':') {
            true => format!("Basic {}", STANDARD.encode(token)),
            false => format!("Bearer {token}"),
        };
        Ok(HeaderMap::from_iter([(AUTHORIZATION, hidden(&shown)?)]))
    }

    fn say(&self, at: &Place, saying: &Saying<'_>) -> Call {
        Call::new(Method::POST, path(at, ["commit", saying.commit, "statuses", "build"])).with_body(json!({
            "state": state(saying.state),
            "key": known(saying.context, KEY),
            "name": cut(saying.context, DESCRIPTION),
            "description": cut(saying.description, DESCRIPTION),
            "url": saying.url,
        }))
    }

    fn hooks(&self, at: &Place, page: usize) -> Call {
        let query = vec![("pagelen", PAGE.to_string()), ("page", page.to_string())];
        Call::new(Method::GET, path(at, ["hooks"])).with_query(query)
    }

    fn read_hooks(&self, list: &Value) -> Vec<Found> {
        let read = |hook: &Value| {
            let wrong = match (hook["active"].as_bool(), hook["secret_set"].as_bool()) {
                (Some(false), _) => Some(INACTIVE.to_owned()),
                (_, Some(false)) => Some("it has no secret".to_owned()),
                _ => missing(&hook["events"], &EVENTS),
            };
            Some(Found { id: id(&hook["uuid"])?, url: hook["url"].as_str()?.to_owned(), wrong })
        };
        list["values"].as_array().into_iter().flatten().filter_map(read).collect()
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
