//! What starts runs by itself: schedules as people see and pause them, and webhooks of pipelines.

use crate::site::{Site, Who};
use axum::http::{Method, StatusCode};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

const NIGHTLY: &str =
    "pipeline \"night\"\non \"schedule\" cron=\"0 3 * * *\" timezone=\"Europe/Berlin\"\nstage \"s\" { run \"true\" }";
const HOOKED: &str = "pipeline \"hooked\"\non \"webhook\" secret=\"HOOK_SECRET\"\nparam \"region\" default=\"eu\" { choices \"eu\" \"us\" }\nstage \"s\" { run \"true\" }";

async fn schedules(site: &Site, who: &Who, pipeline: &str) -> Vec<Value> {
    let listed = site.get(who, &format!("/api/v1/pipelines/{pipeline}/schedules")).await.ok().json();
    listed["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_follows_the_text_and_is_paused() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let pipeline = site.pipeline(&owner, NIGHTLY).await;
    let found = schedules(&site, &owner, &pipeline).await;
    assert_eq!((&found[0]["cron"], &found[0]["paused"], found.len()), (&json!("0 3 * * *"), &json!(false), 1));
    let next: jiff::Zoned =
        found[0]["next_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().in_tz("Europe/Berlin").unwrap();
    assert_eq!((next.hour(), next.minute()), (3, 0));

    let path = format!("/api/v1/pipelines/{pipeline}/schedules");
    let pause = |cron: &str, paused: bool| json!({ "cron": cron, "timezone": "Europe/Berlin", "paused": paused });
    let unknown = site.ask(&owner, Method::PUT, &path, Some(pause("1 1 * * *", true))).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let paused = site.ask(&owner, Method::PUT, &path, Some(pause("0 3 * * *", true))).await.ok().json();
    assert_eq!(paused["paused"], true);
    assert_eq!(schedules(&site, &owner, &pipeline).await[0]["paused"], true);
    let page = site.get(&owner, "/acme/main/pipelines/night/triggers").await.ok().text;
    assert!(page.contains("paused") && page.contains("Resume"), "{page}");

    let fields = [("cron", "0 3 * * *"), ("timezone", "Europe/Berlin"), ("paused", "false")];
    let resumed = site.form(&owner, "/acme/main/pipelines/night/triggers", &fields).await;
    assert_eq!(resumed.status, StatusCode::SEE_OTHER, "{}", resumed.text);
    assert_eq!(schedules(&site, &owner, &pipeline).await[0]["paused"], false);

    let other = NIGHTLY.replace("0 3 * * *", "30 4 * * 1");
    site.ask(&owner, Method::PATCH, &format!("/api/v1/pipelines/{pipeline}"), Some(json!({ "config": other })))
        .await
        .ok();
    let found = schedules(&site, &owner, &pipeline).await;
    assert_eq!((found.len(), &found[0]["cron"]), (1, &json!("30 4 * * 1")));
    site.ask(&owner, Method::DELETE, &format!("/api/v1/pipelines/{pipeline}"), None).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_knows_the_secret_starts_a_run() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let pipeline = site.pipeline(&owner, HOOKED).await;
    let path = format!("/hooks/pipelines/{pipeline}");
    let bearer = |token: &str| Who::away().with("authorization", &format!("Bearer {token}"));
    let refused = site.post(&bearer(""), &path, json!({})).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "the secret is not set");
    let secret = format!("/api/v1/pipelines/{pipeline}/secrets/HOOK_SECRET");
    site.ask(&owner, Method::PUT, &secret, Some(json!({ "value": "open sesame" }))).await.ok();

    for nobody in [Who::away(), bearer("open sesam"), Who::away().with("x-buildit-signature", "sha256=00")] {
        let refused = site.post(&nobody, &path, json!({})).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{}", refused.text);
        assert!(!refused.text.contains("sesame"));
    }
    let runs = format!("/api/v1/pipelines/{pipeline}/runs");
    let count = async || site.get(&owner, &runs).await.ok().json()["items"].as_array().unwrap().len();
    assert_eq!(count().await, 0);

    let started = site.post(&bearer("open sesame"), &path, json!({ "region": "us", "other": [1] })).await;
    assert_eq!(started.status, StatusCode::ACCEPTED, "{}", started.text);
    let run = started.json()["run"].as_str().unwrap().to_owned();
    let shown = site.get(&owner, &format!("/api/v1/runs/{run}")).await.ok().text;
    assert!(shown.contains("webhook"), "{shown}");
    let body = json!({ "region": "us" });
    let mut mac = Hmac::<Sha256>::new_from_slice(b"open sesame").unwrap();
    mac.update(body.to_string().as_bytes());
    let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
    let signed = Who::away().with("x-buildit-signature", &signature).with("idempotency-key", "one");
    let first = site.post(&signed, &path, body.clone()).await;
    assert_eq!(first.status, StatusCode::ACCEPTED, "{}", first.text);
    let again = site.post(&signed, &path, body).await;
    assert_eq!((again.status, &again.json()["run"]), (StatusCode::OK, &first.json()["run"]), "a replay starts nothing");
    assert_eq!(site.post(&signed, &path, json!({})).await.status, StatusCode::UNAUTHORIZED, "another body");
    assert_eq!(count().await, 2);

    let refused = site.post(&bearer("open sesame"), &path, json!({ "region": "mars" })).await;
    assert!(refused.status.is_client_error(), "{}", refused.text);
    let huge = json!({ "region": "x".repeat(5 * 1024 * 1024) });
    assert_eq!(site.post(&bearer("open sesame"), &path, huge).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let plain = site.pipeline(&owner, NIGHTLY).await;
    for id in [plain.as_str(), "0190aaaa-0000-7000-8000-000000000000", "x"] {
        let missing = site.post(&bearer("open sesame"), &format!("/hooks/pipelines/{id}"), json!({})).await;
        assert_eq!(missing.status, StatusCode::NOT_FOUND, "{id}");
    }
    assert_eq!(count().await, 2);
    let page = site.get(&owner, "/acme/main/pipelines/hooked/triggers").await.ok().text;
    assert!(page.contains(&path) && page.contains("HOOK_SECRET") && !page.contains("sesame"), "{page}");
}
