//! Asks forges.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, StatusCode};
use buildit::id::Digest;
use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::call::{Call, cut};
use super::dialect::{self, Dialect, Found, Hook, PAGE, Saying, Standing};
use super::error::ForgeError;
use super::place::Place;
use crate::abroad;
use crate::notify::Guard;

/// How much of a forge's own words is told, in characters.
const SAID: usize = 200;

/// How many pages of webhooks are looked through: no forge allows that many of one repository.
const PAGES: usize = 20;

/// How long a forge is left alone at most that wants to be, and how long when it does not say.
const REST: SignedDuration = SignedDuration::from_hours(1);
const USUAL_REST: SignedDuration = SignedDuration::from_secs(30);

/// Asks the APIs of forges. No redirect is followed, and no address asked that the guard does not let through.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    guard: Guard,
    /// Until when forges want to be left alone by whom, by the digest of both.
    resting: Arc<Mutex<HashMap<Digest, Timestamp>>>,
}

/// One forge, and who asks it.
struct Asking<'a> {
    client: &'a Client,
    at: &'a Place,
    token: &'a SecretString,
    dialect: &'static dyn Dialect,
}

impl Client {
    /// One that asks only whom the guard lets through.
    ///
    /// # Errors
    ///
    /// [`reqwest::Error`] when this system cannot ask anybody.
    pub(crate) fn new(guard: Guard) -> Result<Self, reqwest::Error> {
        Ok(Self { http: guard.client()?, guard, resting: Arc::default() })
    }

    /// Who is asked.
    pub(crate) fn guard(&self) -> Guard {
        self.guard
    }

