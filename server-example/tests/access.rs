//! Guarantee G5 at each route of the API, as its own description lists them.

#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

mod site;

use axum::http::Method;
use serde_json::{Value, json};
use site::{Site, Who};

/// What stands in the paths, and what is sent.
struct Things {
    organization: String,
    tenant: String,
    pipeline: String,
    run: String,
    waiting: String,
    slow: String,
    key: String,
    user: String,
    worker: String,
}

impl Things {
    fn path(&self, template: &str) -> String {
        let id = match template {
            path if path.starts_with("/api/v1/pipelines/") => &self.pipeline,
            path if path.ends_with("/approve") || path.ends_with("/reject") => &self.waiting,
            path if path.ends_with("/cancel") => &self.slow,
            _ => &self.run,
        };
        template
            .replace("{id}", id)
            .replace("{organization}", &self.organization)
            .replace("{tenant}", &self.tenant)
            .replace("{user}", &self.user)
            .replace("{key}", &self.key)
            .replace("{worker}", &self.worker)
            .replace("{stage}", "build")
            .replace("{attempt}", "1")
            .replace("{name}", "result")
    }

    fn body(&self, method: &Method, template: &str) -> Option<Value> {
        const HELLO: &str = "pipeline \"p\"\nstage \"s\" { run \"true\" }";
        Some(match (method.as_str(), template) {
            ("POST", "/api/v1/pipelines") => json!({ "name": "another", "config": HELLO, "tenant": self.tenant }),
            ("PATCH", _) => json!({ "config": HELLO }),
            ("POST", "/api/v1/validate") => json!({ "config": HELLO }),
            ("POST", path) if path.ends_with("/approve") || path.ends_with("/reject") => {
                json!({ "stage": "ask", "fields": {} })
            }
            ("POST", path) if path.ends_with("/keys") => json!({ "name": "new" }),
            ("POST", path) if path.ends_with("/tenants") => json!({ "name": "third" }),
            ("PUT", path) if path.ends_with("/secrets/{name}") => json!({ "value": "s3cr3t" }),
            ("PUT", path) if path.ends_with("/priority") => json!({ "priority": 1 }),
            ("PUT", path) if path.ends_with("/members/{user}") => json!({ "role": "owner" }),
            ("PUT", _) => json!({ "paused": false }),
            ("POST", _) => json!({}),
            _ => return None,
        })
    }
}

/// Routes that everybody who is known may ask, about themselves.
const OWN: [&str; 4] = ["/api/v1/me", "/api/v1/validate", "/api/v1/organizations", "/api/v1/pipelines"];

async fn things(site: &Site, owner: &Who) -> Things {
    let tenant = site.tenant(owner, "acme", "main").await;
    let organizations = site.get(owner, "/api/v1/organizations").await.json();
    let me = site.get(owner, "/api/v1/me").await.json();
    let made = site.post(owner, &format!("/api/v1/tenants/{tenant}/keys"), json!({ "name": "old" })).await.json();
    let config = "pipeline \"build\"\nstage \"build\" { run \"echo x > x\"; artifacts \"x\" name=\"result\" }\nstage \"fail\" { needs \"build\"; run \"false\" }";
    let pipeline = site.pipeline(owner, config).await;
    let run = site.run(owner, &pipeline).await;
    site.events(owner, &run).await;
    let asking = site.pipeline(owner, "pipeline \"ask\"\nstage \"ask\" { approval; run \"true\" }").await;
    let waiting = site.run(owner, &asking).await;
    site.until(owner, &waiting, |event| event["type"] == "approval_requested").await;
    let endless = site.pipeline(owner, "pipeline \"slow\"\nstage \"slow\" { run \"sleep 600\" }").await;
    let slow = site.run(owner, &endless).await;
    site.until(owner, &slow, |event| event["type"] == "attempt_started").await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Things {
        organization: text(&organizations["items"][0]["id"]),
        tenant,
        pipeline,
        run,
        waiting,
        slow,
        key: text(&made["id"]),
        user: text(&me["user"]),
        worker: site.worker(owner).await,
    }
}

/// Waits until nothing of a pipeline's runs is left anywhere.
async fn settle(site: &Site, who: &Who, pipeline: &str) {
    let runs = site.get(who, &format!("/api/v1/pipelines/{pipeline}/runs")).await.ok().json();
    for run in runs["items"].as_array().unwrap() {
        site.events(who, run["id"].as_str().unwrap()).await;
    }
    site.server.shutdown().await;
}

/// Each route with its method, those last that take something away.
async fn routes(site: &Site, who: &Who) -> Vec<(Method, String)> {
    let api = site.get(who, "/api/openapi.json").await.ok().json();
    let mut routes = Vec::new();
    for (path, of) in api["paths"].as_object().unwrap() {
        for method in of.as_object().unwrap().keys().filter(|key| *key != "parameters") {
            routes.push((method.to_uppercase().parse::<Method>().unwrap(), path.clone()));
        }
    }
    assert!(routes.len() > 20, "{routes:?}");
    // What lies below a thing goes before the thing.
    let depth = |path: &str| path.matches('/').count();
    routes.sort_by_key(|(method, path)| {
        let is_last = method == Method::DELETE;
        (is_last, path.ends_with("/reject"), is_last.then(|| std::cmp::Reverse(depth(path))), path.clone())
    });
    routes
}

#[tokio::test(flavor = "multi_thread")]
async fn g5_no_credential_reaches_what_is_not_its_own() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let things = things(&site, &owner).await;
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
        let (path, body) = (things.path(&template), things.body(&method, &template));
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
            // It has ended, and left the queue.
            path if path.ends_with("/priority") || path.ends_with("/requeue") => 409,
            path if path.ends_with("/members/{user}") && method == Method::DELETE => 409,
            path if path.ends_with("/live") => 0,
            _ => 200,
        };
        if method == Method::DELETE && template == "/api/v1/pipelines/{id}" {
            settle(&site, &owner, &things.pipeline).await;
        }
        // Who has several tenants says which.
        let path =
            if template == "/api/v1/pipelines" { format!("{path}?tenant={}", things.tenant) } else { path.clone() };
        let status =
            if expected == 0 { 0 } else { site.ask(&owner, method.clone(), &path, body).await.status.as_u16() };
        assert_eq!(
            if (200..300).contains(&status) { 200 } else { status },
            expected,
            "{method} {template} as the owner"
        );
    }
}
