//! The command line against a server: the example `server`, which `cargo test` builds unless it is told to build one test
//! alone.

#![cfg(unix)]

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use crate::common::Done;
use crate::common::server::{Away, Server};
use serde_json::json;

#[test]
fn a_run_is_triggered_followed_looked_at_and_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    server.pipeline(
        "pipeline \"shop\"\nstage \"say\" { run \"echo hello\"; run \"mkdir out; echo x > out/file\"; artifacts \"out\" name=\"out\" }\nstage \"fail\" { needs \"say\"; run \"exit 3\" }",
    );
    let away = Away::new(&server);
    assert_eq!(away.objects(&["pipelines"])[0]["name"], "shop");
    let run = away.buildit(&["trigger", "shop", "--wait", "--output", "json"]).exits(1);
    assert_eq!(run.log("say"), ["hello"]);
    let runs = away.objects(&["runs"]);
    assert_eq!((runs.len(), &runs[0]["status"], &runs[0]["number"]), (1, &json!("failed"), &json!(1)));
    let log = away.objects(&["logs", "@1", "say"]);
    assert!(log.iter().any(|line| line["text"] == "hello"), "{log:?}");
    let explained = away.objects(&["explain", "@1"]);
    assert_eq!(explained.len(), 2, "{explained:?}");
    let id = runs[0]["id"].as_str().unwrap();
    assert_eq!(away.objects(&["artifacts", id])[0]["name"], "out");
    away.buildit(&["artifacts", id, "out", "--out", "there"]).exits(0);
    assert_eq!(away.project.read("there/out/file"), "x\n");
    away.buildit(&["rerun", "@1", "--from-failed"]).exits(1);
    assert_eq!(away.objects(&["runs"]).len(), 2);
    assert!(away.objects(&["diff", "@2", "@1"]).iter().all(|difference| difference["kind"] != "plan"));
    // One run for one key, and what is not there is told.
    for _ in 0..2 {
        away.buildit(&["trigger", "shop", "--idempotency-key", "once"]).exits(0);
    }
    assert_eq!(away.objects(&["runs"]).len(), 3);
    for missing in [&["trigger", "shep"][..], &["logs", "@9"], &["explain", "ffff"]] {
        away.buildit(missing).exits(2);
    }
    drop(server);
    away.buildit(&["runs"]).exits(3);
}

#[test]
fn a_stage_is_approved_or_rejected_and_a_run_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    server.pipeline("pipeline \"ask\"\nstage \"ask\" { approval { field \"note\" required=#true }; run \"echo go\" }");
    let away = Away::new(&server);
    let wait = ["trigger", "ask", "--wait", "--output", "json"];
    away.buildit(&[&wait[..], &["--approve", "ask", "--approve-field", "note=x"]].concat()).exits(0);
    for (last, exit) in [
        (&["approve", "@1", "ask", "--field", "note=y"][..], 0),
        (&["approve", "@1", "ask", "--reject"], 1),
        (&["cancel", "@1"], 130),
    ] {
        let mut followed = away.command(&wait).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(followed.stdout.take().unwrap()).lines().map(Result::unwrap);
        lines.find(|line| line.contains("\"approval_requested\"")).unwrap();
        away.buildit(last).exits(0);
        let end = lines.last().unwrap();
        assert!(end.contains("\"run_finished\""), "{end}");
        assert_eq!(followed.wait().unwrap().code(), Some(exit), "{last:?}: {end}");
    }
}

