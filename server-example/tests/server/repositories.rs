//! Repositories of a server, and runs that are made of their commits.

use std::path::Path;

use crate::site::git::{GitWeb, Origin};
use crate::site::{Site, Who};
use axum::http::{Method, StatusCode};
use buildit_server::Settings;
use serde_json::{Value, json};

const KDL: &str = r##"pipeline "shop"
include "ci/common.kdl"
stage "show" use="plain" {
    run #"echo "word=$(cat word.txt) head=$(git rev-parse HEAD) on=${git.branch} by=${git.author} says=${git.message}""#
    run #"test -z "$(git status --porcelain)""#
    run #"test "${checksum.word.txt}" != "" && test "${git.short_sha}" = "$(git rev-parse --short=7 HEAD)""#
}"##;

const COMMON: &str = "template \"plain\" { env { PLAIN \"yes\" } }";

const TOKEN: &str = "forge-s3cr3t-t0ken-1";

fn origin() -> Origin {
    Origin::new(&[(".buildit.kdl", KDL), ("ci/common.kdl", COMMON), ("word.txt", "one")])
}

fn settings(folder: &Path) -> Settings {
    let mut settings = Site::settings(folder);
    settings.local_repositories = false;
    settings
}

/// A server that takes so many runs at once, and repositories of this machine.
async fn open(folder: &Path, runs: usize) -> Site {
    let mut settings = settings(folder);
    (settings.runs, settings.local_repositories) = (runs, true);
    Site::open_with(settings).await
}

