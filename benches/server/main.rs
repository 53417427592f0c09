//! `server`: the server with SQLite, asked over the loopback by programs that keep their connections.
//!
//! | goal | what is measured |
//! |---|---|
//! | trigger to first line of the log: p50 under 50 ms, p99 under 150 ms | from before the request until the line comes through a WebSocket of its own, which is opened after the answer; executor `local`, nothing else runs |
//! | at least 2,000 triggers a second | accepted and persisted, with the runs queued: 16 connections, a key, nobody drives them |
//! | a run's page with 1,000 stages, and lists where 10,000 pipelines have a million runs: p99 under 50 ms | a kept connection asks, until the last byte has come; the runs are copies of one, in the database as the store wrote it |
//! | a live log to 1,000 readers: at least 0.5 of a bare fan-out | from the word to go until every reader has every byte; the limit hands the same frames to as many WebSockets. One reader more takes nothing |
//! | idle: under 64 MiB, under 0.5 % of a processor, a binary under 40 MiB, ready in 300 ms | the program, where it was built: `cargo build --profile dist -p buildit-server --features postgres,docker,oidc --example server` |
//!
//! What a trigger takes is ways to the database's thread and back: 33 changes of context each, 1.05 of two processors used, and
//! the disk a twentieth of the time. Two statements fewer and three handed over together took it from 0.78 to 0.66 ms; all that
//! keeps a run in one way, the entries of the audit log of all who wait together, and who may do what in one read to 0.48 ms.
//! Frames of a live page waited 40 ms for an acknowledgement before the listener's sockets sent them at once: 48 ms to the first
//! line then. With a million runs a tenant's dashboard went through all of them for a status that none had: indices of the tenant
//! for each narrowing brought it to 3 ms.

mod client;
mod live;
mod pages;
mod program;
mod site;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use buildit_benches::{Bench, Comparison, subject};
use serde_json::json;

use crate::client::{Client, Live};
use crate::live::{Bare, Watched};
use crate::site::Site;

/// How many connections trigger at once.
const CONNECTIONS: usize = 16;

fn main() -> ExitCode {
    let mut bench = Bench::default();
    let runtime = subject::runtime();

    let site = runtime.block_on(Site::new(true));
    let times = runtime.block_on(first_lines(&site, bench.choose(3, 300)));
    bench.at_most("trigger to first line, p50", millis(part(&times, 50)), 50.0, "ms");
    bench.at_most("trigger to first line, p99", millis(part(&times, 99)), 150.0, "ms");

    let (readers, lines) = (bench.choose(8, bench.size().unwrap_or(1000)), bench.choose(100, 20_000));
    let frames = runtime.block_on(async { Watched::new(&site, 1, lines).await.frames().await });
    let bare = runtime.block_on(Bare::new(frames));
    bench.compare(
        Comparison::new(format!("server: a live log of {lines} lines to {readers} readers"), 5, || {
            runtime.block_on(async { Watched::new(&site, readers, lines).await.all().await })
        })
        .against("bare fan-out of its frames", 2.0, || runtime.block_on(bare.all(readers))),
    );

    let queued = runtime.block_on(Site::new(false));
    let triggers = bench.choose(32, 20_000);
    let took = runtime.block_on(triggers_of(&queued, triggers));
    let each = took / u32::try_from(triggers).unwrap_or(u32::MAX);
    bench.at_most(&format!("{triggers} triggers, each"), millis(each), 0.5, "ms");

    runtime.block_on(pages::measure(&mut bench));
    program::measure(&mut bench);
    bench.end()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The time that so many of a hundred stay below.
fn part(times: &[Duration], percent: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

/// How long it takes from a trigger to the first line.
async fn first_lines(site: &Site, count: usize) -> Vec<Duration> {
    let pipeline = site.pipeline("pipeline \"hello\"\nstage \"say\" { run \"echo hello\" }").await;
    let mut client = site.client().await;
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let begun = Instant::now();
        let run = trigger(&mut client, &pipeline).await;
        let mut live = Live::open(site, &run).await;
        live.ask_for("say").await;
        live.until("log").await;
        times.push(begun.elapsed());
        live.until_finished().await;
    }
    times
}

async fn trigger(client: &mut Client, pipeline: &str) -> String {
    let made = client.post(&format!("/api/v1/pipelines/{pipeline}/runs"), &json!({ "branch": "main" })).await;
    made["id"].as_str().expect("a run has an id").to_owned()
}

/// How long so many triggers take.
async fn triggers_of(site: &Site, count: usize) -> Duration {
    let pipeline = site.pipeline("pipeline \"queued\"\nstage \"build\" { run \"true\" }").await;
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(site.client().await);
    }
    let begun = Instant::now();
    let asking = clients.into_iter().map(|mut client| {
        let pipeline = pipeline.clone();
        tokio::spawn(async move {
            for _ in 0..count / CONNECTIONS {
                trigger(&mut client, &pipeline).await;
            }
        })
    });
    for asked in asking.collect::<Vec<_>>() {
        asked.await.expect("each is answered");
    }
    begun.elapsed()
}
