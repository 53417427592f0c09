//! A server in a folder of its own, and those who ask it.

pub(crate) mod browser;
pub(crate) mod git;
pub(crate) mod golden;
pub(crate) mod hub;
pub(crate) mod log;
pub(crate) mod post;
pub(crate) mod program;
#[cfg(feature = "oidc")]
pub(crate) mod provider;
pub(crate) mod sink;
pub(crate) mod things;
pub(crate) mod walk;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use buildit_server::{Server, Settings};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

/// Somebody at the machine, and somebody elsewhere.
pub(crate) const HERE: &str = "127.0.0.1:50000";
pub(crate) const AWAY: &str = "192.0.2.7:50000";

/// A server that is served at no port: requests are handed to it.
pub(crate) struct Site {
    pub(crate) server: Arc<Server>,
    pub(crate) app: Router,
    /// Its folder, as long as it is there.
    _folder: Option<tempfile::TempDir>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// Requires it to have gone well.
    pub(crate) fn ok(self) -> Self {
        assert!(self.status.is_success(), "{} {}", self.status, self.text);
        self
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Site {
    /// An empty one, which drives its runs.
    pub(crate) async fn new() -> Self {
        Self::new_with(|_| ()).await
    }

    /// The same with other settings.
    pub(crate) async fn new_with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Self::settings(folder.path());
        change(&mut settings);
        let site = Self::open_with(settings).await;
        Self { _folder: Some(folder), ..site }
    }

    /// The one in this folder.
    pub(crate) async fn open(folder: &Path) -> Self {
        Self::open_with(Self::settings(folder)).await
    }

    /// What holds for all of them.
    pub(crate) fn settings(folder: &Path) -> Settings {
        let mut settings = Settings::default();
        settings.data = folder.to_owned();
        settings.requests_per_second = 100_000.try_into().unwrap();
        settings.docker = false;
        // Channels lead to this machine.
        settings.private_targets = true;
        settings.local_repositories = true;
        settings
    }

    pub(crate) async fn open_with(settings: Settings) -> Self {
        let server = Arc::new(Server::open(settings).await.unwrap());
        let app = server.routes();
        tokio::spawn({
            let server = Arc::clone(&server);
            async move { server.work().await }
        });
        Self { server, app, _folder: None }
    }

    /// Asks as this one.
    pub(crate) async fn ask(&self, who: &Who, method: Method, path: &str, body: Option<Value>) -> Answer {
        let kind = "application/json";
        self.send(who, method, path, kind, body.map(|body| body.to_string()).unwrap_or_default()).await
    }

    pub(crate) async fn get(&self, who: &Who, path: &str) -> Answer {
        self.ask(who, Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, who: &Who, path: &str, body: Value) -> Answer {
        self.ask(who, Method::POST, path, Some(body)).await
    }

    /// Sends a form, as a page does.
    pub(crate) async fn form(&self, who: &Who, path: &str, fields: &[(&str, &str)]) -> Answer {
        let plain = |byte: u8| byte.is_ascii_alphanumeric();
        let encode = |text: &str| -> String {
            text.bytes()
                .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
                .collect()
        };
        let pairs: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        self.send(who, Method::POST, path, "application/x-www-form-urlencoded", pairs.join("&")).await
    }

    pub(crate) async fn send(&self, who: &Who, method: Method, path: &str, kind: &str, body: String) -> Answer {
        let response = self.app.clone().oneshot(who.request(method, path, kind, body)).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, text: String::from_utf8_lossy(&bytes).into_owned() }
    }

    /// Makes the owner of the organization `acme`, who is logged in then.
    pub(crate) async fn owner(&self) -> Who {
        let fields =
            [("organization", "acme"), ("email", "ada@example.com"), ("name", "Ada"), ("password", "correct horse")];
        let answer = self.form(&Who::here(), "/setup", &fields).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (StatusCode::SEE_OTHER, "/acme/main"),
            "{}",
            answer.text
        );
        Who::browser(&answer)
    }

    /// A key of the first tenant with this role.
    pub(crate) async fn key(&self, owner: &Who, role: &str) -> Who {
        self.key_of(owner, &self.tenant(owner, "acme", "main").await, role).await
    }

