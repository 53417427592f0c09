//! The queue, several servers on one store, and requests that come twice.

use crate::site::{Answer, Site, Who};
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

const HELLO: &str = "pipeline \"hello\"\nparam \"who\" default=\"you\"\nstage \"greet\" { run \"echo hello\" }";
const CAREFUL: &str = "pipeline \"careful\"\nstage \"ask\" { approval; run \"true\" }\nstage \"slow\" { needs \"ask\"; run \"sleep 600\" }";
const GROUPED: &str = "pipeline \"grouped\" { concurrency \"one\" }\nstage \"ask\" { approval; run \"true\" }";

/// A server on the store of this one, which only serves.
async fn beside(folder: &tempfile::TempDir) -> Site {
    let mut settings = Site::settings(folder.path());
    settings.runs = 0;
    Site::open_with(settings).await
}

async fn queue(site: &Site, who: &Who, tenant: &str, status: &str) -> Vec<Value> {
    let path = format!("/api/v1/tenants/{tenant}/queue?status={status}");
    site.get(who, &path).await.ok().json()["items"].as_array().unwrap().clone()
}

async fn put(site: &Site, who: &Who, path: &str, body: Value) -> Answer {
    site.ask(who, Method::PUT, path, Some(body)).await
}

async fn status(site: &Site, who: &Who, run: &str) -> Value {
    site.get(who, &format!("/api/v1/runs/{run}")).await.ok().json()["status"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn any_server_answers_cancels_and_shows_what_another_one_drives() {
    let folder = tempfile::tempdir().unwrap();
    let driving = Site::open(folder.path()).await;
    let owner = driving.owner().await;
    let other = beside(&folder).await;
    let pipeline = other.pipeline(&owner, CAREFUL).await;
    let run = other.run(&owner, &pipeline).await;
    other.until(&owner, &run, |event| event["type"] == "approval_requested").await;
    let approve = format!("/api/v1/runs/{run}/approve");
    let unknown = other.post(&owner, &approve, json!({ "stage": "ask", "fields": { "x": "y" } })).await;
    assert_eq!(unknown.status, StatusCode::CONFLICT, "{}", unknown.text);
    let answer = other.post(&owner, &approve, json!({ "stage": "ask" })).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text);
    assert_eq!(other.post(&owner, &approve, json!({ "stage": "ask" })).await.status, StatusCode::CONFLICT);
    other.until(&owner, &run, |event| event["type"] == "attempt_started" && event["stage"] == "slow").await;
    let cancel = format!("/api/v1/runs/{run}/cancel");
    assert_eq!(other.post(&owner, &cancel, json!({})).await.status, StatusCode::ACCEPTED);
    // The stream of a run that another server drives goes on to its end.
    let events = other.events(&owner, &run).await;
    let approvals = events.iter().filter(|event| event["type"] == "approval_given").count();
    assert_eq!((approvals, &events.last().unwrap()["status"]), (1, &json!("cancelled")));
    assert_eq!(other.post(&owner, &cancel, json!({})).await.status, StatusCode::CONFLICT);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waits_is_cancelled_at_once_and_says_why_it_waits() {
    let folder = tempfile::tempdir().unwrap();
    let serving = beside(&folder).await;
    let owner = serving.owner().await;
    let tenant = serving.tenant(&owner, "acme", "main").await;
    let pipeline = serving.pipeline(&owner, GROUPED).await;
    let (first, second) = (serving.run(&owner, &pipeline).await, serving.run(&owner, &pipeline).await);
    let waiting = queue(&serving, &owner, &tenant, "waiting").await;
    assert_eq!((&waiting[0]["run"], &waiting[0]["why"]), (&json!(first), &json!("for a worker that is free")));
    let behind = queue(&serving, &owner, &tenant, "behind").await;
    assert_eq!((&behind[0]["run"], &behind[0]["behind"]), (&json!(second), &json!(first)));
    assert_eq!(behind[0]["why"], "behind run #1 of its concurrency group");
    serving.post(&owner, &format!("/api/v1/runs/{first}/cancel"), json!({})).await.ok();
    assert_eq!(status(&serving, &owner, &first).await, "cancelled");
    assert_eq!(queue(&serving, &owner, &tenant, "waiting").await, Vec::<Value>::new());
    // The group is free: whoever looks next finds the second one.
    let free: Vec<Value> = queue(&serving, &owner, &tenant, "scheduled").await;
    assert_eq!(free[0]["run"], json!(second));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_queue_waits_and_goes_on_by_priority() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::open(folder.path()).await;
    let owner = site.owner().await;
    let tenant = site.tenant(&owner, "acme", "main").await;
    let (member, admin) = (site.key(&owner, "member").await, site.key(&owner, "admin").await);
    let line = format!("/api/v1/tenants/{tenant}/queue/line");
    assert_eq!(put(&site, &member, &line, json!({ "paused": true })).await.status, StatusCode::FORBIDDEN);
    assert_eq!(put(&site, &admin, "/api/v1/queue", json!({ "paused": true })).await.status, StatusCode::FORBIDDEN);
    let paused = put(&site, &admin, &line, json!({ "paused": true })).await.ok().json();
    assert_eq!(paused["paused"], true);
    let hello = site.pipeline(&member, HELLO).await;
    let (low, high) = (site.run(&member, &hello).await, site.run(&member, &hello).await);
    let waiting = queue(&site, &member, &tenant, "waiting").await;
    assert_eq!(waiting.iter().map(|run| run["run"].clone()).collect::<Vec<_>>(), [json!(low), json!(high)]);
    assert_eq!(waiting[0]["why"], "the queue is paused");
    let priority = format!("/api/v1/runs/{high}/priority");
    assert_eq!(put(&site, &member, &priority, json!({ "priority": 5 })).await.status, StatusCode::FORBIDDEN);
    let beyond = put(&site, &admin, &priority, json!({ "priority": 1_000_001 })).await;
    assert_eq!(beyond.status, StatusCode::UNPROCESSABLE_ENTITY);
    put(&site, &admin, &priority, json!({ "priority": 5 })).await.ok();
    let waiting = queue(&site, &member, &tenant, "waiting").await;
    assert_eq!(waiting.iter().map(|run| run["run"].clone()).collect::<Vec<_>>(), [json!(high), json!(low)]);
    let page = format!("/api/v1/tenants/{tenant}/queue?limit=1");
    let first = site.get(&member, &page).await.ok().json();
    let next = site.get(&member, &format!("{page}&cursor={}", first["next"].as_str().unwrap())).await.ok().json();
    assert_eq!((&next["items"][0]["run"], &next["next"]), (&json!(low), &Value::Null));
    assert_eq!(site.get(&member, &format!("{page}&cursor=x")).await.status, StatusCode::UNPROCESSABLE_ENTITY);

    put(&site, &owner, "/api/v1/queue", json!({ "paused": true })).await.ok();
    put(&site, &admin, &line, json!({ "paused": false })).await.ok();
    assert_eq!(queue(&site, &member, &tenant, "waiting").await[0]["why"], "all queues are paused");
    put(&site, &owner, "/api/v1/queue", json!({ "paused": false })).await.ok();
    for run in [&low, &high] {
        let events = site.events(&member, run).await;
        assert_eq!(events.last().unwrap()["status"], "succeeded");
    }
    let noted = site.get(&owner, &format!("/api/v1/tenants/{tenant}/audit")).await.ok().text;
    for action in ["queue.pause", "queue.resume", "queue.pause_all", "queue.resume_all", "run.prioritise"] {
        assert!(noted.contains(&format!("\"{action}\"")), "{action} is not noted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_worker_finishes_what_it_has_and_takes_nothing() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let tenant = site.tenant(&owner, "acme", "main").await;
    let (worker, member) = (site.worker(&owner).await, site.key(&owner, "member").await);
    let careful = site.pipeline(&owner, CAREFUL).await;
    let held = site.run(&owner, &careful).await;
    site.until(&owner, &held, |event| event["type"] == "approval_requested").await;
    let taken = queue(&site, &owner, &tenant, "taken").await;
    assert_eq!(taken[0]["run"], json!(held));
    let path = format!("/api/v1/workers/{worker}");
    assert_eq!(put(&site, &member, &path, json!({ "paused": true })).await.status, StatusCode::FORBIDDEN);
    assert_eq!(site.get(&member, "/api/v1/workers").await.status, StatusCode::FORBIDDEN);
    put(&site, &owner, &path, json!({ "paused": true })).await.ok();
    let known = site.get(&owner, "/api/v1/workers").await.ok().json();
    assert_eq!((&known["items"][0]["state"], &taken[0]["worker"]), (&json!("draining"), &known["items"][0]["name"]));
    let hello = site.pipeline(&owner, HELLO).await;
    let waits = site.run(&owner, &hello).await;
    // What it has goes on.
    let reject = format!("/api/v1/runs/{held}/reject");
    site.post(&owner, &reject, json!({ "stage": "ask" })).await.ok();
    assert_eq!(site.events(&owner, &held).await.last().unwrap()["status"], "failed");
    assert_eq!(status(&site, &owner, &waits).await, "queued");
    assert_eq!(queue(&site, &owner, &tenant, "waiting").await[0]["run"], json!(waits));
    put(&site, &owner, &path, json!({ "paused": false })).await.ok();
    assert_eq!(site.events(&owner, &waits).await.last().unwrap()["status"], "succeeded");
    let unknown = put(&site, &owner, "/api/v1/workers/nobody", json!({ "paused": true })).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_a_key_makes_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let (site, other) = (Site::open(folder.path()).await, beside(&folder).await);
    let owner = site.owner().await;
    let pipeline = site.pipeline(&owner, HELLO).await;
    let runs = format!("/api/v1/pipelines/{pipeline}/runs");
    let keyed = owner.clone().with("idempotency-key", "deploy 42");
    let body = || json!({ "branch": "main", "params": { "who": "me" } });
    let (one, two) = tokio::join!(site.post(&keyed, &runs, body()), other.post(&keyed, &runs, body()));
    let mut statuses = [one.status, two.status];
    statuses.sort();
    assert_eq!(statuses, [StatusCode::OK, StatusCode::CREATED], "{} {}", one.text, two.text);
    assert_eq!(one.json()["id"], two.json()["id"]);
    let again = site.post(&keyed, &runs, body()).await;
    assert_eq!((again.status, &again.json()["id"]), (StatusCode::OK, &one.json()["id"]));
    assert_eq!(again.header("location"), one.header("location"));
    let different = site.post(&keyed, &runs, json!({ "branch": "other" })).await;
    assert_eq!(different.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(different.json()["type"], "urn:buildit:problem:idempotency-key-reused");
    // What was refused is forgotten, and may be asked for otherwise.
    let bad = owner.clone().with("idempotency-key", "another");
    let refused = site.post(&bad, &runs, json!({ "params": { "nobody": "x" } })).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    assert_eq!(site.post(&bad, &runs, body()).await.status, StatusCode::CREATED);
    for wrong in ["", "x".repeat(256).as_str()] {
        let wrong = owner.clone().with("idempotency-key", wrong);
        assert_eq!(site.post(&wrong, &runs, body()).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let listed = site.get(&owner, &runs).await.ok().json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_and_steers_the_queue() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::open(folder.path()).await;
    let owner = site.owner().await;
    site.worker(&owner).await;
    let page = async |query: &str| site.get(&owner, &format!("/acme/main/queue{query}")).await.ok().text;
    let empty = page("").await;
    assert!(empty.contains("Nothing waits for a worker.") && empty.contains("working, 0 of 64 runs"), "{empty}");
    let press = async |path: &str, fields: &[(&str, &str)]| {
        let pressed = site.form(&owner, &format!("/acme/main/queue{path}"), fields).await;
        assert_eq!(pressed.status, StatusCode::SEE_OTHER, "{path}: {}", pressed.text);
    };
    press("/intake", &[("intake", "paused")]).await;
    let pipeline = site.pipeline(&owner, "pipeline \"<b>&'\"\nstage \"s\" { run \"true\" }").await;
    let (first, second) = (site.run(&owner, &pipeline).await, site.run(&owner, &pipeline).await);
    press(&format!("/runs/{second}/priority"), &[("priority", "7")]).await;
    let waiting = page("").await;
    assert!(waiting.contains("The queue of main is paused") && waiting.contains("Open the queue"), "{waiting}");
    assert!(!waiting.contains("<b>&'"), "{waiting}");
    assert!(waiting.find(&second).unwrap() < waiting.find(&first).unwrap(), "by priority: {waiting}");
    press(&format!("/runs/{first}/cancel"), &[]).await;
    assert_eq!(status(&site, &owner, &first).await, "cancelled");
    press("/all", &[("intake", "paused")]).await;
    press("/intake", &[("intake", "open")]).await;
    assert!(page("").await.contains("All queues of this installation are paused"));
    let worker = site.worker(&owner).await;
    press(&format!("/workers/{worker}"), &[("intake", "paused")]).await;
    press("/all", &[("intake", "open")]).await;
    assert!(page("").await.contains("draining, 0 of 64 runs"));
    press(&format!("/workers/{worker}"), &[("intake", "open")]).await;
    assert_eq!(site.events(&owner, &second).await.last().unwrap()["status"], "succeeded");
    let odd = site.get(&owner, "/acme/main/queue?status=odd").await;
    assert_eq!(odd.status, StatusCode::UNPROCESSABLE_ENTITY);

    // Of another tenant nothing is seen or done.
    let organization = site.get(&owner, "/api/v1/organizations").await.json()["items"][0]["id"].clone();
    let tenants = format!("/api/v1/organizations/{}/tenants", organization.as_str().unwrap());
    site.post(&owner, &tenants, json!({ "name": "other" })).await.ok();
    let other = site.get(&owner, "/acme/other/queue").await.ok().text;
    assert!(!other.contains(&second));
}
