//! Guarantee G5 at each route of the API, as its own description lists them.

use crate::site::things::{Things, routes};
use crate::site::{Site, Who};
use axum::http::Method;
use serde_json::json;

/// Routes that everybody who is known may ask, about themselves.
const OWN: [&str; 6] = [
    "/api/v1/me",
    "/api/v1/validate",
    "/api/v1/organizations",
    "/api/v1/pipelines",
    "/api/v1/runs",
    "/api/v1/repositories",
];

/// Waits until nothing of a pipeline's runs is left anywhere.
async fn settle(site: &Site, who: &Who, pipeline: &str) {
    let runs = site.get(who, &format!("/api/v1/pipelines/{pipeline}/runs")).await.ok().json();
    for run in runs["items"].as_array().unwrap() {
        site.events(who, run["id"].as_str().unwrap()).await;
    }
    site.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g5_no_credential_reaches_what_is_not_its_own() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let things = Things::new(&site, &owner).await;
    let tenants = format!("/api/v1/organizations/{}/tenants", things.organization);
    let other = site.post(&owner, &tenants, json!({ "name": "other" })).await.ok().json();
    let other = other["id"].as_str().unwrap().to_owned();
    let stranger = site.key_of(&owner, &other, "admin").await;
    let viewer = site.key(&owner, "viewer").await;
    let revoked = site.key(&owner, "admin").await;
    let keys = format!("/api/v1/tenants/{}/keys", things.tenant);
    let listed = site.get(&owner, &keys).await.json();
    let admin = listed["items"].as_array().unwrap().iter().find(|key| key["name"] == "admin").unwrap()["id"].clone();
    site.ask(&owner, Method::DELETE, &format!("{keys}/{}", admin.as_str().unwrap()), None).await.ok();
    for (method, template) in routes(&site, &owner).await {
        // Who knows the secret of a webhook may, whoever they are: `triggers.rs` tries it. Badges may be for everybody:
        // `observe.rs`.
        if template.starts_with("/hooks/") || template.starts_with("/badges/") {
            continue;
        }
        let (path, body) = (things.address(&template), things.body(&method, &template));
        let status = async |who: &Who| {
            if template.ends_with("/live") {
                return 0;
            }
            site.ask(who, method.clone(), &path, body.clone()).await.status.as_u16()
        };
        for (name, nobody) in
            [("nobody", Who::away()), ("a wrong key", Who::program("bi_wrong")), ("a revoked key", revoked.clone())]
        {
            let status = status(&nobody).await;
            assert!(matches!(status, 401 | 0), "{method} {template} as {name}: {status}");
        }
        if OWN.contains(&template.as_str()) {
            let said = site.ask(&stranger, method.clone(), &path, body.clone()).await;
            for own in [&things.pipeline, &things.run, &things.tenant] {
                assert!(
                    !said.text.contains(own.as_str()),
                    "{method} {template} tells of another tenant: {}",
                    said.text
                );
            }
        } else {
            let status = status(&stranger).await;
            assert!(matches!(status, 404 | 0), "{method} {template} as another tenant: {status}");
        }
        let looks = method == Method::GET || template == "/api/v1/validate";
        if !looks {
            let status = status(&viewer).await;
            assert!(matches!(status, 403 | 404), "{method} {template} as a viewer: {status}");
        }
        // Reject has nothing to answer once approve has; taking out the last owner is refused to everybody.
        let expected = match template.as_str() {
            path if path.ends_with("/reject") => 409,
            // It tells of no fork: `deliveries.rs` has one.
            path if path.ends_with("/deliveries/{delivery}/approve") => 409,
            // It is of a text, and has none.
            path if path.ends_with("/source") => 404,
            // It has ended, and left the queue.
            path if path.ends_with("/priority") || path.ends_with("/requeue") => 409,
            path if path.ends_with("/members/{user}") && method == Method::DELETE => 409,
            path if path.ends_with("/live") => 0,
            // It is the first one.
            "/api/v1/tenants/{tenant}" | "/api/v1/organizations/{organization}" if method == Method::DELETE => 409,
            _ => 200,
        };
        if method == Method::DELETE && template == "/api/v1/pipelines/{id}" {
            settle(&site, &owner, &things.pipeline).await;
        }
        // Who has several tenants says which.
        let path = match template.as_str() {
            "/api/v1/pipelines" | "/api/v1/runs" | "/api/v1/repositories" => format!("{path}?tenant={}", things.tenant),
            _ => path.clone(),
        };
        let status =
            if expected == 0 { 0 } else { site.ask(&owner, method.clone(), &path, body).await.status.as_u16() };
        assert_eq!(
            if (200..300).contains(&status) { 200 } else { status },
            expected,
            "{method} {template} as the owner"
        );
    }
}