/// Connects a repository and gives its id.
async fn connect(site: &Site, who: &Who, body: Value) -> String {
    let made = site.post(who, "/api/v1/repositories", body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    made.json()["id"].as_str().unwrap().to_owned()
}

/// Makes a pipeline of a repository and gives its id.
async fn pipeline(site: &Site, who: &Who, body: Value) -> String {
    let made = site.post(who, "/api/v1/pipelines", body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    made.json()["id"].as_str().unwrap().to_owned()
}

async fn trigger(site: &Site, who: &Who, pipeline: &str, body: Value) -> Value {
    site.post(who, &format!("/api/v1/pipelines/{pipeline}/runs"), body).await.ok().json()
}

/// The log of the only stage of a run, once that has ended well.
async fn log(site: &Site, who: &Who, run: &Value) -> String {
    let id = run["id"].as_str().unwrap();
    site.events(who, id).await;
    let ended = site.get(who, &format!("/api/v1/runs/{id}")).await.ok().json();
    let log = site.get(who, &format!("/api/v1/runs/{id}/stages/show/attempts/1/log/raw")).await.text;
    assert_eq!(ended["status"], "succeeded", "{ended} {log}");
    log
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_of_the_commit_that_its_branch_was_at_when_it_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let origin = origin();
    let first = origin.git(&["rev-parse", "HEAD"]);
    let site = open(folder.path(), 0).await;
    let owner = site.owner().await;
    let repository = connect(&site, &owner, json!({ "url": origin.url(), "name": "shop" })).await;

    let scanned = site.post(&owner, &format!("/api/v1/repositories/{repository}/scan"), json!({})).await.ok().json();
    assert_eq!((&scanned["branch"], &scanned["commit"]), (&json!("main"), &json!(first)), "{scanned}");
    let file = &scanned["files"][0];
    assert_eq!((&file["path"], &file["name"], &file["valid"]), (&json!(".buildit.kdl"), &json!("shop"), &json!(true)));

    let pipeline = pipeline(&site, &owner, json!({ "repository": repository })).await;
    let shown = site.get(&owner, &format!("/api/v1/pipelines/{pipeline}")).await.ok().json();
    assert_eq!((&shown["name"], &shown["repository"]), (&json!("shop"), &json!(repository)));
    let run = trigger(&site, &owner, &pipeline, json!({ "branch": "main" })).await;
    assert_eq!((&run["commit"], &run["branch"]), (&json!(first), &json!("main")));
    assert_eq!((&run["message"], &run["author"]), (&json!("first"), &json!("Ann Ü")));

    // What is pushed while it waits, and even that all of it is gone, changes nothing.
    origin
        .commit("second", &[("word.txt", "two"), (".buildit.kdl", "pipeline \"shop\"\nstage \"s\" { run \"false\" }")]);
    let later = trigger(&site, &owner, &pipeline, json!({})).await;
    assert_eq!(later["commit"], origin.git(&["rev-parse", "HEAD"]), "without a branch it is the default one");
    drop(origin);
    site.server.shutdown().await;
    drop(site);
    let site = open(folder.path(), 4).await;
    let said = log(&site, &owner, &run).await;
    assert!(said.contains(&format!("word=one head={first} on=main by=Ann Ü says=first")), "{said}");
    let failed = later["id"].as_str().unwrap();
    site.events(&owner, failed).await;
    let failed = site.get(&owner, &format!("/api/v1/runs/{failed}")).await.ok().json();
    assert_eq!(failed["status"], "failed", "the later one is of the later commit");

    // A rerun has the plan and the source of its run.
    let again = site.post(&owner, &format!("/api/v1/runs/{}/rerun", run["id"].as_str().unwrap()), json!({})).await;
    let said = log(&site, &owner, &again.ok().json()).await;
    assert!(said.contains(&format!("word=one head={first}")), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_may_be_of_a_tag_or_of_a_commit_and_no_commit_takes_the_name_of_another_branch() {
    let folder = tempfile::tempdir().unwrap();
    let origin = origin();
    let first = origin.git(&["rev-parse", "HEAD"]);
    origin.git(&["tag", "v1"]);
    origin.git(&["checkout", "-q", "-b", "side"]);
    let side = origin.commit("aside", &[("word.txt", "aside")]);
    origin.git(&["checkout", "-q", "main"]);
    origin.commit("second", &[("word.txt", "two")]);
    let site = open(folder.path(), 4).await;
    let owner = site.owner().await;
    let pipeline = pipeline(&site, &owner, json!({ "name": "shop", "repository": origin.url() })).await;
    let tagged = trigger(&site, &owner, &pipeline, json!({ "tag": "v1" })).await;
    assert_eq!((&tagged["commit"], &tagged["branch"]), (&json!(first), &json!("")));
    assert!(log(&site, &owner, &tagged).await.contains("word=one"));
    let earlier = trigger(&site, &owner, &pipeline, json!({ "branch": "main", "commit": first[..10] })).await;
    assert_eq!((&earlier["commit"], &earlier["branch"]), (&json!(first), &json!("main")));
    let lone = trigger(&site, &owner, &pipeline, json!({ "commit": side })).await;
    assert_eq!((&lone["commit"], &lone["branch"]), (&json!(side), &json!("")));
    let runs = format!("/api/v1/pipelines/{pipeline}/runs");
    for (body, why) in [
        (json!({ "branch": "main", "commit": side }), "is not of the branch `main`"),
        (json!({ "branch": "nowhere" }), "the repository has no branch `nowhere`"),
        (json!({ "tag": "v2" }), "the repository has no tag `v2`"),
        (json!({ "commit": "1".repeat(40) }), "the repository has no commit"),
        (json!({ "branch": "--upload-pack=id" }), "the repository has no branch"),
    ] {
        let refused = site.post(&owner, &runs, body.clone()).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {}", refused.text);
        assert!(refused.text.contains(why), "{body}: {}", refused.text);
    }
    let of_main = site.get(&owner, &format!("{runs}?branch=main&author=Ann%20%C3%9C")).await.ok().json();
    assert_eq!(of_main["items"].as_array().unwrap().len(), 1, "{of_main}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_file_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let broken = "pipeline \"b\"\nstage \"s\" { rum \"true\" }\n";
    let origin = Origin::new(&[(".buildit/good.kdl", KDL), (".buildit/bad.kdl", broken), ("ci/common.kdl", COMMON)]);
    let site = open(folder.path(), 0).await;
    let owner = site.owner().await;
    let repository = connect(&site, &owner, json!({ "url": origin.url() })).await;
    let scanned = site.post(&owner, &format!("/api/v1/repositories/{repository}/scan"), json!({})).await.ok().json();
    let files: Vec<_> =
        scanned["files"].as_array().unwrap().iter().map(|file| (&file["path"], &file["valid"])).collect();
    assert_eq!(files, [(&json!(".buildit/bad.kdl"), &json!(false)), (&json!(".buildit/good.kdl"), &json!(true))]);
    let found = &scanned["files"][0]["diagnostics"][0];
    assert_eq!((&found["code"], &found["place"]["line"]), (&json!("unknown-node"), &json!(2)), "{scanned}");
    let body = json!({ "name": "bad", "repository": repository, "path": ".buildit/bad.kdl" });
    let bad = pipeline(&site, &owner, body).await;
    let refused = site.post(&owner, &format!("/api/v1/pipelines/{bad}/runs"), json!({})).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused.json()["diagnostics"][0]["place"]["file"], ".buildit/bad.kdl", "{}", refused.text);
    let missing = pipeline(&site, &owner, json!({ "name": "none", "repository": repository })).await;
    let refused = site.post(&owner, &format!("/api/v1/pipelines/{missing}/runs"), json!({})).await;
    assert!(refused.text.contains("there is no file `.buildit.kdl`"), "{}", refused.text);
    let refused = site.ask(&owner, Method::DELETE, &format!("/api/v1/repositories/{repository}"), None).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "it has pipelines: {}", refused.text);
    let refused =
        site.ask(&owner, Method::PATCH, &format!("/api/v1/pipelines/{bad}"), Some(json!({ "config": KDL }))).await;
    assert!(refused.text.contains("change it there"), "{}", refused.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_lets_the_server_in_and_is_seen_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let origin = origin();
    let web = GitWeb::serve(origin.path().parent().unwrap(), TOKEN).await;
    let url = format!("{}/{}/.git", web.url, origin.path().file_name().unwrap().to_str().unwrap());
    let site = open(folder.path(), 4).await;
    let owner = site.owner().await;
    for body in [json!({ "url": url }), json!({ "url": url, "token": "wrong-token-of-somebody" })] {
        let refused = site.post(&owner, "/api/v1/repositories", body).await;
        assert_eq!(refused.status, StatusCode::FAILED_DEPENDENCY, "{}", refused.text);
        assert!(
            refused.text.contains("Authentication failed") || refused.text.contains("could not read"),
            "{}",
            refused.text
        );
        assert!(!refused.text.contains("wrong-token"), "{}", refused.text);
    }
    let listed = site.get(&owner, "/api/v1/repositories").await.ok().json();
    assert_eq!(listed["items"], json!([]), "what could not be reached is not connected");
    let repository = connect(&site, &owner, json!({ "url": url, "token": TOKEN, "name": "shop" })).await;
    let pipeline = pipeline(&site, &owner, json!({ "repository": repository })).await;
    let run = trigger(&site, &owner, &pipeline, json!({ "branch": "main" })).await;
    let said = log(&site, &owner, &run).await;
    assert!(said.contains("word=one"), "{said}");
    assert!(*web.let_in.lock().unwrap() >= 3, "it was asked, fetched from and read");
    assert_eq!(*web.seen.lock().unwrap(), Vec::<String>::new(), "the token stood on a command line");
    for path in [
        format!("/api/v1/repositories/{repository}"),
        "/api/v1/repositories".into(),
        format!("/api/v1/runs/{}/record", run["id"].as_str().unwrap()),
        "/acme/main/settings/audit".into(),
    ] {
        let shown = site.get(&owner, &path).await.ok().text;
        assert!(!shown.contains(TOKEN), "{path}: {shown}");
    }
    site.server.shutdown().await;
    for entry in walk(folder.path()) {
        let bytes = std::fs::read(&entry).unwrap_or_default();
        let is_in = bytes.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes());
        assert!(!is_in, "the token is in {}", entry.display());
    }
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) { open.push(path) } else { files.push(path) }
        }
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_changed_and_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let origin = origin();
    let site = open(folder.path(), 0).await;
    let owner = site.owner().await;
    let repository = connect(&site, &owner, json!({ "url": origin.url(), "name": "shop" })).await;
    let path = format!("/api/v1/repositories/{repository}");
    let change = json!({ "name": "store", "default_branch": "side", "forge": "gitea", "checkout": { "depth": 1 } });
    let changed = site.ask(&owner, Method::PATCH, &path, Some(change)).await.ok().json();
    assert_eq!(
        (&changed["name"], &changed["forge"], &changed["checkout"]["depth"]),
        (&json!("store"), &json!("gitea"), &json!(1))
    );
    let pipeline = pipeline(&site, &owner, json!({ "name": "p", "repository": repository })).await;
    let runs = format!("/api/v1/pipelines/{pipeline}/runs");
    let refused = site.post(&owner, &runs, json!({})).await;
    assert!(refused.text.contains("no branch `side`"), "the default branch is what was said: {}", refused.text);
    let changed = site.ask(&owner, Method::PATCH, &path, Some(json!({ "default_branch": null }))).await.ok().json();
    assert_eq!((&changed["default_branch"], &changed["checkout"]["depth"]), (&Value::Null, &json!(1)));
    origin.commit("second", &[]);
    let run = trigger(&site, &owner, &pipeline, json!({})).await;
    let record = site.get(&owner, &format!("/api/v1/runs/{}/record", run["id"].as_str().unwrap())).await.ok().json();
    assert_eq!(record["run"]["plan"]["checkout"]["depth"], 1, "{record}");
    let stale = owner.clone().with("if-match", "\"1\"");
    let refused = site.ask(&stale, Method::PATCH, &path, Some(json!({ "name": "late" }))).await;
    assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED);
    let listed = site.get(&owner, &format!("{path}/branches")).await.ok().json();
    assert_eq!((&listed["items"][0]["name"], &listed["items"][0]["message"]), (&json!("main"), &json!("second")));
    for bad in [
        json!({ "url": "ext::sh -c id" }),
        json!({ "url": "https://ann:s3cr3t@example.org/shop" }),
        json!({ "url": "-oProxyCommand=id:x" }),
        json!({ "url": "https://example.org/x", "token": "a", "key": "b" }),
        json!({ "url": "git@example.org:x", "token": "a" }),
        json!({ "url": origin.url(), "default_branch": "-x" }),
        json!({ "url": origin.url(), "name": "a/b" }),
    ] {
        let refused = site.post(&owner, "/api/v1/repositories", bad.clone()).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{bad}: {}", refused.text);
        assert!(!refused.text.contains("s3cr3t"), "{}", refused.text);
    }
    let twice = site.post(&owner, "/api/v1/repositories", json!({ "url": origin.url(), "name": "again" })).await;
    assert_eq!(twice.status, StatusCode::CONFLICT, "{}", twice.text);
    let run = run["id"].as_str().unwrap();
    site.post(&owner, &format!("/api/v1/runs/{run}/cancel"), json!({})).await.ok();
    site.events(&owner, run).await;
    site.server.shutdown().await;
    site.ask(&owner, Method::DELETE, &format!("/api/v1/pipelines/{pipeline}"), None).await.ok();
    site.ask(&owner, Method::DELETE, &path, None).await.ok();
    assert_eq!(site.get(&owner, &path).await.status, StatusCode::NOT_FOUND);
    assert!(!folder.path().join("repositories").join(&repository).exists(), "its copy is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_of_the_server_and_what_it_alone_sees_are_refused_unless_its_owner_allows_them() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::open_with(settings(folder.path())).await;
    let owner = site.owner().await;
    let origin = origin();
    for url in [origin.url(), "http://127.0.0.1:9/x", "http://169.254.169.254/latest", "http://localhost:9/x"] {
        let refused = site.post(&owner, "/api/v1/repositories", json!({ "url": url })).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{url}: {}", refused.text);
    }
    // A pipeline of a repository that cannot be reached now is made all the same, and its runs are refused.
    let body = json!({ "name": "shop", "repository": "https://git.invalid/acme/shop.git" });
    let pipeline = pipeline(&site, &owner, body).await;
    let refused = site.post(&owner, &format!("/api/v1/pipelines/{pipeline}/runs"), json!({ "branch": "main" })).await;
    assert_eq!(refused.status, StatusCode::FAILED_DEPENDENCY, "{}", refused.text);
    let listed = site.get(&owner, "/api/v1/repositories").await.ok().json();
    assert_eq!(listed["items"][0]["name"], "shop");
    let said = listed["items"][0]["last_fetch"]["error"].as_str().unwrap();
    assert!(said.contains("git.invalid"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_connected_looked_into_and_let_go_on_its_pages() {
    let folder = tempfile::tempdir().unwrap();
    let broken = "pipeline \"b\"\nstage \"<b>\" { rum \"true\" }\n";
    let origin = Origin::new(&[(".buildit.kdl", KDL), (".buildit/<i>.kdl", broken), ("ci/common.kdl", COMMON)]);
    let site = open(folder.path(), 0).await;
    let owner = site.owner().await;
    let list = "/acme/main/repositories";
    assert!(site.get(&owner, list).await.ok().text.contains("No repository yet"));
    let wizard = site.get(&owner, "/acme/main/new").await.ok().text;
    assert!(wizard.contains("No repository is connected."), "{wizard}");
    site.get(&owner, &format!("{list}/new")).await.ok();
    let missing = format!("{}/missing", origin.url());
    let refused = site.form(&owner, list, &[("url", &missing), ("token", ""), ("key", ""), ("name", "a<b")]).await;
    assert_eq!(refused.status, StatusCode::FAILED_DEPENDENCY);
    assert!(
        refused.text.contains("does not appear to be a git repository") && refused.text.contains("a&#60;b"),
        "{}",
        refused.text
    );
    let refused = site.form(&owner, list, &[("url", origin.url()), ("token", TOKEN)]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!refused.text.contains(TOKEN), "{}", refused.text);
    let made = site.form(&owner, list, &[("url", origin.url()), ("name", "a<b")]).await;
    let page = made.header("location").to_owned();
    assert!(page.starts_with(&format!("{list}/")), "{}", made.text);
    let shown = site.get(&owner, &page).await.ok().text;
    assert!(shown.contains("Not fetched yet.") && shown.contains("read as anybody"), "{shown}");
    let send = async |path: &str, fields: &[(&str, &str)]| site.form(&owner, &format!("{page}{path}"), fields).await;
    let refused = send("/scan", &[("branch", "nowhere")]).await;
    assert!(refused.text.contains("the repository has no branch `nowhere`"), "{}", refused.text);
    let scanned = send("/scan", &[("branch", "")]).await.ok().text;
    for there in
        ["Found on main", "shop, 1 stage", ".buildit/&#60;i&#62;.kdl", "cannot run", "Make a pipeline", "Branches"]
    {
        assert!(scanned.contains(there), "{there}: {scanned}");
    }
    let made = send("/pipelines", &[("path", ".buildit.kdl")]).await;
    assert_eq!(made.header("location"), "/acme/main/pipelines/shop", "{}", made.text);
    let again = send("/pipelines", &[("path", ".buildit.kdl")]).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "its name is taken: {}", again.text);
    let config = site.get(&owner, "/acme/main/pipelines/shop/config").await.ok().text;
    assert!(
        config.contains("word=$(cat word.txt)") && config.contains("readonly") && config.contains("a&#60;b"),
        "{config}"
    );
    let form = site.get(&owner, "/acme/main/pipelines/shop/run").await.ok().text;
    assert!(form.contains("name=\"tag\"") && form.contains("The default branch"), "{form}");
    let refused = site.form(&owner, "/acme/main/pipelines/shop/run", &[("tag", "v9")]).await;
    assert!(refused.text.contains("has no tag `v9`"), "{}", refused.text);
    let started =
        site.form(&owner, "/acme/main/pipelines/shop/run", &[("branch", ""), ("tag", ""), ("commit", "")]).await;
    assert_eq!(started.header("location"), "/acme/main/pipelines/shop/runs/1", "{}", started.text);
    let run = site.get(&owner, "/acme/main/pipelines/shop/runs/1").await.ok().text;
    let commit = origin.git(&["rev-parse", "HEAD"]);
    for there in [&commit[..12], "main", "first", "Ann Ü"] {
        assert!(run.contains(there), "{there}: {run}");
    }
    let wizard = site.get(&owner, "/acme/main/new").await.ok().text;
    let id = page.rsplit('/').next().unwrap();
    assert!(wizard.contains(&format!("value=\"{id}\"")), "{wizard}");
    let from = async |fields: &[(&str, &str)]| site.form(&owner, "/acme/main/new/repository", fields).await;
    let refused = from(&[("repository", "019aaaaa-0000-7000-8000-000000000000")]).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND, "{}", refused.text);
    let refused = from(&[("repository", id), ("path", "../x")]).await;
    assert!(refused.text.contains("is that of a file in the repository"), "{}", refused.text);
    let made = from(&[("repository", id), ("path", ".buildit/<i>.kdl"), ("name", "second")]).await;
    assert_eq!(made.header("location"), "/acme/main/pipelines/second", "{}", made.text);
    let fields = [
        ("version", "1"),
        ("name", "store"),
        ("url", origin.url()),
        ("depth", "3"),
        ("lfs", "on"),
        ("forge", "gitlab"),
    ];
    assert_eq!(send("", &fields).await.header("location"), page);
    let shown = site.get(&owner, &page).await.ok().text;
    for there in ["value=\"store\"", "value=\"3\"", "name=\"lfs\" checked", "<option value=\"gitlab\" selected>"] {
        assert!(shown.contains(there), "{there}: {shown}");
    }
    let stale = send("", &fields).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED, "{}", stale.text);
    assert!(
        send("", &[("version", "2"), ("name", "x"), ("url", origin.url()), ("depth", "no")])
            .await
            .text
            .contains("is a number from 1")
    );
    assert_eq!(send("/delete", &[("typed", "other")]).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let refused = send("/delete", &[("typed", "store")]).await;
    assert!(refused.text.contains("delete it first"), "{}", refused.text);
    assert!(site.get(&owner, list).await.ok().text.contains("store"));
}
