//! Notifications, as they arrive.

use std::path::Path;

use crate::site::post::PostOffice;
use crate::site::sink::{Got, Sink};
use crate::site::{Site, Who};
use axum::http::{Method, StatusCode};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

/// A pipeline that fails when it is told to.
const SHOP: &str = "pipeline \"shop\"\nparam \"code\" default=\"0\"\nstage \"test\" { run \"exit ${params.code}\" }";

/// A server, its owner, and the path of the tenant's channels.
async fn site(folder: &Path) -> (Site, Who, String) {
    let site = Site::open(folder).await;
    let owner = site.owner().await;
    let channels = format!("/api/v1/tenants/{}/channels", site.tenant(&owner, "acme", "main").await);
    (site, owner, channels)
}

/// Makes a channel that leads there; all that was answered.
async fn channel(site: &Site, owner: &Who, channels: &str, kind: &str, target: &str, events: &[&str]) -> Value {
    let new = json!({ "name": format!("{kind} {target}"), "kind": kind, "target": target, "events": events });
    site.post(owner, channels, new).await.ok().json()
}

/// A run of a pipeline that ends with this code, to its end; its number.
async fn run(site: &Site, owner: &Who, pipeline: &str, branch: &str, code: &str) -> u64 {
    let asked = json!({ "branch": branch, "params": { "code": code } });
    let made = site.post(owner, &format!("/api/v1/pipelines/{pipeline}/runs"), asked).await.ok().json();
    site.events(owner, made["id"].as_str().unwrap()).await;
    made["number"].as_u64().unwrap()
}

fn titles(got: &[Got]) -> Vec<String> {
    got.iter().map(|got| got.json()["title"].as_str().unwrap().to_owned()).collect()
}

