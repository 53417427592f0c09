//! Forges, told how it stands with commits, and their webhooks.

#![cfg(unix)]

use std::path::Path;

use crate::site::hub::{Hub, TOKEN, has};
use crate::site::program::Program;
use crate::site::{Site, Who};
use axum::http::{Method, StatusCode};
use buildit_server::Settings;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

/// A pipeline that goes on when the file `go` is there.
fn shop(folder: &Path) -> String {
    format!(
        "pipeline \"shop\"\non \"push\" {{ paths \"src/**\" }}\nstage \"test\" {{ run \"while ! test -e {}; do sleep 0.05; done\" }}\nstage \"deploy\" {{ needs \"test\"; when branch=\"live\"; run \"true\" }}",
        folder.join("go").display()
    )
}

fn settings(folder: &Path, runs: usize) -> Settings {
    let mut settings = Site::settings(&folder.join("data"));
    settings.runs = runs;
    settings
}

struct World {
    hub: Hub,
    site: Site,
    owner: Who,
    repository: String,
    folder: tempfile::TempDir,
}

impl World {
    /// With a server that takes so many runs at once, and a repository that is connected so.
    async fn new(runs: usize, more: Value, files: impl FnOnce(&Path) -> Vec<(&'static str, String)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        let hub = Hub::open(&files.iter().map(|(path, text)| (*path, text.as_str())).collect::<Vec<_>>()).await;
        let site = Site::open_with(settings(folder.path(), runs)).await;
        let owner = site.owner().await;
        let mut body = hub.connection();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = site.post(&owner, "/api/v1/repositories", body).await.ok().json();
        assert!(!made.to_string().contains(TOKEN), "{made}");
        let repository = made["id"].as_str().unwrap().to_owned();
        Self { hub, site, owner, repository, folder }
    }

    fn path(&self) -> String {
        format!("/api/v1/repositories/{}", self.repository)
    }

    async fn shown(&self) -> Value {
        self.site.get(&self.owner, &self.path()).await.ok().json()
    }

    async fn statuses(&self) -> Vec<Value> {
        let listed = self.site.get(&self.owner, &format!("{}/statuses", self.path())).await.ok();
        listed.json()["items"].as_array().unwrap().clone()
    }

    /// The status that was said last, when it is like that.
    async fn until(&self, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            if let Some(found) = self.statuses().await.into_iter().next().filter(&is_it) {
                return found;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Delivers a push, signed with this secret.
    async fn deliver(&self, (before, after): &(String, String), secret: &str) -> StatusCode {
        let body = json!({ "ref": "refs/heads/main", "before": before, "after": after,
            "head_commit": { "id": after, "message": "x" }, "sender": { "login": "ann" } });
        let text = body.to_string();
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(text.as_bytes());
        let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
        let forge = Who::away()
            .with("x-github-event", "push")
            .with("x-github-delivery", after)
            .with("x-hub-signature-256", &signature);
        let path = format!("/hooks/{}", self.repository);
        self.site.send(&forge, Method::POST, &path, "application/json", text).await.status
    }

    /// The secret that the forge has for its webhook.
    fn secret(&self) -> String {
        let hooks = self.hub.hooks();
        assert_eq!(hooks.len(), 1, "{hooks:?}");
        hooks[0]["config"]["secret"].as_str().unwrap().to_owned()
    }

    /// Pushes these files, and delivers that as the forge does.
    async fn push(&self, message: &str, files: &[(&str, &str)]) -> String {
        let pushed = self.hub.push(message, files);
        assert_eq!(self.deliver(&pushed, &self.secret()).await, StatusCode::ACCEPTED);
        pushed.1
    }

    /// Makes the server another one, which takes so many runs at once.
    async fn restart(self, runs: usize) -> Self {
        self.site.server.shutdown().await;
        let Self { hub, site, owner, repository, folder } = self;
        drop(site);
        let site = Site::open_with(settings(folder.path(), runs)).await;
        Self { hub, site, owner, repository, folder }
    }
}

fn states(told: &[(String, String)]) -> Vec<&str> {
    told.iter().map(|(state, _)| state.as_str()).collect()
}

const CONTEXT: &str = "buildit/shop";

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_told_of_from_the_queue_to_the_end_by_whichever_server() {
    let files = |folder: &Path| vec![(".buildit.kdl", shop(folder)), ("src/a", "1".to_owned())];
    let world = World::new(0, json!({ "webhook": true }), files).await;
    assert_eq!(world.shown().await["webhook"]["state"], "made");
    let commit = world.push("second", &[("src/a", "2")]).await;
    let told = world.hub.until(&commit, CONTEXT, |_| true).await;
    assert_eq!(told, [("pending".to_owned(), "In the queue".to_owned())]);
    let world = world.restart(8).await;
    let told = world.hub.until(&commit, CONTEXT, |(_, words)| words == "Running").await;
    assert_eq!(states(&told), ["pending", "pending"]);
    let world = world.restart(8).await;
    std::fs::write(world.folder.path().join("go"), "").unwrap();
    let told = world.hub.until(&commit, CONTEXT, |(state, _)| state == "success").await;
    let (last, before) = told.split_last().unwrap();
    assert!(before.iter().all(|(state, _)| state == "pending"), "{told:?}");
    assert!(last.1.contains("; deploy skipped: its condition is false"), "{last:?}");
    let page = world.hub.statuses().pop().unwrap()["target_url"].as_str().unwrap().to_owned();
    assert!(page.ends_with("/acme/main/pipelines/shop/runs/1"), "{page}");
    let kept = world.until(|status| status["progress"] == "sent").await;
    assert_eq!((&kept["state"], &kept["commit"], &kept["tries"]), (&json!("succeeded"), &json!(commit), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_starts_no_run_says_why() {
    let files = |folder: &Path| vec![(".buildit.kdl", shop(folder)), ("src/a", "1".to_owned())];
    let world = World::new(0, json!({ "webhook": true }), files).await;
    let first = world.push("first of it", &[("src/a", "2")]).await;
    world.hub.until(&first, CONTEXT, |_| true).await;
    let readme = world.push("only the readme", &[("README", "x")]).await;
    let told = world.hub.until(&readme, CONTEXT, |_| true).await;
    assert_eq!(told, [("success".to_owned(), "Skipped: no changed path matches".to_owned())]);
    let skipped = world.push("not this one [skip ci]", &[("src/a", "3")]).await;
    let told = world.hub.until(&skipped, CONTEXT, |_| true).await;
    assert_eq!(told, [("success".to_owned(), "Skipped: the commit's message says [skip ci]".to_owned())]);
    let broken = world.push("broken", &[(".buildit.kdl", "pipeline \"shop\"\nstage \"s\" { nonsense }")]).await;
    let told = world.hub.until(&broken, CONTEXT, |_| true).await;
    assert_eq!(told[0].0, "error");
    assert!(told[0].1.starts_with("Cannot run: .buildit.kdl:2:"), "{told:?}");
    // A pipeline that is for pull requests too is not good before one is told of.
    let both =
        "pipeline \"shop\"\non \"push\" { branches \"live\" }\non \"pull_request\"\nstage \"s\" { run \"true\" }";
    let open = world.push("for both", &[(".buildit.kdl", both)]).await;
    let last = world.push("and skipped [ci skip]", &[]).await;
    world.hub.until(&last, CONTEXT, |_| true).await;
    assert_eq!(world.hub.told(&open, CONTEXT), []);
    // What the forge is not to be told it is not.
    let off = json!({ "statuses": "off" });
    world.site.ask(&world.owner, Method::PATCH, &world.path(), Some(off)).await.ok();
    let before = world.statuses().await.len();
    let off = world.push("off [skip ci]", &[]).await;
    let deliveries = format!("{}/deliveries", world.path());
    loop {
        let listed = world.site.get(&world.owner, &deliveries).await.ok().json();
        if listed["items"][0]["key"] == off && listed["items"][0]["state"] == "done" {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(world.statuses().await.len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_stage_has_a_context_where_that_is_asked_for_and_waits_for_people() {
    let kdl = "pipeline \"shop\"\non \"push\"\nstage \"test\" { run \"true\" }\nstage \"ask\" { needs \"test\"; approval { message \"Ship it?\" }; run \"true\" }\nstage \"lint\" { run \"exit 3\"; when branch=\"none\" }\nstage \"bad\" { needs \"ask\"; run \"exit 3\" }\nstage \"after\" { needs \"bad\"; run \"true\" }";
    let files = move |_: &Path| vec![(".buildit.kdl", kdl.to_owned())];
    let world = World::new(8, json!({ "webhook": true, "statuses": "stages" }), files).await;
    let commit = world.push("second", &[("src/a", "2")]).await;
    let told = world.hub.until(&commit, CONTEXT, |(_, words)| words.contains("approval")).await;
    assert_eq!(told.last().unwrap(), &("pending".to_owned(), "ask waits for approval: Ship it?".to_owned()));
    let run = world.site.get(&world.owner, "/api/v1/runs").await.ok().json()["items"][0]["id"].clone();
    let approve = format!("/api/v1/runs/{}/approve", run.as_str().unwrap());
    world.site.post(&world.owner, &approve, json!({ "stage": "ask", "fields": {} })).await.ok();
    let told = world.hub.until(&commit, CONTEXT, |(state, _)| state == "failure").await;
    assert!(told.last().unwrap().1.starts_with("bad failed after "), "{told:?}");
    for (stage, state, words) in [
        ("test", "success", "Succeeded"),
        ("ask", "success", "Succeeded"),
        ("lint", "success", "Skipped: its condition is false"),
        ("bad", "failure", "Failed: "),
        ("after", "error", "Not run: needs `bad`"),
    ] {
        let context = format!("{CONTEXT}/{stage}");
        let told = world.hub.until(&commit, &context, |(_, words)| !words.contains("unning")).await;
        let told = match told.last().unwrap() {
            (state, _) if state == "pending" => {
                world.hub.until(&commit, &context, |(state, _)| state != "pending").await
            }
            _ => told,
        };
        let (said, because) = told.last().unwrap();
        assert!(said == state && because.starts_with(words), "{stage}: {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forge_that_refuses_is_shown_and_told_again_on_demand() {
    let files = |folder: &Path| vec![(".buildit.kdl", shop(folder))];
    let world = World::new(0, json!({ "webhook": true }), files).await;
    world.hub.answer(&[500]);
    let commit = world.push("second", &[("src/a", "2")]).await;
    world.hub.until(&commit, CONTEXT, |_| true).await;
    let sent = world.until(|status| status["progress"] == "sent").await;
    assert_eq!((&sent["tries"], &sent["error"]), (&json!(2), &Value::Null), "it was not well, and was asked again");

    world.hub.answer(&[403]);
    let second = world.push("third", &[("src/a", "3")]).await;
    let given_up = world.until(|status| status["progress"] == "given_up").await;
    let why = given_up["error"].as_str().unwrap();
    assert!(why.contains("may not do this (as told)") && why.contains("Commit statuses"), "{why}");
    let page = format!("/acme/main/repositories/{}", world.repository);
    for shown in [page.clone(), format!("{page}/statuses")] {
        let shown = world.site.get(&world.owner, &shown).await.ok().text;
        assert!(shown.contains("not told") && shown.contains("may not do this") && !shown.contains(TOKEN), "{shown}");
    }
    let retry = format!("{page}/statuses/{}/retry", given_up["id"].as_str().unwrap());
    assert_eq!(world.site.form(&world.owner, &retry, &[]).await.status, StatusCode::SEE_OTHER);
    world.hub.until(&second, CONTEXT, |_| true).await;
    world.until(|status| status["progress"] == "sent").await;
    let again = world.site.post(&world.owner, &retry.replace("/acme/main/", "/api/v1/"), json!({})).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_made_looked_for_mended_and_removed() {
    let files = |folder: &Path| vec![(".buildit.kdl", shop(folder))];
    let world = World::new(0, json!({}), files).await;
    assert_eq!(world.shown().await["webhook"], Value::Null);
    let hook = format!("{}/webhook", world.path());
    let check = async || world.site.post(&world.owner, &format!("{hook}/check"), json!({})).await.ok().json();
    assert_eq!(check().await["state"], "missing");
    for _ in 0..2 {
        let made = world.site.ask(&world.owner, Method::PUT, &hook, None).await.ok().json();
        assert_eq!(made["state"], "made");
        assert!(
            world.hub.hooks()[0]["config"]["url"].as_str().unwrap().ends_with(&format!("/hooks/{}", world.repository))
        );
    }
    assert_eq!(check().await["state"], "made");
    // What it signs with lets it in, also after there is another secret.
    let pushed = world.hub.push("second", &[("src/a", "2")]);
    assert_eq!(world.deliver(&pushed, &world.secret()).await, StatusCode::ACCEPTED);
    let before = world.secret();
    let renewed = world.site.post(&world.owner, &hook, json!({})).await.ok().json();
    assert_ne!(world.secret(), before);
    assert_eq!(renewed["secret"], world.secret());

    world.hub.change_hooks(|hooks| {
        hooks[0]["events"] = json!(["push"]);
        hooks.push(json!({ "id": 99, "config": { "url": "https://chat.example.org/" } }));
    });
    let wrong = check().await;
    assert_eq!((&wrong["state"], &wrong["reason"]), (&json!("wrong"), &json!("it does not tell of pull_request")));
    let page = format!("/acme/main/repositories/{}", world.repository);
    let shown = world.site.get(&world.owner, &page).await.ok().text;
    assert!(shown.contains("it does not tell of pull_request") && shown.contains("Mend it"), "{shown}");
    let mended = world.site.form(&world.owner, &format!("{page}/webhook/make"), &[]).await;
    assert_eq!(mended.status, StatusCode::SEE_OTHER, "{}", mended.text);
    assert_eq!(world.shown().await["webhook"]["state"], "made");

    world.hub.answer(&[401]);
    let refused = world.site.form(&world.owner, &format!("{page}/webhook/check"), &[]).await;
    assert_eq!(refused.status, StatusCode::FAILED_DEPENDENCY);
    assert!(refused.text.contains("does not take the repository&#39;s token"), "{}", refused.text);
    assert_eq!(world.shown().await["webhook"]["state"], "unknown");

    let removed = world.site.ask(&world.owner, Method::DELETE, &hook, None).await.ok().json();
    assert_eq!((&removed["state"], world.hub.hooks().len()), (&json!("missing"), 1), "and the other one stays");
    world.site.ask(&world.owner, Method::PUT, &hook, None).await.ok();
    world.site.ask(&world.owner, Method::DELETE, &world.path(), None).await.ok();
    assert_eq!(world.hub.hooks().len(), 1, "who lets the repository go lets its webhook go");
    let tenant = world.site.tenant(&world.owner, "acme", "main").await;
    let audit = format!("/api/v1/tenants/{tenant}/audit");
    let noted = world.site.get(&world.owner, &audit).await.ok().text;
    for action in ["webhook.make", "webhook.check", "webhook.remove", "repository.delete"] {
        assert!(noted.contains(action), "{action}: {noted}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_cannot_be_made_or_removed_is_told_of() {
    let files = |folder: &Path| vec![(".buildit.kdl", shop(folder))];
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::open(&[(".buildit.kdl", &files(folder.path())[0].1)]).await;
    let site = Site::open_with(settings(folder.path(), 0)).await;
    let owner = site.owner().await;
    hub.answer(&[404]);
    let connection = hub.connection();
    let text = |field: &str| connection[field].as_str().unwrap().to_owned();
    let (url, api_url) = (text("url"), text("api_url"));
    let fields =
        [("url", url.as_str()), ("api_url", &api_url), ("forge", "github"), ("token", TOKEN), ("webhook", "on")];
    let connected = site.form(&owner, "/acme/main/repositories", &fields).await;
    assert_eq!(connected.status, StatusCode::SEE_OTHER, "{}", connected.text);
    let page = connected.header("location").to_owned();
    let shown = site.get(&owner, &page).await.ok().text;
    assert!(shown.contains("the forge did not say") && shown.contains("admin:repo_hook"), "{shown}");
    site.form(&owner, &format!("{page}/webhook/make"), &[]).await;
    assert_eq!(hub.hooks().len(), 1);
    // Nobody gets the token to see by naming another place for the API.
    let id = page.rsplit('/').next().unwrap();
    let elsewhere = json!({ "api_url": "http://127.0.0.1:9/api/v3" });
    let moved = site.ask(&owner, Method::PATCH, &format!("/api/v1/repositories/{id}"), Some(elsewhere)).await;
    assert_eq!(moved.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", moved.text);
    assert!(moved.text.contains("needs the token anew"), "{}", moved.text);
    hub.answer(&[503]);
    let gone = site.form(&owner, &format!("{page}/delete"), &[("typed", "shop")]).await;
    assert!(gone.status == StatusCode::OK && gone.text.contains("its webhook is still at the forge"), "{}", gone.text);
    assert_eq!(site.get(&owner, &page).await.status, StatusCode::NOT_FOUND);
    // What is at no forge has no webhook to be made.
    let plain = json!({ "url": "https://git.invalid/a", "check": false, "webhook": true });
    let plain = site.post(&owner, "/api/v1/repositories", plain).await.ok().json();
    assert_eq!(plain["webhook"]["reason"], "the settings of the repository name no forge");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_of_a_forge_may_have_a_token_of_its_own() {
    const READS: &str = "read-0nly-t0ken";
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::open_to(READS, &[(".buildit.kdl", &shop(folder.path()))]).await;
    let site = Site::open_with(settings(folder.path(), 0)).await;
    let owner = site.owner().await;
    let made = site.post(&owner, "/api/v1/repositories", hub.connection()).await.ok().json();
    let path = format!("/api/v1/repositories/{}", made["id"].as_str().unwrap());
    let page = format!("/acme/main/repositories/{}", made["id"].as_str().unwrap());
    let hook = async || site.ask(&owner, Method::PUT, &format!("{path}/webhook"), None).await;
    let change = async |body: Value| site.ask(&owner, Method::PATCH, &path, Some(body)).await;
    assert_eq!(hook().await.status, StatusCode::FAILED_DEPENDENCY, "what reads may do nothing else");
    let changed = change(json!({ "forge_token": TOKEN })).await.ok();
    assert!(changed.json()["forge_token"] == true && !changed.text.contains(TOKEN), "{}", changed.text);
    assert_eq!(hook().await.ok().json()["state"], "made");
    let fetched = site.post(&owner, &format!("{path}/scan"), json!({})).await.ok().json();
    assert_eq!(fetched["files"][0]["path"], ".buildit.kdl", "it is read with what reads");

    // No token gets to a host that it was not given for, neither that of the forge nor, in its place, the other one.
    let elsewhere = "http://127.0.0.2:9/api/v3";
    for away in [json!({ "api_url": elsewhere }), json!({ "api_url": elsewhere, "forge_token": null })] {
        let refused = change(away).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
        assert!(refused.text.contains("needs the token anew"), "{}", refused.text);
    }
    // Another path of the same host is another address, to which it goes along.
    let api = hub.connection()["api_url"].as_str().unwrap().to_owned();
    change(json!({ "api_url": api.replace("/api/v3", "/api/v4") })).await.ok();
    change(json!({ "api_url": api })).await.ok();
    assert_eq!(hook().await.ok().json()["state"], "made");

    let version = site.get(&owner, &path).await.ok().header("etag").trim_matches('"').to_owned();
    let shown = site.get(&owner, &page).await.ok().text;
    assert!(shown.contains("Forget the token of the API") && !shown.contains(TOKEN), "{shown}");
    let url = format!("{}/acme/shop.git", hub.git.url);
    let fields = [
        ("version", version.as_str()),
        ("name", "forged"),
        ("url", &url),
        ("forge", "github"),
        ("api_url", &api),
        ("token", READS),
        ("forge_token_gone", "on"),
    ];
    let saved = site.form(&owner, &page, &fields).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text);
    assert_eq!(site.get(&owner, &path).await.ok().json()["forge_token"], false);
    assert_eq!(hook().await.status, StatusCode::FAILED_DEPENDENCY);
    let empty = change(json!({ "forge_token": " " })).await;
    assert_eq!(empty.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_server_was_killed_is_told_of_once_it_has_ended_and_no_log_has_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let kdl = shop(folder.path());
    let hub = Hub::open(&[(".buildit.kdl", &kdl), ("src/a", "1")]).await;
    let commit = hub.origin.git(&["rev-parse", "HEAD"]);
    let log = folder.path().join("log");
    let first = Program::logged(&folder.path().join("data"), &log);
    let mut connection = hub.connection();
    connection["webhook"] = true.into();
    let repository = tokio::task::block_in_place(|| first.id_of("/api/v1/repositories", connection));
    let pipeline = json!({ "name": "shop", "repository": repository });
    let pipeline = tokio::task::block_in_place(|| first.id_of("/api/v1/pipelines", pipeline));
    let runs = format!("/api/v1/pipelines/{pipeline}/runs");
    let run = tokio::task::block_in_place(|| first.id_of(&runs, json!({ "branch": "main" })));
    hub.until(&commit, CONTEXT, |(_, words)| words == "Running").await;
    drop(first);
    std::fs::write(folder.path().join("go"), "").unwrap();
    let second = Program::logged(&folder.path().join("data"), &log);
    let events = tokio::task::block_in_place(|| second.events(&run));
    assert_eq!(events.last().unwrap()["status"], "succeeded", "{events:?}");
    let told = hub.until(&commit, CONTEXT, |(state, _)| state == "success").await;
    let (_, before) = told.split_last().unwrap();
    assert!(before.iter().all(|(state, _)| state == "pending"), "{told:?}");
    assert_eq!(hub.hooks().len(), 1);
    assert!(has(&log, "listening on"), "there is a log");
    let secret = hub.hooks()[0]["config"]["secret"].as_str().unwrap().to_owned();
    assert!(!has(&log, TOKEN) && !has(&log, &secret), "the log has a secret");
    assert_eq!(*hub.git.seen.lock().unwrap(), [""; 0], "a command line had the token");
}
