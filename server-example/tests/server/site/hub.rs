//! A forge for tests: it speaks as GitHub does, and keeps the webhooks and statuses that it is given.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::git::{GitWeb, Origin};

/// What lets one in, to its repositories and its API.
pub(crate) const TOKEN: &str = "forge-s3cr3t-t0ken-7";

/// What it has.
#[derive(Debug, Default)]
struct Kept {
    statuses: Vec<(String, Value)>,
    hooks: Vec<Value>,
    /// With which statuses it answers next, whatever it is asked.
    answers: VecDeque<u16>,
    /// Whether it takes no status.
    is_closed: bool,
    last: u64,
}

/// A forge with the repository `acme/shop`.
pub(crate) struct Hub {
    pub(crate) origin: Origin,
    pub(crate) git: GitWeb,
    /// What lets one read its repositories.
    reads: &'static str,
    api: String,
    folder: TempDir,
    kept: Arc<Mutex<Kept>>,
    came: Arc<Notify>,
}

#[derive(Clone)]
struct Shared {
    kept: Arc<Mutex<Kept>>,
    came: Arc<Notify>,
}

impl Hub {
    pub(crate) async fn open(files: &[(&str, &str)]) -> Self {
        Self::open_to(TOKEN, files).await
    }

    /// One whose API alone takes its token: its repositories are read with another one.
    pub(crate) async fn open_to(reads: &'static str, files: &[(&str, &str)]) -> Self {
        let (origin, folder) = (Origin::new(files), tempfile::tempdir().unwrap());
        origin.git(&["clone", "-q", "--bare", origin.url(), folder.path().join("acme/shop.git").to_str().unwrap()]);
        let git = GitWeb::serve(folder.path(), reads).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = format!("http://{}/api/v3", listener.local_addr().unwrap());
        let shared = Shared { kept: Arc::default(), came: Arc::default() };
        let (kept, came) = (Arc::clone(&shared.kept), Arc::clone(&shared.came));
        let app = Router::new().fallback(answer).with_state(shared);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { origin, git, reads, api, folder, kept, came }
    }

    fn bare(&self) -> String {
        self.folder.path().join("acme/shop.git").to_str().unwrap().to_owned()
    }

    /// Commits these files on the branch that is checked out, and pushes it; the commit before, and the new one.
    pub(crate) fn push(&self, message: &str, files: &[(&str, &str)]) -> (String, String) {
        let before = self.origin.git(&["rev-parse", "HEAD"]);
        let after = self.origin.commit(message, files);
        self.origin.git(&["push", "-q", &self.bare(), "HEAD"]);
        (before, after)
    }

    /// What connects its repository.
    pub(crate) fn connection(&self) -> Value {
        json!({ "url": format!("{}/acme/shop.git", self.git.url), "name": "forged", "forge": "github",
            "api_url": self.api, "token": self.reads })
    }

    /// With which statuses it answers next.
    pub(crate) fn answer(&self, statuses: &[u16]) {
        self.kept.lock().unwrap().answers.extend(statuses);
    }

    /// Takes no status from now on.
    pub(crate) fn close(&self) {
        self.kept.lock().unwrap().is_closed = true;
    }

    /// The state and the words of what it was told of a commit in a context, in order.
    pub(crate) fn told(&self, commit: &str, context: &str) -> Vec<(String, String)> {
        let kept = self.kept.lock().unwrap();
        let of = kept.statuses.iter().filter(|(sha, status)| sha == commit && status["context"] == context);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        of.map(|(_, status)| (text(&status["state"]), text(&status["description"]))).collect()
    }

    /// The same, once the last of it is like that.
    pub(crate) async fn until(
        &self,
        commit: &str,
        context: &str,
        is_it: impl Fn(&(String, String)) -> bool,
    ) -> Vec<(String, String)> {
        loop {
            let came = self.came.notified();
            let told = self.told(commit, context);
            if told.last().is_some_and(&is_it) {
                return told;
            }
            came.await;
        }
    }

    /// Every status, whole.
    pub(crate) fn statuses(&self) -> Vec<Value> {
        self.kept.lock().unwrap().statuses.iter().map(|(_, status)| status.clone()).collect()
    }

    pub(crate) fn hooks(&self) -> Vec<Value> {
        self.kept.lock().unwrap().hooks.clone()
    }

    /// Changes its webhooks, as somebody there does.
    pub(crate) fn change_hooks(&self, change: impl FnOnce(&mut Vec<Value>)) {
        change(&mut self.kept.lock().unwrap().hooks);
    }
}

async fn answer(
    State(Shared { kept, came }): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut kept = kept.lock().unwrap();
    if let Some(status) = kept.answers.pop_front() {
        return (StatusCode::from_u16(status).unwrap(), json!({ "message": "as told" }).to_string()).into_response();
    }
    let shown = headers.get("authorization").map(|shown| shown.to_str().unwrap());
    if shown != Some(&format!("Bearer {TOKEN}")) {
        return (StatusCode::UNAUTHORIZED, json!({ "message": "Bad credentials" }).to_string()).into_response();
    }
    let Some(path) = uri.path().strip_prefix("/api/v3/repos/acme/shop/") else {
        return (StatusCode::NOT_FOUND, json!({ "message": "Not Found" }).to_string()).into_response();
    };
    let (what, id) = path.split_once('/').unwrap_or((path, ""));
    let body = || serde_json::from_slice::<Value>(&body).unwrap();
    let at = kept.hooks.iter().position(|hook| hook["id"].as_u64() == id.parse().ok());
    let said = match (method.as_str(), what, at) {
        ("POST", "statuses", _) if kept.is_closed => (StatusCode::FORBIDDEN, json!({ "message": "closed" })),
        ("POST", "statuses", _) => {
            kept.statuses.push((id.to_owned(), body()));
            came.notify_one();
            (StatusCode::CREATED, json!({}))
        }
        ("GET", "hooks", _) => (StatusCode::OK, json!(kept.hooks)),
        ("POST", "hooks", _) => {
            kept.last += 1;
            let mut hook = body();
            hook["id"] = kept.last.into();
            kept.hooks.push(hook.clone());
            (StatusCode::CREATED, hook)
        }
        ("PATCH", "hooks", Some(at)) => {
            for (field, value) in body().as_object().unwrap() {
                kept.hooks[at][field] = value.clone();
            }
            (StatusCode::OK, kept.hooks[at].clone())
        }
        ("DELETE", "hooks", Some(at)) => {
            kept.hooks.remove(at);
            return StatusCode::NO_CONTENT.into_response();
        }
        _ => (StatusCode::NOT_FOUND, json!({ "message": "Not Found" })),
    };
    (said.0, said.1.to_string()).into_response()
}

/// Whether a file has this text.
pub(crate) fn has(file: &Path, text: &str) -> bool {
    std::fs::read_to_string(file).unwrap_or_default().contains(text)
}
