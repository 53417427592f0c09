//! The program, killed (SIGKILL) in the middle of runs and started again: the runs go on (guarantees G1, G2 and G3).
//!
//! It is the example `server`, which `cargo test` builds unless it is told to build one test alone.

#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use crate::site::program::Program;
use serde_json::{Value, json};

#[test]
fn g1_g2_g3_runs_go_on_when_the_server_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (noted, go) = (folder.path().join("noted"), folder.path().join("go"));
    let config = format!(
        "pipeline \"p\"\nstage \"one\" {{ run \"echo begun | tee -a {noted}; while ! test -e {go}; do sleep 0.05; done; echo done\" }}\nstage \"two\" {{ needs \"one\"; run \"echo two >> {noted}\" }}",
        noted = noted.display(),
        go = go.display()
    );
    let first = Program::start(&folder.path().join("data"));
    let pipeline = first.id_of("/api/v1/pipelines", json!({ "config": config }));
    let runs: Vec<String> =
        (0..3).map(|_| first.id_of(&format!("/api/v1/pipelines/{pipeline}/runs"), json!({}))).collect();
    // All of them are in the middle of their first stage.
    while std::fs::read_to_string(&noted).unwrap_or_default().lines().count() < runs.len() {
        std::thread::yield_now();
    }
    drop(first);
    std::fs::write(&go, "").unwrap();
    let second = Program::start(&folder.path().join("data"));
    for run in &runs {
        let events = second.events(run);
        assert_eq!(events.last().unwrap()["status"], "succeeded", "{events:?}");
        let starts = events.iter().filter(|event| event["type"] == "attempt_started").count();
        assert_eq!(starts, 2, "each stage was started once: {events:?}");
        let log = second.ask("GET", &format!("/api/v1/runs/{run}/stages/one/attempts/1/log/raw"), None);
        assert!(log.contains("begun\n") && log.contains("done\n"), "{log}");
    }
    let mut noted: Vec<String> = std::fs::read_to_string(&noted).unwrap().lines().map(str::to_owned).collect();
    noted.sort();
    assert_eq!(noted, ["begun", "begun", "begun", "two", "two", "two"]);
}

/// Takes so many requests, each on a connection of its own, and gives their heads.
fn heads(listener: &TcpListener, count: usize) -> Vec<String> {
    let mut heads = Vec::new();
    while heads.len() < count {
        heads.extend(answered(listener.accept().unwrap().0));
    }
    heads
}

/// Answers a request, and gives its head; none of one whose sender was killed before it had said it.
fn answered(mut stream: TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        reader.read_line(&mut head).ok().filter(|read| *read > 0)?;
    }
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    std::io::copy(&mut reader.take(length.unwrap_or(0)), &mut std::io::sink()).ok()?;
    // A sender that is gone hears nothing, and was heard all the same.
    let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    Some(head)
}

#[test]
fn people_are_told_once_when_the_server_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let sink = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("http://{}/hook", sink.local_addr().unwrap());
    let (noted, go) = (folder.path().join("noted"), folder.path().join("go"));
    let config = format!(
        "pipeline \"p\"\nstage \"s\" {{ run \"echo begun >> {}; while ! test -e {}; do sleep 0.05; done\" }}",
        noted.display(),
        go.display()
    );
    let first = Program::start(&folder.path().join("data"));
    let channels = format!("/api/v1/tenants/{}/channels", uuid::Uuid::nil());
    let new = json!({ "name": "ops", "kind": "webhook", "target": target, "events": ["succeeded"] });
    let channel = first.id_of(&channels, new);
    let pipeline = first.id_of("/api/v1/pipelines", json!({ "config": config }));
    for _ in 0..3 {
        first.id_of(&format!("/api/v1/pipelines/{pipeline}/runs"), json!({}));
    }
    while std::fs::read_to_string(&noted).unwrap_or_default().lines().count() < 3 {
        std::thread::yield_now();
    }
    // The runs end about when the server does: some are told of by it, some by the next one.
    std::fs::write(&go, "").unwrap();
    let mut told = heads(&sink, 1);
    drop(first);
    let second = Program::start(&folder.path().join("data"));
    let log = || -> Vec<Value> {
        let log = second.ask("GET", &format!("{channels}/{channel}/dispatches"), None);
        serde_json::from_str::<Value>(&log).unwrap()["items"].as_array().unwrap().clone()
    };
    sink.set_nonblocking(true).unwrap();
    loop {
        let log = log();
        if log.len() == 3 && log.iter().all(|one| one["status"] == "sent") {
            break;
        }
        if let Ok((stream, _)) = sink.accept() {
            stream.set_nonblocking(false).unwrap();
            told.extend(answered(stream));
        }
    }
    let id =
        |head: &String| head.lines().find_map(|line| line.strip_prefix("x-buildit-delivery: ")).unwrap().to_owned();
    let mut ids: Vec<String> = told.iter().map(id).collect();
    ids.sort();
    ids.dedup();
    // One that was being sent when the server was killed comes twice, with the id that it had.
    assert_eq!(ids.len(), 3, "{told:?}");
    assert!(told.len() <= 6, "{told:?}");
}

#[test]
fn a_stop_tells_those_who_look_on_that_it_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(&folder.path().join("data"));
    let config = "pipeline \"p\"\nstage \"s\" { run \"sleep 60\" }";
    let pipeline = program.id_of("/api/v1/pipelines", json!({ "config": config }));
    let run = program.id_of(&format!("/api/v1/pipelines/{pipeline}/runs"), json!({}));
    let mut stream = TcpStream::connect(&program.1).unwrap();
    let ask = format!("GET /api/v1/runs/{run}/events HTTP/1.1\r\nHost: {}\r\n\r\n", program.1);
    stream.write_all(ask.as_bytes()).unwrap();
    let mut told = String::new();
    let mut reader = BufReader::new(stream);
    while !told.contains("attempt_started") {
        reader.read_line(&mut told).unwrap();
    }
    assert!(Command::new("kill").arg(program.0.id().to_string()).status().unwrap().success());
    reader.read_to_string(&mut told).unwrap();
    assert!(told.ends_with("\r\n0\r\n\r\n"), "the answer was cut off, not ended: {told}");
    // The job is left to the next server, which is told to end it.
    drop(program);
    let program = Program::start(&folder.path().join("data"));
    program.ask("POST", &format!("/api/v1/runs/{run}/cancel"), Some(json!({})));
    assert_eq!(program.events(&run).last().unwrap()["status"], "cancelled");
}
