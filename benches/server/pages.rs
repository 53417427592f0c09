//! Pages of much: a run of 1,000 stages, and the lists where 10,000 pipelines have a million runs.

use std::path::Path;
use std::time::{Duration, Instant};

use buildit_benches::Bench;
use rusqlite::{Connection, params};

use crate::client::{Client, Live};
use crate::site::Site;
use crate::{millis, part, trigger};

/// What a page may take of the server, p99.
const GOAL: f64 = 50.0;

/// Measures them.
pub(crate) async fn measure(bench: &mut Bench) {
    let site = Site::new(true).await;
    let mut owner = site.owner().await;
    let asked = bench.choose(2, 200);

    let stages = bench.choose(10, 1000);
    of_run(&site, stages).await;
    for tab in ["log", "waterfall", "plan", "why"] {
        let path = format!("/acme/main/pipelines/large/runs/1?tab={tab}");
        let times = times(&mut owner, &path, asked).await;
        bench.at_most(&format!("page of {stages} stages, {tab}, p99"), millis(part(&times, 99)), GOAL, "ms");
    }

    let (pipelines, runs) = bench.choose((20, 3), (10_000, 100));
    let pages = [
        ("dashboard", "/acme/main"),
        ("pipelines", "/acme/main/pipelines"),
        ("pipelines, further on", "/acme/main/pipelines?cursor=p005000"),
        ("pipelines, a search that finds few", "/acme/main/pipelines?search=p00499"),
        ("pipelines, a search that finds none", "/acme/main/pipelines?search=nothing"),
        ("a pipeline", "/acme/main/pipelines/p000010"),
        ("a pipeline, of a branch", "/acme/main/pipelines/p000010?branch=main"),
        ("a pipeline, of a status it never had", "/acme/main/pipelines/p000010?status=failed"),
        ("queue", "/acme/main/queue"),
    ];
    site.pipeline("pipeline \"seed\"\nstage \"say\" { run \"true\" }").await;
    of_stages(&site, "seed").await;
    let of_seed = pages.map(|(what, path)| (what, path.replace("p000010", "seed")));
    let few = each(&mut owner, &of_seed, asked).await;
    seed(&site.folder.path().join("data/buildit.db"), pipelines, runs);
    let many = each(&mut owner, &pages.map(|(what, path)| (what, path.to_owned())), asked).await;
    for ((what, _), (before, after)) in pages.iter().zip(few.iter().zip(&many)) {
        bench.at_most(
            &format!("{what}, p99 ({:.1} ms where there was next to nothing)", millis(*before)),
            millis(*after),
            GOAL,
            "ms",
        );
    }
}

/// Runs a pipeline of so many stages, each of which is passed over.
async fn of_run(site: &Site, stages: usize) {
    use std::fmt::Write;
    let mut text = String::from("pipeline \"large\"\n");
    for stage in 0..stages {
        let needs = if stage < 100 { String::new() } else { format!(" needs=\"s{}\"", stage - 100) };
        writeln!(text, "stage \"s{stage}\"{needs} {{ when \"false\"; run \"true\" }}").expect("text");
    }
    site.pipeline(&text).await;
    of_stages(site, "large").await;
}

/// Runs this pipeline to its end.
async fn of_stages(site: &Site, name: &str) {
    let mut client = site.client().await;
    let found = client.get(&format!("/api/v1/pipelines?search={name}")).await;
    let pipeline = found["items"][0]["id"].as_str().expect("it was made").to_owned();
    let run = trigger(&mut client, &pipeline).await;
    Live::open(site, &run).await.until_finished().await;
}

/// The p99 of each page.
async fn each(client: &mut Client, pages: &[(&str, String)], asked: usize) -> Vec<Duration> {
    let mut found = Vec::new();
    for (_, path) in pages {
        found.push(part(&times(client, path, asked).await, 99));
    }
    found
}

/// How long each of so many requests for a page takes, until its last byte has come.
async fn times(client: &mut Client, path: &str, asked: usize) -> Vec<Duration> {
    let mut times = Vec::with_capacity(asked);
    for _ in 0..asked {
        let begun = Instant::now();
        let (head, body) = client.send("GET", path, "text/plain", "").await;
        times.push(begun.elapsed());
        assert!(head.starts_with("HTTP/1.1 200") && body.len() > 1000, "{path}: {head}");
    }
    times
}

/// Puts in so many pipelines with so many runs each: copies of the one that has run, as the store wrote it, with ids that grow
/// with time, as those of the engine do.
fn seed(database: &Path, pipelines: usize, runs: usize) {
    let database = Connection::open(database).expect("the server's database");
    // It need not outlive the machine.
    database.execute_batch("PRAGMA cache_size = -500000; PRAGMA synchronous = OFF").expect("settings");
    let (pipelines, runs) = (i64::try_from(pipelines).expect("few"), i64::try_from(runs).expect("few"));
    let made = "WITH RECURSIVE n(at) AS (SELECT 1 UNION ALL SELECT at + 1 FROM n WHERE at < ?1)
         INSERT INTO pipelines (id, tenant_id, name, folded, last_number, version, source, settings, stages, created_at,
             updated_at)
         SELECT printf('00000000-0000-4000-8000-%012x', at), tenant_id, printf('p%06d', at), printf('p%06d', at), ?2,
             version, source, settings, stages, created_at, updated_at
         FROM n JOIN pipelines ON name = 'seed'";
    database.execute(made, params![pipelines, runs]).expect("pipelines");
    let run = "WITH seed AS MATERIALIZED (
             SELECT r.* FROM pipeline_runs r JOIN pipelines p ON p.place = r.pipeline WHERE p.name = 'seed')
         INSERT INTO pipeline_runs (id, tenant_id, pipeline, number, status, event, branch, commit_id, message, author,
             pull_request, created_at, started_at, finished_at, duration_ms, concurrency_group, definition, progress,
             last_seq, closed)
         SELECT printf('%08x-0000-7000-8000-%012x', ?1, p.place), seed.tenant_id, p.place, ?1, seed.status, seed.event,
             CASE ?1 % 10 WHEN 0 THEN 'main' ELSE printf('topic-%d', ?1) END, seed.commit_id, seed.message, seed.author,
             seed.pull_request,
             strftime('%Y-%m-%dT%H:%M:%f000000Z', seed.created_at, printf('-%d seconds', 1 + (?2 - ?1) * 60)),
             seed.started_at, seed.finished_at, seed.duration_ms, seed.concurrency_group, seed.definition, seed.progress,
             seed.last_seq, seed.closed
         FROM seed CROSS JOIN pipelines p WHERE p.name GLOB 'p[0-9]*' ORDER BY p.place";
    for number in 1..=runs {
        database.execute(run, params![number, runs]).expect("runs");
        // What is in the database already needs no second place.
        let _ = database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }
}
