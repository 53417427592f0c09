//! What a tenant wants kept: said on a page or by the API, remembered over a restart, and acted on.

use crate::site::{Site, Who};
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

const PRINTS: &str = "pipeline \"prints\"\nstage \"say\" { run \"echo a needle in $BUILDIT_PIPELINE\" }";

/// The numbers of the runs that are there, the latest first.
async fn numbers(site: &Site, who: &Who) -> Vec<u64> {
    let runs = site.get(who, "/api/v1/runs").await.ok().json();
    runs["items"].as_array().unwrap().iter().map(|run| run["number"].as_u64().unwrap()).collect()
}

async fn ended(site: &Site, who: &Who, pipeline: &str) -> String {
    let run = site.run(who, pipeline).await;
    let events = site.events(who, &run).await;
    assert_eq!(events.last().unwrap()["status"], "succeeded");
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_and_logs_that_are_not_kept_go_after_a_restart_too() {
    let folder = tempfile::tempdir().unwrap();
    let (owner, tenant, runs) = {
        let site = Site::open(folder.path()).await;
        let owner = site.owner().await;
        let tenant = site.tenant(&owner, "acme", "main").await;
        let pipeline = site.pipeline(&owner, PRINTS).await;
        let mut runs = Vec::new();
        for _ in 0..4 {
            runs.push(ended(&site, &owner, &pipeline).await);
        }
        let done = site.server.tidy().await.unwrap();
        assert_eq!((done.runs, done.logs.removed), (0, 0), "nothing was said");
        assert_eq!(done.logs.indexed, 4, "logs of ended runs can be searched");
        // On the page, as a person does.
        let fields = [("run_days", "0"), ("latest_runs", "3"), ("log_runs", "2"), ("version", "0")];
        let saved = site.form(&owner, "/acme/main/settings/retention", &fields).await;
        assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text);
        site.server.shutdown().await;
        (owner, tenant, runs)
    };
    let site = Site::open(folder.path()).await;
    let path = format!("/api/v1/tenants/{tenant}/retention");
    let said = site.get(&owner, &path).await.ok();
    assert_eq!(said.header("etag"), "\"1\"");
    let none = Value::Null;
    assert_eq!(
        said.json(),
        json!({ "run_days": 0, "latest_runs": 3, "log_days": none, "log_bytes": none, "log_runs": 2 })
    );
    let page = site.get(&owner, "/acme/main/settings/retention").await.ok().text;
    assert!(page.contains("name=\"latest_runs\" type=\"number\" min=\"0\" value=\"3\""), "{page}");

    let done = site.server.tidy().await.unwrap();
    assert_eq!((done.runs, done.logs.removed), (1, 1));
    assert_eq!(numbers(&site, &owner).await, [4, 3, 2]);
    assert_eq!(site.get(&owner, &format!("/api/v1/runs/{}", runs[0])).await.status, StatusCode::NOT_FOUND);
    let log = async |run: &str| site.get(&owner, &format!("/api/v1/runs/{run}/stages/say/attempts/1/log")).await.status;
    assert_eq!(log(&runs[1]).await, StatusCode::GONE, "its run is there, its log is not");
    assert_eq!((log(&runs[2]).await, log(&runs[3]).await), (StatusCode::OK, StatusCode::OK));
    let again = site.server.tidy().await.unwrap();
    assert_eq!((again.runs, again.logs.removed), (0, 0), "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_of_its_tenant_alone_and_nobody_overwrites_another_s() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let tenant = site.tenant(&owner, "acme", "main").await;
    let pipeline = site.pipeline(&owner, PRINTS).await;
    ended(&site, &owner, &pipeline).await;
    let organization = site.get(&owner, "/api/v1/organizations").await.ok().json()["items"][0]["id"].clone();
    let tenants = format!("/api/v1/organizations/{}/tenants", organization.as_str().unwrap());
    let other = site.post(&owner, &tenants, json!({ "name": "other" })).await.ok().json()["id"].clone();
    let put = async |who: &Who, tenant: &str, body: Value| {
        let path = format!("/api/v1/tenants/{tenant}/retention");
        site.ask(who, Method::PUT, &path, Some(body)).await
    };
    put(&owner, other.as_str().unwrap(), json!({ "run_days": 0, "log_days": 0 })).await.ok();
    let done = site.server.tidy().await.unwrap();
    assert_eq!((done.runs, done.logs.removed), (0, 0), "what another tenant wants is nothing to these runs");

    let member = site.key(&owner, "member").await;
    assert_eq!(put(&member, &tenant, json!({ "run_days": 1 })).await.status, StatusCode::FORBIDDEN);
    let admin = site.key(&owner, "admin").await;
    put(&admin, &tenant, json!({ "run_days": 30 })).await.ok();
    let stale = put(&owner.clone().with("if-match", "\"0\""), &tenant, json!({})).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED, "{}", stale.text);
    // Two people have the page open: the second one sees what the first one said, and loses nothing of their own.
    let fields = [("run_days", "7"), ("version", "0")];
    let refused = site.form(&owner, "/acme/main/settings/retention", &fields).await;
    assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED);
    assert!(refused.text.contains("value=\"7\"") && refused.text.contains("name=\"version\" value=\"1\""));
    for bad in [json!({ "run_days": 36_501 }), json!({ "log_bytes": u64::MAX }), json!({ "days": 1 })] {
        let refused = put(&owner, &tenant, bad).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    }
    let odd = [("run_days", "many"), ("version", "1")];
    let refused = site.form(&owner, "/acme/main/settings/retention", &odd).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains("`many` is no number"));
}
