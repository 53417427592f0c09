//! A run of a server that is run again here: the example `server` and the command line, as in `elsewhere`.

#![cfg(unix)]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;

use crate::common::server::{Away, Server};
use crate::common::{Done, Project};
use serde_json::{Value, json};

const SHOP: &str = r##"
    pipeline "shop"
    param "region" default="us"
    stage "show" {
        when event="push"
        run #"printf '%s ' "${params.region}" "${git.branch}"; cat file"#
    }
"##;

/// A run of the pipeline as the command line leaves it in a server's own store, with its source: number 1 of `shop`.
fn with_source(data: &Path) -> String {
    let there = Project::new(SHOP);
    there.write("file", "of the source\n");
    there.git(&["add", "."]);
    there.git(&["commit", "-q", "-m", "one"]);
    std::fs::create_dir_all(data).unwrap();
    let (store, blobs) = (format!("sqlite:{}", data.join("buildit.db").display()), data.join("blobs"));
    let blobs = format!("file://{}", blobs.display());
    let run = there.json(&["--event", "push", "--param", "region=eu", "--store", &store, "--blobs", &blobs]).exits(0);
    assert_eq!(run.log("show"), ["eu main of the source"]);
    run.objects()[0]["run"].as_str().unwrap().to_owned()
}

/// The address of a run of which somebody says this, and sends that for its source.
fn pretended(record: Value, source: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let id = record["run"]["id"].as_str().unwrap();
    let url = format!("http://{}/api/v1/runs/{id}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let asked = BufReader::new(&stream).lines().map(Result::unwrap).take_while(|line| !line.is_empty());
            let is_source = asked.collect::<Vec<_>>()[0].contains("/source");
            let body = if is_source { source.to_owned() } else { record.to_string() };
            let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}", body.len());
            let _ = write!(stream, "{head}\r\n\r\n{body}");
        }
    });
    url
}

fn like(away: &Away, run: &str, more: &[&str]) -> Done {
    away.buildit(&[&["run", "--output", "json", "--like", run], more].concat())
}

#[test]
fn the_source_the_event_and_the_parameters_are_those_of_the_servers_run() {
    let folder = tempfile::tempdir().unwrap();
    let id = with_source(folder.path());
    let server = Server::start(folder.path());
    server.pipeline(SHOP);
    let away = Away::new(&server);
    let me = server.ask("GET", "me", &json!({}));
    let [organization, tenant] = ["organization_name", "tenant_name"].map(|name| me[name].as_str().unwrap_or("none"));
    let page = format!("{}/{organization}/{tenant}/pipelines/shop/runs/1?stage=show#log", server.url());
    for run in [&*page, &format!("{}/api/v1/runs/{id}", server.url()), &id, "@1"] {
        let done = like(&away, run, &[]).exits(0);
        assert_eq!(done.log("show"), ["eu main of the source"], "{run}");
    }
    let kept = away.project.buildit(&["runs", "--output", "json"]).exits(0).objects();
    assert_eq!(kept.iter().map(|run| &run["number"]).collect::<Vec<_>>(), [4, 3, 2, 1]);
    assert!(kept.iter().all(|run| run["id"] != *id), "each is a run of its own");
    // It goes on to be one of here.
    let again = away.project.buildit(&["rerun", "@1", "--output", "json"]).exits(0);
    assert_eq!(again.log("show"), ["eu main of the source"]);

    let number = page.replace("runs/1", "runs/9");
    for (run, said) in [
        (&*number, "there is no run #9 of `shop`"),
        (&page.replace("shop", "shep"), "there is no pipeline `shep`"),
        (&server.url(), "that is no run's address"),
        ("@9", "there are only 1 runs"),
    ] {
        let refused = like(&away, run, &[]).exits(2).stderr;
        assert!(refused.contains(said), "{run}: {refused}");
    }
    like(&away, &id, &["--param", "region=us"]).exits(2);
    let refused = like(&away, &id, &["--source", "."]).exits(2).stderr;
    assert!(refused.contains("the server keeps the source"), "{refused}");
    // Nothing of the folder has a part in it, whatever that is.
    let mut at_home = away.command(&["run", "--output", "json", "--like", &id]);
    let done = Done::of(at_home.current_dir("/").env("HOME", "/").output().unwrap()).exits(0);
    assert_eq!(done.log("show"), ["eu main of the source"]);
    // Who may only look gets no source.
    let token = server.viewer();
    let viewer =
        away.command(&["run", "--like", &id, "--store", "sqlite:other.db"]).env("BUILDIT_TOKEN", &token).output();
    let refused = Done::of(viewer.unwrap()).exits(2).stderr;
    assert!(refused.contains("needs the role member"), "{refused}");
    let elsewhere = format!("{}/other/main/pipelines/shop/runs/1", server.url());
    let viewer = away.command(&["run", "--like", &elsewhere]).env("BUILDIT_TOKEN", &token).output();
    let refused = Done::of(viewer.unwrap()).exits(2).stderr;
    assert!(refused.contains("that is a run of `other/main`, and this key is of `acme/main`"), "{refused}");
}

