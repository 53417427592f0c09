//! What the routes of the API are asked about.

use axum::http::Method;
use serde_json::{Value, json};

use super::git::Origin;
use super::hub::Hub;
use super::{Site, Who};

/// What stands in the paths, and what is sent.
pub(crate) struct Things {
    pub(crate) organization: String,
    pub(crate) tenant: String,
    pub(crate) pipeline: String,
    pub(crate) run: String,
    pub(crate) waiting: String,
    pub(crate) slow: String,
    pub(crate) key: String,
    pub(crate) user: String,
    pub(crate) invitation: String,
    pub(crate) worker: String,
    pub(crate) channel: String,
    pub(crate) dispatch: String,
    pub(crate) repository: String,
    pub(crate) delivery: String,
    /// Where it is, and another one that is not connected yet.
    origins: [Origin; 2],
    /// A repository at a forge, and a status that this did not take.
    forged: String,
    status: String,
    _hub: Hub,
}

impl Things {
    /// Makes them.
    pub(crate) async fn new(site: &Site, owner: &Who) -> Self {
        let tenant = site.tenant(owner, "acme", "main").await;
        let organizations = site.get(owner, "/api/v1/organizations").await.json();
        let me = site.get(owner, "/api/v1/me").await.json();
        let made = site.post(owner, &format!("/api/v1/tenants/{tenant}/keys"), json!({ "name": "old" })).await.json();
        let environment = format!("/api/v1/tenants/{tenant}/environments/production");
        site.ask(owner, Method::PUT, &environment, Some(json!({}))).await.ok();
        // Nobody listens there.
        let channels = format!("/api/v1/tenants/{tenant}/channels");
        let new = json!({ "name": "ops", "kind": "webhook", "target": "http://127.0.0.1:9/", "events": [] });
        let channel = site.post(owner, &channels, new).await.ok().json()["id"].as_str().unwrap().to_owned();
        let tried = site.post(owner, &format!("{channels}/{channel}/test"), json!({})).await.ok().json();
        let kdl = "pipeline \"shop\"\nstage \"s\" { run \"true\" }";
        let origins = [(); 2].map(|()| Origin::new(&[(".buildit.kdl", kdl)]));
        let connected = json!({ "url": origins[0].url(), "name": "shop", "tenant": tenant });
        let repository = site.post(owner, "/api/v1/repositories", connected).await.ok().json();
        let config = "pipeline \"build\"\non \"schedule\" cron=\"0 3 1 1 *\"\nstage \"build\" { run \"echo x > x\"; artifacts \"x\" name=\"result\" }\nstage \"fail\" { needs \"build\"; run \"false\" }";
        let pipeline = site.pipeline(owner, config).await;
        let run = site.run(owner, &pipeline).await;
        site.events(owner, &run).await;
        let asking = site.pipeline(owner, "pipeline \"ask\"\nstage \"ask\" { approval; run \"true\" }").await;
        let waiting = site.run(owner, &asking).await;
        site.until(owner, &waiting, |event| event["type"] == "approval_requested").await;
        let endless = site.pipeline(owner, "pipeline \"slow\"\nstage \"slow\" { run \"sleep 600\" }").await;
        let slow = site.run(owner, &endless).await;
        site.until(owner, &slow, |event| event["type"] == "attempt_started").await;
        let (hub, forged, status) = Self::forged(site, owner, &tenant).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let organization = text(&organizations["items"][0]["id"]);
        let invitations = format!("/api/v1/organizations/{organization}/invitations");
        let invited = json!({ "email": "bob@example.com", "role": "viewer" });
        let invited = site.post(owner, &invitations, invited).await.ok().json();
        Self {
            organization,
            invitation: text(&invited["id"]),
            tenant,
            pipeline,
            run,
            waiting,
            slow,
            key: text(&made["id"]),
            user: text(&me["user"]),
            worker: site.worker(owner).await,
            channel,
            dispatch: text(&tried["dispatch"]),
            delivery: Self::delivery(site, owner, &text(&repository["id"])).await,
            repository: text(&repository["id"]),
            origins,
            forged,
            status,
            _hub: hub,
        }
    }

    /// A forge, the id of its repository, and that of a status that it did not take.
    async fn forged(site: &Site, owner: &Who, tenant: &str) -> (Hub, String, String) {
        let hub = Hub::open(&[(".buildit.kdl", "pipeline \"forged\"\nstage \"s\" { run \"true\" }")]).await;
        hub.close();
        let mut connection = hub.connection();
        connection["tenant"] = tenant.into();
        let made = site.post(owner, "/api/v1/repositories", connection).await.ok().json();
        let forged = made["id"].as_str().unwrap().to_owned();
        let pipeline = json!({ "name": "forged", "repository": forged, "tenant": tenant });
        let pipeline = site.post(owner, "/api/v1/pipelines", pipeline).await.ok().json();
        let runs = format!("/api/v1/pipelines/{}/runs", pipeline["id"].as_str().unwrap());
        site.post(owner, &runs, json!({ "branch": "main" })).await.ok();
        let path = format!("/api/v1/repositories/{forged}/statuses");
        loop {
            let listed = site.get(owner, &path).await.ok().json();
            let last = &listed["items"][0];
            if last["state"] == "succeeded" && last["progress"] == "given_up" {
                return (hub, forged, last["id"].as_str().unwrap().to_owned());
            }
            tokio::task::yield_now().await;
        }
    }