#[test]
fn a_log_is_followed_over_a_server_that_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let server = Server::start(&folder.path().join("data"));
    server.pipeline(&format!(
        "pipeline \"p\"\nstage \"s\" {{ run \"echo one; while ! test -e {}; do sleep 0.05; done; echo two\" }}",
        go.display()
    ));
    let away = Away::new(&server);
    away.buildit(&["trigger", "p"]).exits(0);
    let address = server.address.clone();
    let mut followed = away.command(&["logs", "@1", "s", "--follow"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(followed.stdout.take().unwrap()).lines().map(Result::unwrap);
    lines.find(|line| line == "one").unwrap();
    drop(server);
    std::fs::write(&go, "").unwrap();
    let _server = Server::listen(&folder.path().join("data"), &address);
    assert_eq!(lines.collect::<Vec<_>>(), ["two"], "nothing twice, and nothing left out");
    assert!(followed.wait().unwrap().success());
}

#[test]
fn a_key_is_taken_from_standard_input_and_kept_for_its_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    server.pipeline("pipeline \"p\"\nstage \"s\" { run \"true\" }");
    let token = server.viewer();
    let away = Away::new(&server);
    let login = |key: &str| {
        let mut command = away.command(&["login"]);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(key.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    assert_eq!(login("bi_wrong\n").status.code(), Some(2));
    let said = login(&format!("{token}\n"));
    let text = String::from_utf8(said.stderr).unwrap();
    assert!(said.status.success() && text.contains("laptop") && !text.contains(&token), "{text}");
    // The server is known from here on, and the key is a viewer's.
    let plain = |args: &[&str]| {
        let mut command = away.command(args);
        Done::of(command.env_remove("BUILDIT_SERVER").output().unwrap())
    };
    plain(&["pipelines"]).exits(0);
    plain(&["trigger", "p"]).exits(2);
    plain(&["logout"]).exits(0);
    plain(&["pipelines"]).exits(2);
}

#[test]
fn secrets_are_set_listed_and_deleted_on_a_server_and_its_runs_have_them() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    server.pipeline(
        r##"pipeline "shop"; stage "ship" { secrets "TOKEN"; run #"printf '%s' "$TOKEN" | wc -c; echo "$TOKEN""# }"##,
    );
    let away = Away::new(&server);
    let secrets = |input: &str, args: &[&str]| {
        let mut command = away.command(&[&["secrets"], args].concat());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.env("FROM_HERE", "of the environment").spawn().unwrap();
        // Who is refused does not read it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let done = Done::of(child.wait_with_output().unwrap());
        assert!(!done.stdout.contains("value") && !done.stderr.contains("value"), "{}{}", done.stdout, done.stderr);
        done
    };
    let shipped = || away.buildit(&["trigger", "shop", "--wait", "--output", "plain"]).exits(0).stdout;

    let set = secrets("wide-value\n", &["set", "TOKEN"]).exits(0);
    assert_eq!(set.stderr.trim_end(), "set TOKEN of the tenant default");
    let wide = shipped();
    assert!(wide.contains("ship | 10\n") && wide.contains("ship | ***\n"), "{wide}");
    let of_shop = ["--scope", "pipeline:shop"];
    secrets("", &[&["set", "TOKEN", "--from-env", "FROM_HERE"], &of_shop[..]].concat()).exits(0);
    assert!(shipped().contains("ship | 18\n"), "that of the pipeline hides that of the tenant");

    let listed = |args: &[&str]| -> Vec<_> {
        let lines = secrets("", &[&["list", "--output", "json"], args].concat()).exits(0).objects();
        lines
            .iter()
            .map(|line| [&line["name"], &line["scope"], &line["owner"]].map(|of| of.as_str().unwrap().to_owned()))
            .collect()
    };
    assert_eq!(listed(&[]), [["TOKEN", "tenant", "default"]]);
    assert_eq!(listed(&of_shop), [["TOKEN", "pipeline", "shop"]]);
    let list = secrets("", &["list"]).exits(0).stdout;
    assert!(list.starts_with("TOKEN of the tenant default  version 1  ") && !list.contains("key"), "{list}");

    let tenants = server.ask("GET", "me", &json!({}));
    let live = format!("tenants/{}/environments/live", tenants["tenant"].as_str().unwrap());
    server.ask("PUT", &live, &json!({}));
    let of_live = ["--scope", "environment:live"];
    // More than one page of them.
    for number in 0..201 {
        server.ask("PUT", &format!("{live}/secrets/NAME_{number:03}"), &json!({ "value": "value" }));
    }
    secrets("value of a place", &[&["set", "PLACE"], &of_live[..]].concat()).exits(0);
    let there = listed(&of_live);
    assert_eq!((there.len(), &there[201]), (202, &["PLACE", "environment", "live"].map(str::to_owned)));
    secrets("", &[&["delete", "PLACE"], &of_live[..]].concat()).exits(0);
    assert_eq!(listed(&of_live).len(), 201);

    secrets("", &[&["delete", "TOKEN"], &of_shop[..]].concat()).exits(0);
    assert!(shipped().contains("ship | 10\n"));
    for (args, said) in [
        (&["delete", "TOKEN", "--scope", "pipeline:shop"][..], "there is no secret TOKEN of the pipeline shop"),
        (&["list", "--scope", "pipeline:shep"], "there is no pipeline `shep`"),
        (&["list", "--scope", "environment:dead"], "there is no environment `dead` on this server"),
        (&["set", "TOKEN", "--scope", "environment:dead"], "there is no environment `dead` on this server"),
        (&["set", "TOKEN", "--scope", "tenant:other"], "this key is of the tenant `default`"),
        (&["set", "TOKEN", "--scope", "organization"], "none of a whole organization"),
        (&["set", "TO-KEN"], "is no name of a secret"),
    ] {
        let refused = secrets("a value", args).exits(2).stderr;
        assert!(refused.contains(said), "{args:?}: {refused}");
    }
    // A member sees to runs, and secrets are for those who see to the tenant.
    let token = server.viewer();
    let viewer = away.command(&["secrets", "list"]).env("BUILDIT_TOKEN", token).output().unwrap();
    let viewer = Done::of(viewer).exits(2).stderr;
    assert!(viewer.contains("needs the role admin"), "{viewer}");
}
