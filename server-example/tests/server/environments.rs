//! Environments of a server: their variables, secrets and rules, as stages have them.

use crate::site::{Site, Who};
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

const SHIP: &str = r##"pipeline "ship"
stage "ship" {
    environment "production"
    secrets "TOKEN"
    run #"test "$REGION-${environment.REGION}" = eu-eu"#
    run #"test "$(printf %s "$TOKEN" | wc -c)" -eq 26"#
    run #"echo "to $REGION with $TOKEN""#
}"##;

const TOKEN: &str = "environment-s3cr3t-token-1";

struct World {
    site: Site,
    owner: Who,
    tenant: String,
    pipeline: String,
}

impl World {
    /// A server with the environment `production`, which has a variable, a secret and these rules.
    async fn new(folder: &std::path::Path, rules: Value) -> Self {
        let site = Site::open(folder).await;
        let owner = site.owner().await;
        let tenant = site.tenant(&owner, "acme", "main").await;
        let pipeline = site.pipeline(&owner, SHIP).await;
        let world = Self { site, owner, tenant, pipeline };
        world.put(&json!({ "variables": { "REGION": "eu" }, "protection": rules })).await;
        let secret = world.path("/secrets/TOKEN");
        world.site.ask(&world.owner, Method::PUT, &secret, Some(json!({ "value": TOKEN }))).await.ok();
        world
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/tenants/{}/environments/production{rest}", self.tenant)
    }

    async fn put(&self, body: &Value) {
        self.site.ask(&self.owner, Method::PUT, &self.path(""), Some(body.clone())).await.ok();
    }

    /// Starts a run of this branch.
    async fn run(&self, branch: &str) -> String {
        let path = format!("/api/v1/pipelines/{}/runs", self.pipeline);
        let made = self.site.post(&self.owner, &path, json!({ "branch": branch })).await.ok().json();
        made["id"].as_str().unwrap().to_owned()
    }

    async fn ended(&self, run: &str) -> Value {
        self.site.events(&self.owner, run).await;
        self.site.get(&self.owner, &format!("/api/v1/runs/{run}")).await.ok().json()
    }

    async fn asked(&self, run: &str) -> Value {
        self.site.until(&self.owner, run, |event| event["type"] == "approval_requested").await
    }

    async fn approve(&self, who: &Who, run: &str) -> (StatusCode, String) {
        let path = format!("/api/v1/runs/{run}/approve");
        let answer = self.site.post(who, &path, json!({ "stage": "ship", "fields": {} })).await;
        (answer.status, answer.text)
    }