    pub(crate) async fn key_of(&self, owner: &Who, tenant: &str, role: &str) -> Who {
        let path = format!("/api/v1/tenants/{tenant}/keys");
        let made = self.post(owner, &path, json!({ "name": role, "role": role })).await.ok().json();
        Who::program(made["token"].as_str().unwrap())
    }

    /// Whoever accepts the invitation with this link, new here and logged in.
    pub(crate) async fn join(&self, link: &str) -> Who {
        let fields = [("name", "Other"), ("password", "correct horse too")];
        Who::browser(&self.form(&Who::away(), link, &fields).await)
    }

    /// The id of a tenant.
    pub(crate) async fn tenant(&self, who: &Who, organization: &str, name: &str) -> String {
        let found = self.get(who, "/api/v1/organizations").await.ok().json();
        let organization = found["items"].as_array().unwrap().iter().find(|one| one["name"] == organization).unwrap();
        let path = format!("/api/v1/organizations/{}/tenants", organization["id"].as_str().unwrap());
        let found = self.get(who, &path).await.ok().json();
        let tenant = found["items"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap();
        tenant["id"].as_str().unwrap().to_owned()
    }

    /// The id of this server's worker, once it has said that it is there.
    pub(crate) async fn worker(&self, owner: &Who) -> String {
        loop {
            let found = self.get(owner, "/api/v1/workers").await.ok().json();
            if let Some(worker) = found["items"].as_array().unwrap().first() {
                return worker["id"].as_str().unwrap().to_owned();
            }
            tokio::task::yield_now().await;
        }
    }

    /// Keeps a pipeline and gives its id.
    pub(crate) async fn pipeline(&self, who: &Who, config: &str) -> String {
        let made = self.post(who, "/api/v1/pipelines", json!({ "config": config })).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        made.json()["id"].as_str().unwrap().to_owned()
    }

    /// Starts a run of it and gives its id.
    pub(crate) async fn run(&self, who: &Who, pipeline: &str) -> String {
        let made = self.post(who, &format!("/api/v1/pipelines/{pipeline}/runs"), json!({ "branch": "main" })).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        made.json()["id"].as_str().unwrap().to_owned()
    }

    /// The events of a run as they are told, to its end.
    pub(crate) async fn events(&self, who: &Who, run: &str) -> Vec<Value> {
        let answer = self.get(who, &format!("/api/v1/runs/{run}/events")).await.ok();
        answer
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .map(|data| serde_json::from_str(data).unwrap())
            .collect()
    }

    /// Reads the events until one is like that.
    pub(crate) async fn until(&self, who: &Who, run: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let request = who.request(Method::GET, &format!("/api/v1/runs/{run}/events"), "", String::new());
        let mut body = self.app.clone().oneshot(request).await.unwrap().into_body();
        let mut text = String::new();
        while let Some(frame) = body.frame().await {
            text.push_str(&String::from_utf8_lossy(&frame.unwrap().into_data().unwrap_or_default()));
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            let mut events = whole.lines().filter_map(|line| line.strip_prefix("data: "));
            if let Some(event) = events.find_map(|data| serde_json::from_str(data).ok().filter(&is_it)) {
                return event;
            }
        }
        panic!("it never came: {text}");
    }
}

/// Somebody who asks.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    pub(crate) peer: SocketAddr,
    pub(crate) headers: Vec<(String, String)>,
}

impl Who {
    /// Somebody at the machine.
    pub(crate) fn here() -> Self {
        Self { peer: HERE.parse().unwrap(), headers: vec![("host".into(), "localhost:30080".into())] }
    }

    /// Somebody elsewhere.
    pub(crate) fn away() -> Self {
        Self { peer: AWAY.parse().unwrap(), headers: vec![("host".into(), "ci.example.com".into())] }
    }

    /// A program with this key.
    pub(crate) fn program(token: &str) -> Self {
        Self::away().with("authorization", &format!("Bearer {token}"))
    }

    /// The browser that got this answer.
    pub(crate) fn browser(answer: &Answer) -> Self {
        let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
        assert!(cookie.starts_with("buildit="), "{:?}", answer.headers);
        Self::away().with("cookie", &cookie).with("sec-fetch-site", "same-origin")
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(there, _)| there != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn request(&self, method: Method, path: &str, kind: &str, body: String) -> Request<Body> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if !kind.is_empty() {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        request.extension(ConnectInfo(self.peer)).body(Body::from(body)).unwrap()
    }
}