#[test]
fn a_source_that_is_another_is_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let id = with_source(folder.path());
    let server = Server::start(folder.path());
    let record = server.ask("GET", &format!("runs/{id}/record"), &json!({}));
    let refused = like(&Away::new(&server), &pretended(record, "another source"), &[]).exits(3);
    assert!(refused.stderr.contains("is not the one that the run was made of"), "{}", refused.stderr);
    assert!(refused.of_type("attempt_started").is_empty());
}

#[test]
fn without_a_source_the_commit_is_taken_from_a_repository_that_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    server.pipeline("pipeline \"shop\"\nstage \"show\" { run \"cat file 2>/dev/null || echo nothing\" }");
    let away = Away::new(&server);
    let commit = |text: &str| {
        away.project.write("file", text);
        away.project.git(&["add", "."]);
        away.project.git(&["commit", "-q", "-m", text]);
        away.project.head()
    };
    let (one, two) = (commit("one"), commit("two"));
    let started = |commit: &str| {
        let done = away.buildit(&["trigger", "shop", "--wait", "--commit", commit]).exits(0);
        assert!(done.stdout.contains("nothing"), "{}", done.stdout);
    };
    started(&one);
    // Neither what is changed nor what is checked out there counts, and nothing there changes.
    away.project.write("file", "changed");
    assert_eq!(like(&away, "@1", &[]).exits(0).log("show"), ["one"]);
    assert_eq!((away.project.read("file"), away.project.head()), ("changed".into(), two.clone()));
    // What is checked out as it was committed is taken as it is.
    away.project.git(&["checkout", "-q", "--", "."]);
    started(&two[..12]);
    assert_eq!(like(&away, "@1", &[]).exits(0).log("show"), ["two"]);

    let other = Project::new("");
    let refused = like(&away, "@1", &["--source", other.path().to_str().unwrap()]).exits(2).stderr;
    assert!(refused.contains("does not have its commit") && refused.contains("--source"), "{refused}");
    started("main; touch /tmp/x");
    assert!(like(&away, "@1", &[]).exits(2).stderr.contains("is no commit"));
    // A run of no commit has nothing there, and nothing here.
    away.buildit(&["trigger", "shop", "--wait"]).exits(0);
    assert_eq!(like(&away, "@1", &[]).exits(0).log("show"), ["nothing"]);
}

#[test]
fn secrets_are_those_of_here_and_an_environments_variables_those_of_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    server.pipeline(
        r##"pipeline "shop"; stage "ship" { environment "live"; secrets "TOKEN"; run #"printf '%s ' "$TOKEN" | wc -c; echo "$REGION""# }"##,
    );
    let me = server.ask("GET", "me", &json!({}));
    let live = format!("tenants/{}/environments/live", me["tenant"].as_str().unwrap());
    let rules = |approvals: u32| json!({ "variables": { "REGION": "eu" }, "protection": { "approvals": approvals } });
    server.ask("PUT", &live, &rules(0));
    server.ask("PUT", &format!("{live}/secrets/TOKEN"), &json!({ "value": "of-the-server" }));
    let away = Away::new(&server);
    away.buildit(&["trigger", "shop", "--wait"]).exits(0);

    let refused = like(&away, "@1", &[]).exits(2);
    assert!(refused.of_type("diagnostic").iter().any(|found| found["message"].to_string().contains("TOKEN")));
    let given = |run: &str, more: &[&str]| {
        let args = [&["run", "--output", "json", "--secret", "TOKEN", "--like", run], more].concat();
        Done::of(away.command(&args).env("TOKEN", "mine").output().unwrap())
    };
    let shown = |done: &Done| -> Vec<String> { done.log("ship").iter().map(|line| line.trim().to_owned()).collect() };
    assert_eq!(shown(&given("@1", &[]).exits(0)), ["5", "eu"]);

    // Where people have to agree, whoever runs it here is asked.
    server.ask("PUT", &live, &rules(2));
    let made = away.buildit(&["trigger", "shop"]).exits(0).stdout;
    let run = made.split_whitespace().last().unwrap();
    let refused = given(run, &[]).exits(2);
    let codes: Vec<Value> = refused.of_type("diagnostic").iter().map(|found| found["code"].clone()).collect();
    assert_eq!(codes, ["approval-needed"]);
    assert_eq!(shown(&given(run, &["--approve", "ship"]).exits(0)), ["5", "eu"]);
}

#[test]
fn what_this_machine_cannot_do_is_refused_as_by_run() {
    let folder = tempfile::tempdir().unwrap();
    let id = with_source(folder.path());
    let server = Server::start(folder.path());
    let mut record = server.ask("GET", &format!("runs/{id}/record"), &json!({}));
    record["run"]["plan"]["stages"][0]["image"] = json!({ "reference": "alpine" });
    let (away, url) = (Away::new(&server), pretended(record, "no source is asked for"));
    away.project.write(".buildit.kdl", &SHOP.replace("when", "image \"alpine\"; when"));
    let done = |args: &[&str]| {
        let mut command = away.command(args);
        Done::of(command.env("DOCKER_HOST", "unix:///nowhere/docker.sock").output().unwrap())
    };
    let (by_file, by_like) = (done(&["run"]), done(&["run", "--like", &url]));
    assert!(by_file.code > 1, "{}", by_file.stderr);
    assert_eq!((by_file.code, by_file.stderr), (by_like.code, by_like.stderr));
}