    /// Somebody else of the organization, who is logged in.
    async fn join(&self, email: &str, role: &str) -> Who {
        let invited =
            self.site.form(&self.owner, "/acme/main/settings/team", &[("email", email), ("role", role)]).await;
        let at = invited.text.find("/invitations/").unwrap();
        let link: String = invited.text[at..].chars().take_while(|sign| !"\"<& ".contains(*sign)).collect();
        self.site.join(&link).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_gets_the_variables_and_secrets_of_its_environment_before_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(folder.path(), json!({ "branches": ["main"], "approvals": 0 })).await;
    let run = world.run("main").await;
    let ended = world.ended(&run).await;
    assert_eq!(ended["status"], "succeeded", "{ended}");
    let shown = world.site.get(&world.owner, &world.path("")).await.ok();
    assert!(!shown.text.contains(TOKEN) && shown.text.contains("REGION"));
    let log = world.site.get(&world.owner, &format!("/api/v1/runs/{run}/stages/ship/attempts/1/log/raw")).await;
    assert!(!log.text.contains(TOKEN), "{}", log.text);
    world.site.server.shutdown().await;
    let World { owner, tenant, pipeline, site } = world;
    drop(site);
    let world = World { site: Site::open(folder.path()).await, owner, tenant, pipeline };
    let again = world.site.get(&world.owner, &world.path("")).await.ok().json();
    assert_eq!((&again["variables"]["REGION"], &again["protection"]["branches"]), (&json!("eu"), &json!(["main"])));
    let ended = world.ended(&world.run("main").await).await;
    assert_eq!(ended["status"], "succeeded", "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_is_not_allowed_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(folder.path(), json!({ "branches": ["main", "release/*"] })).await;
    let run = world.run("dev").await;
    let ended = world.ended(&run).await;
    assert_eq!(ended["status"], "failed");
    let why = "environment `production` is not for the branch `dev`, only for main, release/*";
    assert_eq!(ended["stages"][0]["reason"], why);
    assert_eq!(ended["stages"][0]["attempts"], json!([]), "it did not start");
    let explained = world.site.get(&world.owner, &format!("/api/v1/runs/{run}/explain")).await.ok().text;
    assert!(explained.contains(why), "{explained}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protected_environment_is_approved_by_those_whom_it_names_alone() {
    let folder = tempfile::tempdir().unwrap();
    let rules = json!({ "approvals": 2, "by": ["role:admin", "user:dan@example.com"], "not_the_starter": true });
    let world = World::new(folder.path(), rules).await;
    let bob = world.join("bob@example.com", "admin").await;
    let cyd = world.join("cyd@example.com", "member").await;
    let dan = world.join("dan@example.com", "member").await;
    let robot = world.site.key(&world.owner, "admin").await;
    let run = world.run("main").await;
    assert_eq!(world.asked(&run).await["needed"], 2);
    for (who, why) in [
        (&world.owner, "whoever started a run may not approve it"),
        (&cyd, "environment `production` waits for role:admin, user:dan@example.com"),
        (&robot, "is for people to approve, not for API keys"),
    ] {
        let (status, said) = world.approve(who, &run).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{said}");
        assert!(said.contains(why), "{said}");
    }
    assert_eq!(world.approve(&bob, &run).await.0, StatusCode::NO_CONTENT);
    let (status, said) = world.approve(&bob, &run).await;
    assert!(status.is_client_error() && said.contains("already"), "{status} {said}");
    let shown = world.site.get(&world.owner, &format!("/api/v1/runs/{run}")).await.json();
    assert_eq!(shown["status"], "waiting", "one is not enough");
    let asked = &shown["stages"][0]["approval"];
    assert_eq!((&asked["missing"], &asked["given"]), (&json!(1), &json!(["bob@example.com"])));
    let page = world.site.get(&world.owner, "/acme/main/pipelines/ship/runs/1").await.ok().text;
    assert!(page.contains("1 more must approve; bob@example.com did"), "{page}");
    // Rules that change meanwhile are for later runs.
    world.put(&json!({ "variables": { "REGION": "us" } })).await;
    assert_eq!(world.approve(&dan, &run).await.0, StatusCode::NO_CONTENT);
    let ended = world.ended(&run).await;
    assert_eq!(ended["status"], "succeeded", "it has the region of its start: {ended}");
    let later = world.ended(&world.run("main").await).await;
    assert_eq!(later["status"], "failed", "nobody is asked, and the region is another");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_that_waits_for_its_time_says_until_when() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(folder.path(), json!({ "wait_seconds": 3600 })).await;
    let run = world.run("main").await;
    let held = world.site.until(&world.owner, &run, |event| event["type"] == "stage_held").await;
    let shown = world.site.get(&world.owner, &format!("/api/v1/runs/{run}")).await.ok().json();
    assert_eq!(shown["stages"][0]["held_until"], held["until"]);
    let page = world.site.get(&world.owner, "/acme/main/pipelines/ship/runs/1").await.ok().text;
    assert!(page.contains("waits as environment production wants it"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_an_environment_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(folder.path(), json!({})).await;
    for (body, why) in [
        (json!({ "variables": { "BUILDIT_JOB_ID": "x" } }), "set by BuildIt itself"),
        (json!({ "variables": { "A=B": "x" } }), "cannot be the name"),
        (json!({ "protection": { "by": ["admin"] } }), "neither"),
        (json!({ "protection": { "branches": ["[a"] } }), "no glob"),
        (json!({ "protection": { "approvals": 1000 } }), "at most 20"),
        (json!({ "protection": { "wait_seconds": 99_999_999 } }), "at most 30 days"),
    ] {
        let refused = world.site.ask(&world.owner, Method::PUT, &world.path(""), Some(body)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
        assert!(refused.text.contains(why), "{}", refused.text);
    }
    let stale = world.owner.clone().with("if-match", "\"7\"");
    let refused = world.site.ask(&stale, Method::PUT, &world.path(""), Some(json!({}))).await;
    assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED);
    world.site.ask(&world.owner, Method::DELETE, &world.path(""), None).await.ok();
    let trigger = format!("/api/v1/pipelines/{}/runs", world.pipeline);
    let refused = world.site.post(&world.owner, &trigger, json!({})).await;
    assert!(refused.text.contains("there is no environment `production`"), "{}", refused.text);
    // One of its name has none of its secrets.
    world.put(&json!({})).await;
    let secrets = world.site.get(&world.owner, &world.path("/secrets")).await.ok().json();
    assert_eq!(secrets["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_is_made_and_changed_on_its_page() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::open(folder.path()).await;
    let owner = site.owner().await;
    let list = "/acme/main/environments";
    assert!(site.get(&owner, list).await.ok().text.contains("There is no environment yet."));
    let refused = site.form(&owner, list, &[("name", "a/b")]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains("the name of an environment has"), "{}", refused.text);
    let made = site.form(&owner, list, &[("name", "pre <prod>")]).await;
    let page = made.header("location").to_owned();
    assert_eq!(page, "/acme/main/environments/pre%20%3Cprod%3E");
    let send = async |path: &str, fields: &[(&str, &str)]| site.form(&owner, &format!("{page}{path}"), fields).await;
    assert_eq!(send("/variables", &[("name", "REGION"), ("value", "<b>eu</b>")]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(send("/secrets", &[("name", "TOKEN"), ("value", TOKEN)]).await.status, StatusCode::SEE_OTHER);
    let rules =
        [("approvals", "2"), ("by", "role:admin"), ("starter", "on"), ("branches", "main, x/*"), ("minutes", "3")];
    assert_eq!(send("/protection", &rules).await.status, StatusCode::SEE_OTHER);
    let shown = site.get(&owner, &page).await.ok().text;
    for there in ["&#60;b&#62;eu&#60;/b&#62;", "TOKEN", "2 approvals · main, x/* · waits 3 min", "checked"] {
        assert!(shown.contains(there), "{there}: {shown}");
    }
    assert!(!shown.contains(TOKEN) && !shown.contains("<b>eu"));
    let refused = send("/protection", &[("by", "nobody")]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains("is neither"), "{}", refused.text);
    assert_eq!(send("/variables/REGION/delete", &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(send("/secrets/TOKEN/delete", &[]).await.status, StatusCode::SEE_OTHER);
    assert!(!site.get(&owner, &page).await.ok().text.contains("&#60;b&#62;eu"));
    assert_eq!(send("/delete", &[("typed", "other")]).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(send("/delete", &[("typed", "pre <prod>")]).await.header("location"), list);
    assert_eq!(site.get(&owner, &page).await.status, StatusCode::NOT_FOUND);
}
