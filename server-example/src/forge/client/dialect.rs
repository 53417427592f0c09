//! What each forge calls it.

use axum::http::header::InvalidHeaderValue;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use buildit::store::{CommitState, Forge};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::bitbucket::Bitbucket;
use super::call::Call;
use super::gitea::Gitea;
use super::github::GitHub;
use super::gitlab::GitLab;
use super::place::Place;

/// What is said of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Saying<'a> {
    pub(crate) commit: &'a str,
    /// A branch, a tag, or `refs/pull/NUMBER/head`; empty when none is known.
    pub(crate) reference: &'a str,
    pub(crate) context: &'a str,
    pub(crate) state: CommitState,
    pub(crate) description: &'a str,
    pub(crate) url: &'a str,
}

/// A webhook as it is to be.
#[derive(Clone, Debug)]
pub(crate) struct Hook {
    /// Where it leads.
    pub(crate) url: String,
    /// What it is signed with.
    pub(crate) secret: SecretString,
}

/// How it stands with a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Made,
    Missing,
    /// It is there, but so.
    Wrong(String),
}

/// A webhook that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) id: String,
    pub(super) url: String,
    /// What is wrong with it, if something is.
    pub(super) wrong: Option<String>,
}

/// How one kind of forge is spoken to.
pub(super) trait Dialect: Sync {
    /// How the token is shown, and what else comes along with each request.
    fn headers(&self, token: &SecretString) -> Result<HeaderMap, InvalidHeaderValue>;

    /// Says how it stands with a commit.
    fn say(&self, at: &Place, saying: &Saying<'_>) -> Call;

    /// Whether this refusal means that the forge says so already.
    fn is_said(&self, _status: StatusCode, _message: &str) -> bool {
        false
    }

    /// Lists webhooks, [`PAGE`] at once; pages are counted from 1.
    fn hooks(&self, at: &Place, page: usize) -> Call;

    /// The webhooks of a list. What makes no sense in it is none.
    fn read_hooks(&self, list: &Value) -> Vec<Found>;

    /// Makes a webhook.
    fn make_hook(&self, at: &Place, hook: &Hook) -> Call;

    /// Makes a webhook that is there what it is to be; none where the forge cannot change its secret.
    fn change_hook(&self, at: &Place, id: &str, hook: &Hook) -> Option<Call>;

    /// Removes a webhook.
    fn remove_hook(&self, at: &Place, id: &str) -> Call;
}

/// How many webhooks are listed at once: what each forge allows.
pub(super) const PAGE: usize = 50;

pub(super) fn of(forge: Forge) -> &'static dyn Dialect {
    match forge {
        Forge::GitHub => &GitHub,
        Forge::GitLab => &GitLab,
        Forge::Gitea => &Gitea,
        Forge::Bitbucket => &Bitbucket,
    }
}

/// What a token must be allowed, for people who make one.
pub(crate) fn needs(forge: Forge) -> &'static str {
    match forge {
        Forge::GitHub => {
            "Contents (read), Commit statuses and Webhooks (write), or repo and admin:repo_hook for a classic token"
        }
        Forge::GitLab => "the scope api, and the role Maintainer",
        Forge::Gitea => "write:repository, of somebody who administers the repository",
        Forge::Bitbucket => "repositories (write) and webhooks (read and write)",
    }
}

/// A header that no log shows.
pub(super) fn hidden(text: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(text)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The token alone, where `USER:TOKEN` was given to read the repository with.
pub(super) fn alone(token: &SecretString) -> &str {
    let token = token.expose_secret();
    token.split_once(':').map_or(token, |(_, token)| token)
}

/// What is missing in a list that forges have of the events of a webhook.
pub(super) fn missing(events: &Value, wanted: &[&str]) -> Option<String> {
    let has = |wanted: &str| events.as_array().is_some_and(|events| events.iter().any(|event| event == wanted));
    let missing: Vec<&str> = wanted.iter().copied().filter(|wanted| !has(wanted)).collect();
    (!missing.is_empty()).then(|| format!("it does not tell of {}", missing.join(", ")))
}

/// A value as the part of an address that it is.
pub(super) fn id(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

pub(super) const INACTIVE: &str = "it is switched off";
pub(super) const NO_JSON: &str = "it does not send JSON";
