//! `queue_pg`: runs queued, taken and completed on PostgreSQL; jobs that do nothing.
//!
//! | goal | what it does |
//! |---|---|
//! | at least 0.6 of a raw loop | runs are queued 1,000 a call, then claimed and completed 100 a call by 8 tasks; the raw loop does it with `INSERT`, `FOR UPDATE SKIP LOCKED` and `DELETE` on one narrow table |
//! | at least 5 times apalis-postgres | its best settings: batches of 100, 32 at once, no results kept |
//! | ahead of graphile_worker | with its local queue of 500, 24 at once, completions in batches |
//! | pickup of an idle queue: p50 at most 2 times raw | from the call of `enqueue` until another store, which waits for news, has claimed; the peer inserts, notifies, listens and claims |
//!
//! Measured on two quiet cores, the server with `fsync`. With 5,000 runs: 5.1 times the raw loop, 0.90 to 1.05 of
//! apalis-postgres, 1.57 to 2.04 of graphile_worker, and a pickup takes as long; with 20,000 runs: 4.3, 1.09 and 1.45.
//! By `pg_stat_statements` a run takes 14 us to be queued, 18 to be claimed and 12 to be completed, where the raw loop takes 19 in
//! all; the rest of the wall is that claims of a process go one after another, and that each commit waits for the disk alone.
//! A claim and a completion each lock an entry and its run and write both, and an entry that changes its status is put into four
//! indexes. The raw loop writes one row, of two indexes.
//!
//! sqlxmq is left out: it needs sqlx 0.8, whose SQLite cannot be linked beside that of sqlx 0.9.
//!
//! Needs a server: the URL for an administrator in `BUILDIT_TEST_POSTGRES`. A database of its own is made there and
//! dropped.

mod ours;
mod peers;
mod raw;
mod scratch;

use std::process::ExitCode;

use buildit_benches::{Bench, Comparison, median, subject};

/// How many loops claim and complete at once.
const LOOPS: usize = 8;

/// How many a statement takes or completes.
const BATCH: usize = 100;

/// How many are queued by a statement.
const ADDED: usize = 1000;

/// Names the server.
const SERVER: &str = "BUILDIT_TEST_POSTGRES";

fn main() -> ExitCode {
    let mut bench = Bench::default();
    let Ok(server) = std::env::var(SERVER) else {
        bench.leave_out("queue_pg", &format!("there is no server in {SERVER}"));
        return bench.end();
    };
    let runtime = subject::runtime();
    let scratch = runtime.block_on(scratch::Scratch::new(&server));
    let runs = bench.choose(200, bench.size().unwrap_or(20_000));
    let ours = runtime.block_on(ours::Ours::new(scratch.url(), runs));
    let raw = runtime.block_on(raw::Raw::new(scratch.url()));
    bench.compare(
        Comparison::new(format!("queue_pg: {runs} runs queued, claimed and completed"), 7, || {
            runtime.block_on(ours.all())
        })
        .against("raw loop", 1.0 / 0.6, || runtime.block_on(raw.all(runs))),
    );
    // They are slow: a tenth of the runs, and ten times the time.
    let few = runs / 10;
    let peers = runtime.block_on(peers::Peers::new(scratch.url()));
    bench.compare(
        Comparison::new(format!("queue_pg: {runs} runs, against {few} jobs of others"), 3, || {
            runtime.block_on(ours.all())
        })
        .against("apalis-postgres, ten times", 0.2, || runtime.block_on(peers.apalis(few)) * 10)
        .against("graphile_worker, ten times", 1.0, || runtime.block_on(peers.graphile(few)) * 10),
    );
    let times = bench.choose(3, 300);
    let (mut picked, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..times {
        picked.push(runtime.block_on(ours.pickup()));
        peer.push(runtime.block_on(raw.pickup()));
    }
    let (picked, peer) = (median(&picked), median(&peer));
    bench.at_most("pickup of an idle queue, p50", picked.as_secs_f64() * 1000.0, 2000.0 * peer.as_secs_f64(), "ms");
    runtime.block_on(scratch.drop());
    bench.end()
}
