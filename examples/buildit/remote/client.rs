//! Requests to a server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::{Method, Response, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::{Problem, RemoteError};
use super::keys::{Keys, address};
use crate::exit::Failure;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);

/// How long nothing may come of an answer: more often than this a server says that it is still there.
const SILENCE: Duration = Duration::from_secs(60);

/// How often and at most how far apart a question is put again to a server that was there and is gone: it may be
/// starting anew. About two minutes in all.
const TRIES: u32 = 30;
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A server, and the key that it is asked with.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    key: Option<SecretString>,
    /// Whether it has answered yet.
    was_reached: AtomicBool,
}

/// The words of a path, whose odd characters are written as URLs have them.
pub(crate) type Path<'a> = &'a [&'a str];

/// What stands behind a path.
pub(crate) type Query<'a> = &'a [(&'a str, &'a str)];

impl Client {
    /// The server at this URL, with the key that `BUILDIT_TOKEN` holds, or the one that is kept for it.
    pub(crate) fn open(server: &str) -> Result<Self, Failure> {
        let base = address(server)?;
        let key = match crate::session::variable("BUILDIT_TOKEN")?.filter(|key| !key.expose_secret().is_empty()) {
            Some(key) => Some(key),
            None => Keys::open()?.of(&base)?,
        };
        Self::with_key(base, key)
    }

    /// The same with this key.
    pub(crate) fn with_key(base: Url, key: Option<SecretString>) -> Result<Self, Failure> {
        // Whoever set one before has one that does as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // What is kept secret goes to no other place than the one that was named.
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let http = http.connect_timeout(CONNECT).read_timeout(SILENCE).user_agent("buildit");
        let http = http.build().map_err(Failure::backend)?;
        Ok(Self { http, base, key, was_reached: AtomicBool::new(false) })
    }

    /// Where it is.
    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    /// What a path has. A server that was there before is waited for.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: Path<'_>, query: Query<'_>) -> Result<T, RemoteError> {
        let mut tries = 0;
        loop {
            match self.read(self.send(Method::GET, path, query, &[], None).await?).await {
                Err(error) if self.pause(&error, &mut tries).await => {}
                read => return read,
            }
        }
    }

    /// The answer of a path, to be read piece by piece. A server that was there before is waited for.
    pub(crate) async fn open_get(&self, path: Path<'_>, query: Query<'_>) -> Result<Response, RemoteError> {
        self.send(Method::GET, path, query, &[], None).await
    }

    /// Asks for something to be done once, and gives what is told of it.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: Path<'_>,
        headers: Query<'_>,
        body: Option<Value>,
    ) -> Result<T, RemoteError> {
        self.read(self.send(method, path, &[], headers, body).await?).await
    }

    /// Asks for something to be done once, of which nothing is told.
    pub(crate) async fn tell(&self, method: Method, path: Path<'_>, body: Option<Value>) -> Result<(), RemoteError> {
        self.send(method, path, &[], &[], body).await.map(drop)
    }

    /// Waits before the next try, if there is one.
    pub(super) async fn pause(&self, error: &RemoteError, tries: &mut u32) -> bool {
        *tries += 1;
        if !error.is_passing() || !self.was_reached.load(Ordering::Relaxed) || *tries > TRIES {
            return false;
        }
        tokio::time::sleep((Duration::from_millis(100) * 2_u32.pow((*tries).min(6))).min(LONGEST_PAUSE)).await;
        true
    }

    async fn send(
        &self,
        method: Method,
        path: Path<'_>,
        query: Query<'_>,
        headers: Query<'_>,
        body: Option<Value>,
    ) -> Result<Response, RemoteError> {
        let mut tries = 0;
        loop {
            match self.try_send(method.clone(), path, query, headers, body.as_ref()).await {
                // What changes something is asked for once: nobody knows whether it was done.
                Err(error) if method == Method::GET && self.pause(&error, &mut tries).await => {}
                sent => return sent,
            }
        }
    }

    async fn try_send(
        &self,
        method: Method,
        path: Path<'_>,
        query: Query<'_>,
        headers: Query<'_>,
        body: Option<&Value>,
    ) -> Result<Response, RemoteError> {
        let mut request = self.http.request(method, self.url(path, query));
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose_secret());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        self.was_reached.store(true, Ordering::Relaxed);
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let said = response.bytes().await.unwrap_or_default();
        Err(RemoteError::Told(serde_json::from_slice(&said).unwrap_or_else(|_| Problem::of(status))))
    }

    async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T, RemoteError> {
        let said = response.bytes().await.map_err(|error| self.unreachable(error))?;
        serde_json::from_slice(&said).map_err(|source| RemoteError::Foreign { server: self.base.to_string(), source })
    }

    pub(super) fn unreachable(&self, error: reqwest::Error) -> RemoteError {
        RemoteError::Unreachable { server: self.base.to_string(), source: error.without_url() }
    }

    fn url(&self, path: Path<'_>, query: Query<'_>) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

/// A page of a list.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct List<T> {
    items: Vec<T>,
    next: Option<String>,
}

impl Client {
    /// At most so many items of a list, over its pages.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        path: Path<'_>,
        query: Query<'_>,
        most: usize,
    ) -> Result<Vec<T>, RemoteError> {
        let mut items: Vec<T> = Vec::new();
        let mut cursor: Option<String> = None;
        while items.len() < most {
            let limit = (most - items.len()).min(PAGE).to_string();
            let mut query = query.to_vec();
            query.push(("limit", &limit));
            if let Some(cursor) = &cursor {
                query.push(("cursor", cursor));
            }
            let page: List<T> = self.get(path, &query).await?;
            items.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        Ok(items)
    }
}

/// How many items a page may have.
const PAGE: usize = 200;

/// What is sent when there is nothing to say.
pub(crate) fn nothing() -> Option<Value> {
    Some(Value::Object(serde_json::Map::new()))
}

/// A body of these fields.
pub(crate) fn body(fields: &impl Serialize) -> Result<Option<Value>, Failure> {
    serde_json::to_value(fields).map(Some).map_err(Failure::backend)
}