/// The log of a channel, when its latest entry stands like this.
async fn log(site: &Site, owner: &Who, channel: &str, status: &str) -> Vec<Value> {
    loop {
        let log = site.get(owner, &format!("{channel}/dispatches")).await.ok().json();
        let log = log["items"].as_array().unwrap().clone();
        if log.first().is_some_and(|first| first["status"] == status) {
            return log;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_channel_hears_what_it_wants_in_its_own_words() {
    let (folder, sink, office) = (tempfile::tempdir().unwrap(), Sink::open().await, PostOffice::open().await);
    let mut settings = Site::settings(folder.path());
    settings.smtp_url = Some(format!("smtp://{}", office.address).into());
    settings.mail_from = Some("BuildIt <ci@example.com>".into());
    let site = Site::open_with(settings).await;
    let owner = site.owner().await;
    let channels = format!("/api/v1/tenants/{}/channels", site.tenant(&owner, "acme", "main").await);
    let pipeline = site.pipeline(&owner, SHOP).await;
    let slack = format!("{}/services/T0/B0/s3cr3t", sink.url);
    channel(&site, &owner, &channels, "slack", &slack, &["failed"]).await;
    let hook = format!("{}/hook?token=s3cr3t", sink.url);
    let made = channel(&site, &owner, &channels, "webhook", &hook, &["fixed"]).await;
    channel(&site, &owner, &channels, "email", "ops@example.com,dev@example.com", &["fixed", "failed"]).await;

    run(&site, &owner, &pipeline, "main", "1").await;
    let got = sink.wait(1).await.remove(0);
    assert_eq!(got.path, "/services/T0/B0/s3cr3t");
    let page = "http://localhost:30080/acme/main/pipelines/shop/runs/1";
    let text = got.json()["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with(&format!("<{page}|shop #1 failed on main>\n> Took ")), "{text}");
    let letter = office.wait(1).await.remove(0);
    assert!(letter.commands.contains(&"RCPT TO:<ops@example.com>".to_owned()), "{letter:?}");
    assert!(letter.commands.contains(&"RCPT TO:<dev@example.com>".to_owned()), "{letter:?}");
    assert!(letter.text.contains("Subject: BuildIt: shop #1 failed on main\n"), "{}", letter.text);
    assert!(letter.body().contains(page), "{}", letter.body());

    run(&site, &owner, &pipeline, "main", "0").await;
    let got = sink.wait(2).await.remove(1);
    assert_eq!((got.path.as_str(), got.header("content-type")), ("/hook?token=s3cr3t", "application/json"));
    let told = got.json();
    assert_eq!((&told["event"], &told["title"]), (&json!("run.fixed"), &json!("shop #2 is fixed on main")));
    assert_eq!((&told["run"]["number"], &told["run"]["branch"]), (&json!(2), &json!("main")));
    assert_eq!(told["run"]["url"], "http://localhost:30080/acme/main/pipelines/shop/runs/2");
    assert_eq!(
        (got.header("x-buildit-event"), got.header("x-buildit-delivery")),
        ("run.fixed", told["id"].as_str().unwrap())
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(made["key"].as_str().unwrap().as_bytes()).unwrap();
    mac.update(&got.body);
    let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
    assert_eq!(got.header("x-buildit-signature"), signature);
    let letter = office.wait(2).await.remove(1);
    assert!(letter.text.contains("Subject: BuildIt: shop #2 is fixed on main\n"), "{}", letter.text);

    // A success after a success is nothing to them.
    run(&site, &owner, &pipeline, "main", "0").await;
    run(&site, &owner, &pipeline, "main", "1").await;
    assert!(sink.wait(3).await[2].json()["text"].as_str().unwrap().contains("shop #4 failed"));
    assert_eq!(sink.got().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_says_itself_what_it_tells() {
    let folder = tempfile::tempdir().unwrap();
    let sink = Sink::open().await;
    let (site, owner, channels) = site(folder.path()).await;
    let pipeline = site.pipeline(&owner, SHOP).await;
    let made = channel(&site, &owner, &channels, "webhook", &sink.url, &["failed"]).await;
    let id = made["id"].as_str().unwrap();
    let page = "/acme/main/pipelines/shop/notifications";
    assert!(site.get(&owner, page).await.ok().text.contains("as the channel says: failed"));
    let own = [("channel", id), ("succeeded", "on"), ("branches", "main, release/*")];
    assert_eq!(site.form(&owner, page, &own).await.status, StatusCode::SEE_OTHER);
    assert!(site.get(&owner, page).await.ok().text.contains("of this pipeline: succeeded of main, release/*"));
    run(&site, &owner, &pipeline, "main", "1").await;
    run(&site, &owner, &pipeline, "other", "0").await;
    run(&site, &owner, &pipeline, "release/2", "0").await;
    assert_eq!(titles(&sink.wait(1).await), ["shop #3 succeeded on release/2"]);

    // Another tenant's channel is none of this pipeline.
    let organization = site.get(&owner, "/api/v1/organizations").await.json()["items"][0]["id"].clone();
    let tenants = format!("/api/v1/organizations/{}/tenants", organization.as_str().unwrap());
    let other = site.post(&owner, &tenants, json!({ "name": "other" })).await.ok().json();
    let others = format!("/api/v1/tenants/{}/channels", other["id"].as_str().unwrap());
    let theirs = channel(&site, &owner, &others, "webhook", &sink.url, &["failed", "succeeded"]).await;
    let rule = format!("/api/v1/pipelines/{pipeline}/notifications/{}", theirs["id"].as_str().unwrap());
    let set = site.ask(&owner, Method::PUT, &rule, Some(json!({ "events": ["failed"] }))).await;
    assert_eq!(set.status, StatusCode::NOT_FOUND);

    assert_eq!(site.form(&owner, page, &[("channel", id), ("reset", "on")]).await.status, StatusCode::SEE_OTHER);
    run(&site, &owner, &pipeline, "other", "1").await;
    assert_eq!(titles(&sink.wait(2).await)[1..], ["shop #4 failed on other"]);
    let told = site.get(&owner, &format!("/api/v1/pipelines/{pipeline}/notifications")).await.ok().json();
    assert_eq!((&told["items"][0]["own"], &told["items"][0]["events"]), (&json!(false), &json!(["failed"])));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_tried_out_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let sink = Sink::open().await;
    let (site, owner, channels) = site(folder.path()).await;
    let target = format!("{}/services/T0/s3cr3t", sink.url);
    let new = [("name", "ops"), ("kind", "slack"), ("target", &target), ("failed", "on"), ("branches", "")];
    let made = site.form(&owner, "/acme/main/settings/notifications", &new).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text);
    let page = made.header("location").to_owned();
    let tried = site.form(&owner, &format!("{page}/test"), &[]).await;
    assert_eq!(tried.status, StatusCode::SEE_OTHER, "{}", tried.text);
    let text = sink.wait(1).await[0].json()["text"].clone();
    assert!(text.as_str().unwrap().contains("A try-out of the channel ops"), "{text}");
    let listed = site.get(&owner, &channels).await.ok();
    let channel = format!("{channels}/{}", listed.json()["items"][0]["id"].as_str().unwrap());
    assert_eq!(log(&site, &owner, &channel, "sent").await.len(), 1);
    let pages = ["/acme/main/settings/notifications", &page, "/acme/main/settings/audit", &channel];
    for path in pages {
        let shown = site.get(&owner, path).await.ok().text;
        assert!(!shown.contains("s3cr3t"), "{path} shows the address: {shown}");
    }
    assert!(!listed.text.contains("s3cr3t") && listed.text.contains(&sink.url), "{}", listed.text);
    let database = std::fs::read(folder.path().join("buildit.db")).unwrap();
    assert!(!database.windows(6).any(|bytes| bytes == b"s3cr3t"), "it is at rest in clear");

    let viewer = site.key(&owner, "viewer").await;
    let refused = site.post(&viewer, &format!("{channel}/test"), json!({})).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    site.form(&owner, &format!("{page}/delete"), &[]).await;
    assert_eq!(site.get(&owner, &channel).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_is_sent_again_and_what_is_refused_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let sink = Sink::open().await;
    let (site, owner, channels) = site(folder.path()).await;
    let made = channel(&site, &owner, &channels, "webhook", &sink.url, &[]).await;
    let channel = format!("{channels}/{}", made["id"].as_str().unwrap());
    sink.answer(&[503]);
    site.post(&owner, &format!("{channel}/test"), json!({})).await.ok();
    let got = sink.wait(2).await;
    assert_eq!(got[0].header("x-buildit-delivery"), got[1].header("x-buildit-delivery"), "it is known by its id");
    assert_eq!(got[0].body, got[1].body);
    let sent = log(&site, &owner, &channel, "sent").await;
    assert_eq!((&sent[0]["tries"], &sent[0]["error"]), (&json!(2), &Value::Null));

    sink.answer(&[410]);
    site.post(&owner, &format!("{channel}/test"), json!({})).await.ok();
    let refused = log(&site, &owner, &channel, "given_up").await;
    assert_eq!(refused[0]["error"], "the answer was 410 Gone");
    let page = site.get(&owner, &format!("/acme/main/settings/notifications/{}", made["id"].as_str().unwrap())).await;
    assert!(page.text.contains("given up") && page.text.contains("the answer was 410 Gone"), "{}", page.text);
    let again = format!("{channel}/dispatches/{}/retry", refused[0]["id"].as_str().unwrap());
    assert_eq!(site.post(&owner, &again, json!({})).await.status, StatusCode::NO_CONTENT);
    log(&site, &owner, &channel, "sent").await;
    assert_eq!(sink.got().len(), 4);
    assert_eq!(site.post(&owner, &again, json!({})).await.status, StatusCode::CONFLICT, "it was sent");
    let text = site.get(&Who::here(), "/metrics").await.ok().text;
    assert!(text.contains("buildit_notifications_total{kind=\"webhook\",outcome=\"given_up\"} 1"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_that_waits_is_told_of_once_also_by_the_next_server() {
    let folder = tempfile::tempdir().unwrap();
    let sink = Sink::open().await;
    let (site, owner, channels) = site(folder.path()).await;
    let config = "pipeline \"ask\"\nstage \"deploy\" { approval { message \"Go?\" }; run \"true\" }";
    let pipeline = site.pipeline(&owner, config).await;
    let waits = async |site: &Site| {
        let run = site.run(&owner, &pipeline).await;
        site.until(&owner, &run, |event| event["type"] == "approval_requested").await;
        run
    };
    // Nobody is there to be told of the first one.
    let first = waits(&site).await;
    channel(&site, &owner, &channels, "webhook", &sink.url, &["waiting", "cancelled"]).await;
    let second = waits(&site).await;
    let told = sink.wait(1).await.remove(0).json();
    assert_eq!((&told["event"], &told["run"]["id"]), (&json!("run.waiting"), &json!(second)));
    assert_eq!(told["stage"], json!({ "name": "deploy", "message": "Go?" }));
    assert_eq!(told["title"], "ask #2 waits for approval of deploy on main");
    site.server.shutdown().await;
    drop(site);

    // What was overlooked is found, and what was told of is not told again.
    let site = Site::open_with(Site::settings(folder.path())).await;
    let told = sink.wait(2).await.remove(1).json();
    assert_eq!((&told["event"], &told["run"]["id"]), (&json!("run.waiting"), &json!(first)));
    for run in [&first, &second] {
        site.post(&owner, &format!("/api/v1/runs/{run}/cancel"), json!({})).await.ok();
        site.events(&owner, run).await;
    }
    let mut ended = titles(&sink.wait(4).await)[2..].to_vec();
    ended.sort();
    assert_eq!(ended, ["ask #1 was cancelled on main", "ask #2 was cancelled on main"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_server_could_not_send_the_next_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let sink = Sink::open().await;
    let (site, owner, channels) = site(folder.path()).await;
    let pipeline = site.pipeline(&owner, SHOP).await;
    let made = channel(&site, &owner, &channels, "webhook", &sink.url, &["failed"]).await;
    let channel = format!("{channels}/{}", made["id"].as_str().unwrap());
    sink.answer(&[500]);
    run(&site, &owner, &pipeline, "main", "1").await;
    loop {
        let log = log(&site, &owner, &channel, "waiting").await;
        if log[0]["error"] == "the answer was 500 Internal Server Error" {
            break;
        }
        tokio::task::yield_now().await;
    }
    site.server.shutdown().await;
    drop(site);
    let site = Site::open_with(Site::settings(folder.path())).await;
    log(&site, &owner, &channel, "sent").await;
    assert_eq!(titles(&sink.got()), ["shop #1 failed on main", "shop #1 failed on main"]);
}

#[tokio::test]
async fn an_address_of_ones_own_network_is_refused_unless_that_is_set() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Site::settings(folder.path());
    settings.private_targets = false;
    let sink = Sink::open().await;
    let site = Site::open_with(settings).await;
    let owner = site.owner().await;
    let channels = format!("/api/v1/tenants/{}/channels", site.tenant(&owner, "acme", "main").await);
    let port = sink.url.rsplit(':').next().unwrap();
    let new = |target: &str| json!({ "name": target, "kind": "webhook", "target": target });
    for target in ["http://127.0.0.1:1/", "http://169.254.169.254/latest", "http://[::1]/", "file:///etc/passwd", "x"] {
        let refused = site.post(&owner, &channels, new(target)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{target}");
    }
    // What a name means is looked at when it is asked.
    let made = site.post(&owner, &channels, new(&format!("http://localhost:{port}/"))).await.ok().json();
    let channel = format!("{channels}/{}", made["id"].as_str().unwrap());
    site.post(&owner, &format!("{channel}/test"), json!({})).await.ok();
    let error = loop {
        let log = site.get(&owner, &format!("{channel}/dispatches")).await.ok().json();
        if let Some(error) = log["items"][0]["error"].as_str() {
            break error.to_owned();
        }
        tokio::task::yield_now().await;
    };
    assert!(error.contains("private_targets"), "{error}");
    assert_eq!(sink.got().len(), 0);
    let mail = site.post(&owner, &channels, json!({ "name": "m", "kind": "email", "target": "a@example.com" })).await;
    assert_eq!(mail.status, StatusCode::CONFLICT, "there is no mail server");
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let sink = Sink::open().await;
    let (site, owner, channels) = site(folder.path()).await;
    let good = json!({ "name": "ops", "kind": "webhook", "target": sink.url });
    site.post(&owner, &channels, good.clone()).await.ok();
    assert_eq!(site.post(&owner, &channels, good.clone()).await.status, StatusCode::CONFLICT, "the name is taken");
    for (field, value) in [
        ("name", json!("")),
        ("name", json!("a\u{0}b")),
        ("kind", json!("pigeon")),
        ("target", json!("")),
        ("key", json!("short")),
        ("events", json!(["sometimes"])),
        ("branches", json!(["["])),
        ("branches", json!(["x".repeat(101)])),
    ] {
        let mut odd = good.clone();
        odd["name"] = json!("other");
        odd[field] = value;
        let refused = site.post(&owner, &channels, odd.clone()).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{odd}: {}", refused.text);
    }
    let slack = json!({ "name": "s", "kind": "slack", "target": sink.url, "key": "0123456789" });
    assert_eq!(site.post(&owner, &channels, slack).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(site.get(&owner, &channels).await.json()["items"].as_array().unwrap().len(), 1);
}
