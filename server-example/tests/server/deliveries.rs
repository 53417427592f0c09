//! Webhooks of forges: what they start, what they do not, and what is kept of them.

use crate::site::git::Origin;
use crate::site::{Site, Who};
use axum::http::StatusCode;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

const SHOP: &str = r##"pipeline "shop"
on "push" { branches "main" "release/*"; paths "src/**" }
on "tag" pattern="v*"
on "pull_request" { branches "main" }
stage "show" { run #"echo "event=${run.event} branch=${git.branch} tag=${git.tag} fork=${pr.fork}""# }"##;

const DEPLOY: &str = r#"pipeline "deploy"
on "pull_request"
stage "s" { secrets "TOKEN"; run "true" }"#;

struct World {
    site: Site,
    owner: Who,
    origin: Origin,
    repository: String,
    secret: String,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new(files: &[(&str, &str)]) -> Self {
        Self::with(files, true).await
    }

    /// With a server whose jobs may run as its own user, or may not where somebody else may have written them.
    async fn with(files: &[(&str, &str)], local_for_all: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Site::settings(folder.path());
        settings.local_for_all = local_for_all;
        let site = Site::open_with(settings).await;
        let owner = site.owner().await;
        let origin = Origin::new(files);
        let body = json!({ "url": origin.url(), "name": "shop", "forge": "github" });
        let made = site.post(&owner, "/api/v1/repositories", body).await.ok().json();
        let repository = made["id"].as_str().unwrap().to_owned();
        let hook =
            site.post(&owner, &format!("/api/v1/repositories/{repository}/webhook"), json!({})).await.ok().json();
        assert!(hook["url"].as_str().unwrap().ends_with(&format!("/hooks/{repository}")), "{hook}");
        let secret = hook["secret"].as_str().unwrap().to_owned();
        Self { site, owner, origin, repository, secret, _folder: folder }
    }

    /// Delivers an event of GitHub, signed with this secret.
    async fn deliver_signed(&self, id: &str, event: &str, body: &Value, secret: &str) -> StatusCode {
        let text = body.to_string();
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(text.as_bytes());
        let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
        let forge = Who::away()
            .with("x-github-event", event)
            .with("x-github-delivery", id)
            .with("x-hub-signature-256", &signature);
        let path = format!("/hooks/{}", self.repository);
        self.site.send(&forge, axum::http::Method::POST, &path, "application/json", text).await.status
    }

    /// Delivers an event and gives what came of it.
    async fn deliver(&self, id: &str, event: &str, body: &Value) -> Value {
        assert_eq!(self.deliver_signed(id, event, body, &self.secret).await, StatusCode::ACCEPTED);
        self.settled(|delivery| delivery["key"] == id).await
    }

    fn path(&self) -> String {
        format!("/api/v1/repositories/{}/deliveries", self.repository)
    }

    async fn deliveries(&self) -> Vec<Value> {
        self.site.get(&self.owner, &self.path()).await.ok().json()["items"].as_array().unwrap().clone()
    }

    /// The delivery that is like that, once it was worked on.
    async fn settled(&self, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let found = self.deliveries().await.into_iter().find(|delivery| is_it(delivery)).unwrap();
            if found["state"] != "waiting" || found["reason"] != Value::Null {
                return found;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn runs(&self) -> Vec<Value> {
        self.site.get(&self.owner, "/api/v1/runs").await.ok().json()["items"].as_array().unwrap().clone()
    }

    fn head(&self) -> String {
        self.origin.git(&["rev-parse", "HEAD"])
    }

    fn push(&self, branch: &str, before: &str) -> Value {
        let after = self.head();
        json!({ "ref": format!("refs/heads/{branch}"), "before": before, "after": after,
            "head_commit": { "id": after, "message": "as the forge tells it", "author": { "name": "x" } },
            "sender": { "login": "ann" } })
    }
}

fn decision<'a>(delivery: &'a Value, pipeline: &str) -> &'a Value {
    let all = delivery["decisions"].as_array().unwrap();
    all.iter().find(|decision| decision["pipeline"] == pipeline).unwrap_or_else(|| panic!("{delivery}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_starts_what_is_for_it_once() {
    let world = World::new(&[(".buildit.kdl", SHOP), ("src/a", "1")]).await;
    let first = world.head();
    let second = world.origin.commit("change the source", &[("src/a", "2")]);
    let push = world.push("main", &first);
    let came = world.deliver("one", "push", &push).await;
    let started = decision(&came, "shop");
    assert_eq!(
        (&came["state"], &started["outcome"], &started["path"]),
        (&json!("done"), &json!("started"), &json!(".buildit.kdl"))
    );
    assert_eq!(world.deliver_signed("one", "push", &push, &world.secret).await, StatusCode::OK, "it came before");
    let runs = world.runs().await;
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert_eq!(
        (&runs[0]["event"], &runs[0]["branch"], &runs[0]["commit"]),
        (&json!("push"), &json!("main"), &json!(second))
    );
    assert_eq!((&runs[0]["message"], &runs[0]["author"]), (&json!("change the source"), &json!("Ann Ü")));
    let run = runs[0]["id"].as_str().unwrap();
    world.site.events(&world.owner, run).await;
    let log = world.site.get(&world.owner, &format!("/api/v1/runs/{run}/stages/show/attempts/1/log/raw")).await.text;
    assert!(log.contains("event=push branch=main tag= fork="), "{log}");

    let before = world.head();
    world.origin.commit("only the readme", &[("README", "x")]);
    let came = world.deliver("two", "push", &world.push("main", &before)).await;
    let skipped = decision(&came, "shop");
    assert_eq!((&skipped["outcome"], &skipped["reasons"]), (&json!("skipped"), &json!(["no changed path matches"])));
    let before = world.head();
    world.origin.commit("nothing to see [skip ci]", &[("src/a", "3")]);
    let came = world.deliver("three", "push", &world.push("main", &before)).await;
    assert_eq!(decision(&came, "shop")["reasons"], json!(["the commit's message says [skip ci]"]));
    world.origin.git(&["checkout", "-q", "-b", "topic"]);
    world.origin.commit("aside", &[("src/a", "4")]);
    let none = "0".repeat(40);
    let came = world.deliver("four", "push", &world.push("topic", &none)).await;
    assert_eq!(decision(&came, "shop")["reasons"], json!(["branch `topic` does not match"]));
    world.origin.git(&["tag", "v1"]);
    let tag =
        json!({ "ref": "refs/tags/v1", "before": none, "after": world.head(), "head_commit": { "id": world.head() } });
    let came = world.deliver("five", "push", &tag).await;
    assert_eq!(decision(&came, "shop")["outcome"], "started", "{came}");
    let deleted = json!({ "ref": "refs/heads/topic", "before": world.head(), "after": none });
    let came = world.deliver("six", "push", &deleted).await;
    assert_eq!((&came["state"], &came["reason"]), (&json!("done"), &json!("`topic` is gone")));
    let came = world.deliver("seven", "ping", &json!({ "zen": "x" })).await;
    assert_eq!(came["decisions"], json!([]));
    assert_eq!(world.runs().await.len(), 2, "the push and the tag");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_know_the_secret_starts_nothing_and_is_noted() {
    let world = World::new(&[(".buildit.kdl", SHOP)]).await;
    let push = world.push("main", &"0".repeat(40));
    for _ in 0..3 {
        assert_eq!(world.deliver_signed("one", "push", &push, "wrong").await, StatusCode::UNAUTHORIZED);
    }
    let noted = world.deliveries().await;
    assert!((1..=2).contains(&noted.len()), "once a minute: {noted:?}");
    assert_eq!((&noted[0]["state"], &noted[0]["reason"]), (&json!("refused"), &json!("the signature is wrong")));
    let one = format!("{}/{}", world.path(), noted[0]["id"].as_str().unwrap());
    let shown = world.site.get(&world.owner, &one).await.ok().json();
    assert_eq!(shown["payload"], "", "nothing of what they brought is kept");
    let again = world.site.post(&world.owner, &format!("{one}/redeliver"), json!({})).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.text);
    assert_eq!(world.runs().await, Vec::<Value>::new());
    // A new secret makes the one before worthless.
    let renew = format!("/api/v1/repositories/{}/webhook", world.repository);
    world.site.post(&world.owner, &renew, json!({})).await.ok();
    assert_eq!(world.deliver_signed("two", "push", &push, &world.secret).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_from_a_fork_has_secrets_once_an_admin_has_looked_at_its_commit() {
    let deploy = "pipeline \"deploy\"\non \"pull_request\"\nstage \"s\" { secrets \"TOKEN\"; run \"test $TOKEN = s3cr3t-of-the-tenant && git show --no-patch --format=at=%s\" }";
    let world = World::new(&[(".buildit/deploy.kdl", deploy)]).await;
    world.deliver("first", "push", &world.push("main", &"0".repeat(40))).await;
    let tenant = world.site.tenant(&world.owner, "acme", "main").await;
    let secret = format!("/api/v1/tenants/{tenant}/secrets/TOKEN");
    let value = json!({ "value": "s3cr3t-of-the-tenant" });
    world.site.ask(&world.owner, axum::http::Method::PUT, &secret, Some(value)).await.ok();
    world.origin.git(&["checkout", "-q", "--detach"]);
    world.origin.commit("looked at", &[("src/x", "")]);
    world.origin.git(&["update-ref", "refs/pull/7/head", "HEAD"]);
    let came = world.deliver("fork", "pull_request", &request(&world, "opened", true)).await;
    assert_eq!(decision(&came, "deploy")["outcome"], "invalid", "{came}");
    // Whoever made it goes on, and nobody has looked at that.
    world.origin.commit("evil", &[("src/x", "evil")]);
    world.origin.git(&["update-ref", "refs/pull/7/head", "HEAD"]);
    let later = world.deliver("later", "pull_request", &request(&world, "synchronize", true)).await;
    assert_eq!(decision(&later, "deploy")["outcome"], "invalid", "{later}");

    let page = format!("/acme/main/repositories/{}/deliveries/{}", world.repository, came["id"].as_str().unwrap());
    assert!(world.site.get(&world.owner, &page).await.ok().text.contains("Run with secrets"));
    let approve = format!("{}/{}/approve", world.path(), came["id"].as_str().unwrap());
    let member = world.site.key(&world.owner, "member").await;
    let refused = world.site.post(&member, &approve, json!({})).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text);
    let approved = world.site.post(&world.owner, &approve, json!({})).await.ok().json();
    let run = decision(&approved, "deploy")["run"].as_str().unwrap().to_owned();
    let again = world.site.form(&world.owner, &format!("{page}/approve"), &[]).await;
    assert_eq!(again.header("location"), "/acme/main/pipelines/deploy/runs/1", "it is the same run: {}", again.text);
    let events = world.site.events(&world.owner, &run).await;
    assert_eq!(events.last().unwrap()["status"], "succeeded", "{events:?}");
    let log = world.site.get(&world.owner, &format!("/api/v1/runs/{run}/stages/s/attempts/1/log/raw")).await.ok().text;
    assert!(log.contains("at=looked at"), "{log}");
    assert_eq!(world.runs().await.len(), 1);
    let listed = world.deliveries().await;
    let copy = format!("with secrets {}", came["id"].as_str().unwrap());
    let copy = listed.iter().find(|one| one["key"] == copy).unwrap_or_else(|| panic!("{listed:?}"));
    let twice = format!("{}/{}/approve", world.path(), copy["id"].as_str().unwrap());
    assert_eq!(world.site.post(&world.owner, &twice, json!({})).await.status, StatusCode::CONFLICT);
    let noted = world.site.get(&world.owner, &format!("/api/v1/tenants/{tenant}/audit")).await.ok().text;
    assert!(noted.contains("delivery.approve"), "{noted}");
    // What is of no fork needs nobody who looks at it.
    let own = world.deliver("own", "pull_request", &request(&world, "reopened", false)).await;
    let own = format!("{}/{}/approve", world.path(), own["id"].as_str().unwrap());
    assert_eq!(world.site.post(&world.owner, &own, json!({})).await.status, StatusCode::CONFLICT);
}

fn request(world: &World, action: &str, fork: bool) -> Value {
    let head = if fork { json!({ "full_name": "mallory/shop" }) } else { json!({ "full_name": "acme/shop" }) };
    json!({ "action": action, "number": 7, "sender": { "login": "mallory" }, "pull_request": { "number": 7, "title": "Better",
        "user": { "login": "mallory" }, "head": { "ref": "topic", "sha": world.head(), "repo": head },
        "base": { "ref": "main", "sha": world.origin.git(&["rev-parse", "main"]), "repo": { "full_name": "acme/shop" } } } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_from_a_fork_runs_without_secrets_and_makes_no_pipeline() {
    let world = World::new(&[(".buildit/shop.kdl", SHOP), (".buildit/deploy.kdl", DEPLOY)]).await;
    let pushed = world.deliver("first", "push", &world.push("main", &"0".repeat(40))).await;
    assert_eq!(decision(&pushed, "deploy")["reasons"], json!(["it has no `on \"push\"`"]), "both are pipelines now");
    let tenant = world.site.tenant(&world.owner, "acme", "main").await;
    let secret = format!("/api/v1/tenants/{tenant}/secrets/TOKEN");
    let value = json!({ "value": "s3cr3t-of-the-tenant" });
    world.site.ask(&world.owner, axum::http::Method::PUT, &secret, Some(value)).await.ok();
    world.origin.git(&["checkout", "-q", "--detach"]);
    world.origin.commit("better", &[(".buildit/evil.kdl", DEPLOY), ("src/x", "")]);
    world.origin.git(&["update-ref", "refs/pull/7/head", "HEAD"]);
    let before = world.runs().await.len();
    let came = world.deliver("fork", "pull_request", &request(&world, "opened", true)).await;
    assert_eq!(decision(&came, "shop")["outcome"], "started", "{came}");
    let deploy = decision(&came, "deploy");
    assert_eq!(deploy["outcome"], "invalid", "{came}");
    assert!(deploy["reasons"].to_string().contains("there is no secret `TOKEN`"), "{came}");
    let evil = decision(&came, ".buildit/evil.kdl");
    assert_eq!(evil["reasons"], json!(["a pull request from a fork makes no new pipeline"]));
    let runs = world.runs().await;
    assert_eq!(runs.len(), before + 1);
    assert_eq!((&runs[0]["pull_request"], &runs[0]["branch"]), (&json!(7), &json!("topic")));
    let record = format!("/api/v1/runs/{}/record", runs[0]["id"].as_str().unwrap());
    let record = world.site.get(&world.owner, &record).await.ok().json();
    let context = &record["run"]["context"];
    assert_eq!((&context["pull_request"]["fork"], &context["started_by"]), (&json!(true), &json!("mallory at github")));
    let mut changes = context["changes"].as_array().unwrap().clone();
    changes.sort_by_key(ToString::to_string);
    assert_eq!(changes, [json!(".buildit/evil.kdl"), json!("src/x")], "against where it left its target");
    let closed = world.deliver("closed", "pull_request", &request(&world, "closed", true)).await;
    assert_eq!(closed["decisions"], json!([]));
    let own = world.deliver("own", "pull_request", &request(&world, "synchronize", false)).await;
    assert_eq!(
        decision(&own, "deploy")["outcome"],
        "started",
        "who may write to the repository has its secrets: {own}"
    );
    let filtered = world.site.get(&world.owner, "/api/v1/runs?pull_request=7").await.ok().json();
    assert!(filtered["items"].as_array().unwrap().len() >= 3, "{filtered}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_is_compared_with_the_commit_that_it_has_left() {
    let text = r##"pipeline "shop"
on "push"
on "pull_request"
stage "unit" {
    run #"printf '<testsuite name="s"><testcase name="t">%s</testcase></testsuite>' "$(cat result)" > r.xml"#
    reports junit="r.xml"
}"##;
    let world = World::new(&[(".buildit.kdl", text), ("result", "")]).await;
    let ended = async |delivery: &Value| {
        let run = decision(delivery, "shop")["run"].as_str().unwrap().to_owned();
        world.site.events(&world.owner, &run).await;
        run
    };
    let (left, none) = (world.head(), "0".repeat(40));
    ended(&world.deliver("one", "push", &world.push("main", &none)).await).await;
    world.origin.git(&["checkout", "-q", "-b", "topic"]);
    world.origin.commit("break it", &[("result", "<failure/>")]);
    world.origin.git(&["update-ref", "refs/pull/7/head", "HEAD"]);
    let asked = request(&world, "opened", false);
    // Meanwhile somebody has broken the branch in the same way.
    world.origin.git(&["checkout", "-q", "main"]);
    world.origin.commit("break it, too", &[("result", "<failure/>")]);
    ended(&world.deliver("two", "push", &world.push("main", &left)).await).await;

    let run = ended(&world.deliver("three", "pull_request", &asked).await).await;
    let tests = world.site.get(&world.owner, &format!("/api/v1/runs/{run}/tests")).await.ok().json();
    assert_eq!(
        (&tests["compared_with"]["number"], &tests["counts"]["newly_failing"]),
        (&json!(1), &json!(1)),
        "{tests}"
    );
    let of_commit = world.site.get(&world.owner, &format!("/api/v1/runs?commit={left}")).await.ok().json();
    assert_eq!(of_commit["items"].as_array().unwrap().len(), 1, "{of_commit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_from_a_fork_never_runs_as_the_server() {
    let world = World::with(&[(".buildit.kdl", SHOP)], false).await;
    world.deliver("first", "push", &world.push("main", &"0".repeat(40))).await;
    world.origin.git(&["checkout", "-q", "--detach"]);
    world.origin.commit("better", &[("src/x", "")]);
    world.origin.git(&["update-ref", "refs/pull/7/head", "HEAD"]);
    let before = world.runs().await.len();
    let came = world.deliver("fork", "pull_request", &request(&world, "opened", true)).await;
    let refused = decision(&came, "shop");
    assert_eq!(refused["outcome"], "invalid", "{came}");
    assert!(refused["reasons"].to_string().contains("would run as the server's own user"), "{came}");
    assert_eq!(world.runs().await.len(), before);
    let own = world.deliver("own", "pull_request", &request(&world, "opened", false)).await;
    assert_eq!(decision(&own, "shop")["outcome"], "started", "{own}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_is_told_and_a_delivery_is_worked_on_again() {
    let world = World::new(&[(".buildit.kdl", SHOP), ("src/a", "1")]).await;
    let none = "0".repeat(40);
    world.deliver("one", "push", &world.push("main", &none)).await;
    world
        .origin
        .commit("broken", &[(".buildit.kdl", "pipeline \"shop\"\nstage \"s\" { rum \"true\" }"), ("src/a", "2")]);
    let came = world.deliver("two", "push", &world.push("main", &none)).await;
    let invalid = decision(&came, "shop");
    assert_eq!(invalid["outcome"], "invalid");
    assert!(invalid["reasons"][0].as_str().unwrap().starts_with(".buildit.kdl:2:"), "{came}");
    let first = world.deliveries().await.pop().unwrap();
    let one = format!("{}/{}", world.path(), first["id"].as_str().unwrap());
    let shown = world.site.get(&world.owner, &one).await.ok().json();
    assert!(shown["payload"].as_str().unwrap().contains("as the forge tells it"), "{shown}");
    let again = world.site.post(&world.owner, &format!("{one}/redeliver"), json!({})).await;
    assert_eq!(again.status, StatusCode::ACCEPTED, "{}", again.text);
    let again = again.json();
    let came = world.settled(|delivery| delivery["id"] == again["id"]).await;
    assert_eq!(decision(&came, "shop")["outcome"], "started");
    assert_eq!(world.runs().await.len(), 2, "it is a run of its own");

    let page = format!("/acme/main/repositories/{}", world.repository);
    let list = world.site.get(&world.owner, &format!("{page}/deliveries")).await.ok().text;
    for there in ["push", "done: 1 run", "done: 0 runs, 1 invalid"] {
        assert!(list.contains(there), "{there}: {list}");
    }
    let id = came["id"].as_str().unwrap();
    let shown = world.site.get(&world.owner, &format!("{page}/deliveries/{id}")).await.ok().text;
    for there in ["/acme/main/pipelines/shop/runs/2", "Redeliver", "as the forge tells it"] {
        assert!(shown.contains(there), "{there}: {shown}");
    }
    let again = world.site.form(&world.owner, &format!("{page}/deliveries/{id}/redeliver"), &[]).await;
    assert!(again.header("location").starts_with(&format!("{page}/deliveries/")), "{}", again.text);
    let renewed = world.site.form(&world.owner, &format!("{page}/webhook"), &[]).await.ok().text;
    assert!(
        renewed.contains(&format!("/hooks/{}", world.repository)) && renewed.contains("shown this once"),
        "{renewed}"
    );
}