    fn asking<'a>(&'a self, at: &'a Place, token: &'a SecretString) -> Asking<'a> {
        Asking { client: self, at, token, dialect: dialect::of(at.forge()) }
    }

    /// Says how it stands with a commit.
    pub(crate) async fn say(&self, at: &Place, token: &SecretString, saying: &Saying<'_>) -> Result<(), ForgeError> {
        let asking = self.asking(at, token);
        match asking.ask(asking.dialect.say(at, saying)).await {
            Err(ForgeError::Refused { status, said }) if asking.dialect.is_said(status, &said) => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// How it stands with the webhook that leads here.
    pub(crate) async fn look(&self, at: &Place, token: &SecretString, url: &str) -> Result<Standing, ForgeError> {
        let found = self.asking(at, token).hooks(url).await?;
        Ok(match &found[..] {
            [] => Standing::Missing,
            [Found { wrong: None, .. }] => Standing::Made,
            [Found { wrong: Some(why), .. }] => Standing::Wrong(why.clone()),
            several => Standing::Wrong(format!("it is there {} times", several.len())),
        })
    }

    /// Makes the webhook, or makes what is there of it as it is to be: after that there is one.
    pub(crate) async fn make(&self, at: &Place, token: &SecretString, hook: &Hook) -> Result<(), ForgeError> {
        let asking = self.asking(at, token);
        let there = asking.hooks(&hook.url).await?;
        if let [first, others @ ..] = &there[..]
            && let Some(change) = asking.dialect.change_hook(at, &first.id, hook)
        {
            asking.ask(change).await?;
            return asking.remove(others).await;
        }
        // Before any other one goes, so that nothing is missed meanwhile.
        asking.ask(asking.dialect.make_hook(at, hook)).await?;
        let mut there = asking.hooks(&hook.url).await?;
        // Whoever has made one at the same time leaves the same one.
        there.sort_unstable_by_key(|found| (found.id.len(), found.id.clone()));
        there.pop();
        asking.remove(&there).await
    }

    /// Removes every webhook that leads there; how many there were.
    pub(crate) async fn remove(&self, at: &Place, token: &SecretString, url: &str) -> Result<usize, ForgeError> {
        let asking = self.asking(at, token);
        let there = asking.hooks(url).await?;
        asking.remove(&there).await?;
        Ok(there.len())
    }
}

impl Asking<'_> {
    /// The webhooks that lead there.
    async fn hooks(&self, url: &str) -> Result<Vec<Found>, ForgeError> {
        let mut there = Vec::new();
        for page in 1..=PAGES {
            let list = self.ask(self.dialect.hooks(self.at, page)).await?;
            let found = self.dialect.read_hooks(&list);
            let count = list.as_array().or(list["values"].as_array()).map_or(0, Vec::len);
            there.extend(found.into_iter().filter(|hook| hook.url.trim_end_matches('/') == url));
            if count < PAGE {
                return Ok(there);
            }
        }
        Err(ForgeError::TooMany)
    }

    async fn remove(&self, hooks: &[Found]) -> Result<(), ForgeError> {
        for hook in hooks {
            match self.ask(self.dialect.remove_hook(self.at, &hook.id)).await {
                // Somebody else has.
                Err(ForgeError::NotFound { .. }) => {}
                answer => drop(answer?),
            }
        }
        Ok(())
    }

    /// Asks, and gives what was answered; null for nothing.
    async fn ask(&self, call: Call) -> Result<Value, ForgeError> {
        let mut url = self.at.base().clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(&call.path);
        }
        self.client.guard.check(&url)?;
        self.check_rest(Timestamp::now())?;
        let headers = self.dialect.headers(self.token).map_err(ForgeError::OddToken)?;
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let mut request = self.client.http.request(call.method, url).headers(headers);
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(|error| ForgeError::Unreachable(error.without_url()))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = abroad::body(answer).await.map_err(|error| ForgeError::Unreachable(error.without_url()));
        let text = text.and_then(|text| text.ok_or(ForgeError::TooLong));
        if status.is_success() {
            return match text? {
                text if text.trim_ascii().is_empty() => Ok(Value::Null),
                text => serde_json::from_slice(&text).map_err(ForgeError::Unreadable),
            };
        }
        let refusal = self.refusal(status, &headers, &text.unwrap_or_default());
        if let ForgeError::TooOften(pause) = refusal {
            self.rest(pause, Timestamp::now());
        }
        Err(refusal)
    }

    /// Who asks whom.
    fn who(&self) -> Digest {
        Digest::of(format!("{} {}", self.at.base(), self.token.expose_secret()).as_bytes())
    }

    /// Refuses to ask a forge that wants to be left alone.
    fn check_rest(&self, now: Timestamp) -> Result<(), ForgeError> {
        let resting = self.client.resting.lock().unwrap_or_else(PoisonError::into_inner);
        match resting.get(&self.who()) {
            Some(until) if *until > now => Err(ForgeError::TooOften(Some(until.duration_since(now)))),
            _ => Ok(()),
        }
    }

    fn rest(&self, pause: Option<SignedDuration>, now: Timestamp) {
        let pause = pause.unwrap_or(USUAL_REST).clamp(SignedDuration::ZERO, REST);
        let mut resting = self.client.resting.lock().unwrap_or_else(PoisonError::into_inner);
        resting.retain(|_, until| *until > now);
        resting.insert(self.who(), now + pause);
    }

    fn refusal(&self, status: StatusCode, headers: &HeaderMap, text: &[u8]) -> ForgeError {
        let (forge, said) = (self.at.forge(), self.said(text));
        match status {
            StatusCode::TOO_MANY_REQUESTS => ForgeError::TooOften(pause(headers, Timestamp::now())),
            StatusCode::FORBIDDEN if is_limited(headers) => ForgeError::TooOften(pause(headers, Timestamp::now())),
            StatusCode::UNAUTHORIZED => ForgeError::Unauthorized,
            StatusCode::FORBIDDEN => ForgeError::Forbidden { forge, said },
            StatusCode::NOT_FOUND => ForgeError::NotFound { forge, said },
            StatusCode::REQUEST_TIMEOUT => ForgeError::Unwell(status),
            status if status.is_redirection() => ForgeError::Elsewhere,
            status if status.is_server_error() => ForgeError::Unwell(status),
            status => ForgeError::Refused { status, said },
        }
    }

    /// What a forge says of its refusal, without the token, should that be in it.
    fn said(&self, text: &[u8]) -> String {
        let body: Value = serde_json::from_slice(text).unwrap_or_default();
        let message = [&body["message"], &body["error"]["message"], &body["error_description"], &body["error"]];
        let message = message.into_iter().find(|message| !message.is_null());
        let message = message.map_or_else(String::new, |said| said.as_str().map_or(said.to_string(), str::to_owned));
        let message = match dialect::alone(self.token) {
            "" => message,
            token => message.replace(self.token.expose_secret(), "***").replace(token, "***"),
        };
        let message: String = message.chars().filter(|character| !character.is_control()).collect();
        if message.is_empty() { "it does not say why".to_owned() } else { cut(&message, SAID) }
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<i64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// Whether it was refused because of how often it was asked: GitHub says so with the status of who may not.
fn is_limited(headers: &HeaderMap) -> bool {
    headers.contains_key(RETRY_AFTER) || number(headers, "x-ratelimit-remaining") == Some(0)
}

/// How long the forge wants to be left alone, if it says so: for seconds, until a date, or until its count begins anew.
fn pause(headers: &HeaderMap, now: Timestamp) -> Option<SignedDuration> {
    let after = headers.get(RETRY_AFTER).and_then(|after| after.to_str().ok());
    let date = || after.and_then(|after| rfc2822::parse(after).ok()).map(|date| date.timestamp());
    let reset = || {
        let second = number(headers, "x-ratelimit-reset").or_else(|| number(headers, "ratelimit-reset"))?;
        Timestamp::from_second(second).ok()
    };
    let seconds = number(headers, RETRY_AFTER.as_str()).map(SignedDuration::from_secs);
    seconds.or_else(|| Some(date().or_else(reset)?.duration_since(now)))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_forge_says_how_long_it_wants_to_be_left_alone() {
        let now = Timestamp::from_second(1_767_225_600).unwrap();
        let of = |headers: &[(&'static str, &'static str)]| {
            let headers = headers
                .iter()
                .map(|(name, value)| (axum::http::HeaderName::from_static(name), HeaderValue::from_static(value)));
            pause(&headers.collect(), now).map(|pause| pause.as_secs())
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("retry-after", "7"), ("x-ratelimit-reset", "1767225700")]), Some(7));
        assert_eq!(of(&[("retry-after", "Thu, 01 Jan 2026 00:01:00 GMT")]), Some(60));
        assert_eq!(of(&[("x-ratelimit-reset", "1767225700")]), Some(100));
        assert_eq!(of(&[("ratelimit-reset", "1767225605")]), Some(5));
        assert_eq!(of(&[("retry-after", "soon")]), None);
    }
}