    /// The id of something that GitLab has told of a repository.
    async fn delivery(site: &Site, owner: &Who, repository: &str) -> String {
        let of = format!("/api/v1/repositories/{repository}");
        let hook = site.post(owner, &format!("{of}/webhook"), json!({})).await.ok().json();
        let forge =
            Who::away().with("x-gitlab-event", "Job Hook").with("x-gitlab-token", hook["secret"].as_str().unwrap());
        site.post(&forge, &format!("/hooks/{repository}"), json!({})).await.ok();
        let listed = site.get(owner, &format!("{of}/deliveries")).await.ok().json();
        listed["items"][0]["id"].as_str().unwrap().to_owned()
    }

    /// The address of a repository that is not connected.
    pub(crate) fn unconnected(&self) -> &str {
        self.origins[1].url()
    }

    pub(crate) fn path(&self, template: &str) -> String {
        let id = match template {
            path if path.starts_with("/api/v1/pipelines/") => &self.pipeline,
            path if path.starts_with("/api/v1/repositories/{id}/webhook") => &self.forged,
            path if path.starts_with("/api/v1/repositories/{id}/statuses") => &self.forged,
            path if path.starts_with("/api/v1/repositories/") => &self.repository,
            path if path.ends_with("/approve") || path.ends_with("/reject") => &self.waiting,
            path if path.ends_with("/cancel") => &self.slow,
            _ => &self.run,
        };
        template
            .replace("{id}", id)
            .replace("{organization}", &self.organization)
            .replace("{tenant}", &self.tenant)
            .replace("{user}", &self.user)
            .replace("{invitation}", &self.invitation)
            .replace("{key}", &self.key)
            .replace("{worker}", &self.worker)
            .replace("{channel}", &self.channel)
            .replace("{dispatch}", &self.dispatch)
            .replace("{delivery}", &self.delivery)
            .replace("{status}", &self.status)
            .replace("{environment}", "production")
            .replace("{host}", "ghcr.io")
            .replace("{stage}", "build")
            .replace("{attempt}", "1")
            .replace("{number}", "1")
            .replace("{name}", "result")
    }

    /// The path with what must be asked along with it.
    pub(crate) fn address(&self, template: &str) -> String {
        let path = self.path(template);
        match template {
            template if template.ends_with("/log/search") => format!("{path}?text=echo"),
            template if template.ends_with("/diff") => format!("{path}?before={}", self.waiting),
            _ => path,
        }
    }

    pub(crate) fn body(&self, method: &Method, template: &str) -> Option<Value> {
        const HELLO: &str = "pipeline \"p\"\non \"schedule\" cron=\"0 3 1 1 *\"\nstage \"s\" { run \"true\" }";
        Some(match (method.as_str(), template) {
            ("POST", "/api/v1/pipelines") => json!({ "name": "another", "config": HELLO, "tenant": self.tenant }),
            ("PATCH", path) if path.ends_with("/channels/{channel}") => json!({ "name": "renamed" }),
            ("PATCH", "/api/v1/organizations/{organization}") => json!({ "billing_email": "bills@example.com" }),
            ("PATCH", "/api/v1/tenants/{tenant}") => json!({ "name": "renamed" }),
            ("POST", "/api/v1/repositories") => {
                json!({ "name": "another", "url": self.origins[1].url(), "tenant": self.tenant })
            }
            ("PATCH", "/api/v1/repositories/{id}") => json!({ "default_branch": "main" }),
            ("PATCH", _) => json!({ "config": HELLO }),
            ("POST", "/api/v1/validate") => json!({ "config": HELLO }),
            ("POST", path) if path.ends_with("/approve") || path.ends_with("/reject") => {
                json!({ "stage": "ask", "fields": {} })
            }
            ("POST", path) if path.ends_with("/channels") => {
                json!({ "name": "new", "kind": "slack", "target": "http://127.0.0.1:9/", "events": [] })
            }
            ("POST", "/api/v1/organizations") => json!({ "name": "another" }),
            ("POST", path) if path.ends_with("/invitations") => json!({ "email": "new@example.com", "role": "member" }),
            ("POST", path) if path.ends_with("/keys") => json!({ "name": "new" }),
            ("POST", path) if path.ends_with("/tenants") => json!({ "name": "third" }),
            ("PUT", path) if path.ends_with("/secrets/{name}") => json!({ "value": "s3cr3t" }),
            ("PUT", path) if path.ends_with("/registries/{host}") => json!({ "username": "ann", "password": "s3cr3t" }),
            ("PUT", path) if path.ends_with("/environments/{environment}") => {
                json!({ "variables": { "REGION": "eu" } })
            }
            ("PUT", path) if path.ends_with("/notifications/{channel}") => json!({ "events": ["failed"] }),
            ("PUT", path) if path.ends_with("/retention") => json!({ "run_days": 30 }),
            ("PUT", path) if path.ends_with("/priority") => json!({ "priority": 1 }),
            ("PUT", path) if path.ends_with("/members/{user}") => json!({ "role": "owner" }),
            ("PUT", path) if path.ends_with("/schedules") => {
                json!({ "cron": "0 3 1 1 *", "timezone": "UTC", "paused": true })
            }
            ("PUT", _) => json!({ "paused": false }),
            ("POST", _) => json!({}),
            _ => return None,
        })
    }
}

/// Each route with its method, those last that take something away.
pub(crate) async fn routes(site: &Site, who: &Who) -> Vec<(Method, String)> {
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
