//! What the server tells of itself: counters, its log, and badges for pages elsewhere.

use std::sync::Arc;

use crate::site::log::Log;
use crate::site::{Site, Who};
use axum::http::{Method, StatusCode};
use buildit_server::{LogFormat, Settings, subscriber};
use serde_json::{Value, json};

/// The value of a series.
fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')));
    line.unwrap_or_else(|| panic!("no {series}:\n{text}")).rsplit_once(' ').unwrap().1.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_do_is_counted() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let pipeline = site
        .pipeline(&owner, "pipeline \"p\"\nstage \"a\" { run \"echo hello\" }\nstage \"b\" { run \"false\" }")
        .await;
    let slow = site.pipeline(&owner, "pipeline \"slow\"\nstage \"slow\" { run \"sleep 600\" }").await;
    for _ in 0..2 {
        let run = site.run(&owner, &pipeline).await;
        site.events(&owner, &run).await;
    }
    let slow = site.run(&owner, &slow).await;
    site.until(&owner, &slow, |event| event["type"] == "attempt_started").await;
    // A run is counted when it is closed, which comes after its last event.
    let text = loop {
        let text = site.get(&Who::here(), "/metrics").await.ok().text;
        if text.contains("buildit_runs_total{status=\"failed\"} 2") {
            break text;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(value(&text, "buildit_jobs_running"), 1.0);
    assert_eq!(value(&text, "buildit_run_seconds_count{status=\"failed\"}"), 2.0);
    assert_eq!(value(&text, "buildit_run_wait_seconds_count"), 2.0);
    assert_eq!(value(&text, "buildit_queue_runs{status=\"taken\"}"), 1.0);
    assert_eq!(value(&text, "buildit_queue_runs{status=\"waiting\"}"), 0.0);
    assert!(value(&text, "buildit_log_bytes_total") >= 2.0 * "hello\n".len() as f64);
    assert!(value(&text, "buildit_store_seconds_count{operation=\"append\"}") >= 4.0);
    let triggered = "{method=\"POST\",route=\"/api/v1/pipelines/{id}/runs\",status=\"201\"}";
    assert_eq!(value(&text, &format!("buildit_http_requests_total{triggered}")), 3.0);
    for id in [&pipeline, &slow] {
        assert!(!text.contains(id.as_str()), "no label is an id");
    }
    site.post(&owner, &format!("/api/v1/runs/{slow}/cancel"), json!({})).await.ok();
    site.events(&owner, &slow).await;
    let text = site.get(&Who::here(), "/metrics").await.ok().text;
    assert_eq!(value(&text, "buildit_jobs_running"), 0.0);
}

#[tokio::test]
async fn what_nobody_has_made_is_no_label() {
    let site = Site::new().await;
    site.get(&Who::away(), "/api/v1/nothing-of-this-kind").await;
    site.ask(&Who::away(), Method::from_bytes(b"BREW").unwrap(), "/login", None).await;
    let text = site.get(&Who::here(), "/metrics").await.ok().text;
    assert!(!text.contains("nothing-of-this-kind") && !text.contains("BREW"), "{text}");
    assert!(text.contains("method=\"other\""), "{text}");
}

#[tokio::test]
async fn counters_are_for_this_machine_or_for_who_has_the_token() {
    let site = Site::new().await;
    let owner = site.owner().await;
    for who in [Who::away(), owner, Who::here().with("x-forwarded-for", "192.0.2.1")] {
        assert_eq!(site.get(&who, "/metrics").await.status, StatusCode::UNAUTHORIZED);
    }
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    (settings.data, settings.docker) = (folder.path().to_owned(), false);
    settings.metrics_token = Some("s3cr3t".to_owned().into());
    let site = Site::open_with(settings).await;
    for who in [Who::here(), Who::program("s3cr3"), Who::program("")] {
        assert_eq!(site.get(&who, "/metrics").await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(site.get(&Who::program("s3cr3t"), "/metrics").await.status, StatusCode::OK);
}

#[tokio::test]
async fn each_line_of_the_log_says_which_request_it_is_of() {
    let log = Log::default();
    let directives = Some("info,tower_http=debug");
    // Of the whole process: what other tests write has other ids.
    tracing::subscriber::set_global_default(subscriber(LogFormat::Json, directives, log.clone())).unwrap();
    let site = Site::new().await;
    let owner = site.owner().await;
    let answer = site.form(&owner, "/account/verify", &[]).await;
    let token = site.get(&Who::away(), "/reset/reset_secret").await;
    let odd = Who::away().with("x-request-id", "\"}{\u{fc}");
    site.get(&odd, "/login").await;
    let text = log.text();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // Below the span of the request there may be others.
    let of = |id: &str| -> Vec<&Value> { lines.iter().filter(|line| line["spans"][0]["request_id"] == id).collect() };
    let id = answer.header("x-request-id");
    let link = of(id).into_iter().find(|line| line["link"].is_string());
    let link = link.unwrap_or_else(|| panic!("the link is not told of its request: {text}"));
    assert_eq!((&link["level"], &link["spans"][0]["route"]), (&json!("WARN"), &json!("/account/verify")));
    let told = of(token.header("x-request-id"));
    assert!(told.iter().any(|line| line["status"] == "200" || line["status"] == 200), "{told:?}");
    assert!(!text.contains("reset_secret"), "an address may have a token in it: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_badge_is_for_everybody_where_that_is_set() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let pipeline = site.pipeline(&owner, "pipeline \"a <b> & c\"\nstage \"s\" { run \"true\" }").await;
    let badge = "/badges/acme/main/a%20%3Cb%3E%20&%20c.svg";
    for missing in [badge, "/badges/acme/main/none.svg", "/badges/none/main/x.svg", "/badges/acme/none/x.svg"] {
        assert_eq!(site.get(&Who::away(), missing).await.status, StatusCode::NOT_FOUND, "{missing}");
    }
    let seen = site.get(&owner, badge).await.ok();
    assert!(seen.text.contains(">no runs<") && seen.text.contains("a &#60;b&#62; &#38; c"), "{}", seen.text);

    let page = site.get(&owner, "/acme/main/pipelines/a%20%3Cb%3E%20&%20c/settings").await.ok().text;
    assert!(page.contains("Show it to everybody"), "{page}");
    let path = "/acme/main/pipelines/a%20%3Cb%3E%20&%20c/badge";
    let set = site.form(&owner, path, &[("version", "1"), ("public", "on")]).await;
    assert_eq!(set.status, StatusCode::SEE_OTHER, "{}", set.text);
    let shown = site.get(&owner, &format!("/api/v1/pipelines/{pipeline}")).await.json();
    assert_eq!(shown["public_badge"], true);

    let run = site.run(&owner, &pipeline).await;
    site.events(&owner, &run).await;
    let seen = site.get(&Who::away(), badge).await.ok();
    assert!(seen.text.contains(">succeeded<") && seen.text.contains("#116d2e"), "{}", seen.text);
    assert_eq!((seen.header("content-type"), seen.header("cache-control")), ("image/svg+xml", "no-cache"));
    let again = site.get(&Who::away().with("if-none-match", seen.header("etag")), badge).await;
    assert_eq!((again.status, again.text.as_str()), (StatusCode::NOT_MODIFIED, ""));
    let other = site.get(&Who::away(), &format!("{badge}?branch=other")).await.ok();
    assert!(other.text.contains(">no runs<"), "{}", other.text);
    let main = site.get(&Who::away(), &format!("{badge}?branch=main")).await.ok();
    assert!(main.text.contains(">succeeded<"), "{}", main.text);

    let hide = json!({ "public_badge": false });
    site.ask(&owner, Method::PATCH, &format!("/api/v1/pipelines/{pipeline}"), Some(hide)).await.ok();
    assert_eq!(site.get(&Who::away(), badge).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_server_that_stops_is_not_ready() {
    let site = Site::new().await;
    assert_eq!(site.get(&Who::away(), "/health/ready").await.status, StatusCode::OK);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = Arc::clone(&site.server);
    let serving = tokio::spawn(async move { server.serve(listener, async { drop(stopped.await) }).await });
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
    let told = site.get(&Who::away(), "/health/ready").await;
    assert_eq!((told.status, told.json()["status"].as_str()), (StatusCode::SERVICE_UNAVAILABLE, Some("stopping")));
    assert_eq!(site.get(&Who::away(), "/health/live").await.status, StatusCode::OK);
}
