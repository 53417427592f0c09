//! `recover`: runs that a killed engine left open are taken up again.
//!
//! | goal | what it does |
//! |---|---|
//! | all state back in at most 2.5 times a copy-out | `Engine::resume` on 100, 1,000 and 10,000 open runs of 100 stages, half of which have ended; the peer reads the same rows in one sweep, and makes nothing of them |
//! | exponent of growth at most 1.05 | from 100 runs to 10,000 |
//! | the first dispatch in 500 ms at any size | from the call of `Engine::resume` until an executor has the first job |
//!
//! Measured on two quiet cores. SQLite: 5.4 times the copy-out for 100 runs, 3.7 for 1,000, 4.0 for 10,000 (7.3, 4.3 and 4.8
//! before runs that have the same plan shared it; these are copies of one); PostgreSQL, before that: 3.9, 2.4, 2.2. The first
//! dispatch after 21 to 99 ms. What is left of it is JSON that becomes events, and the way to the database's thread and back;
//! the copy-out makes nothing of what it reads.
//!
//! PostgreSQL needs a server: the URL for an administrator in `BUILDIT_TEST_POSTGRES`.

mod copies;
mod engine;
mod postgres;
#[path = "../queue_pg/scratch.rs"]
mod scratch;
mod sqlite;

use std::process::ExitCode;
use std::time::Duration;

use buildit_benches::{Bench, Comparison, median, subject};
use tokio::runtime::Runtime;

use crate::engine::{Recovery, recover};

/// Names the server.
const SERVER: &str = "BUILDIT_TEST_POSTGRES";

/// A database with open runs that nobody drives.
trait Database {
    /// What it is called.
    const NAME: &'static str;

    /// Its store.
    fn store(&self) -> std::sync::Arc<dyn buildit::store::Store>;

    /// Adds runs until there are so many.
    fn grow(&mut self, runs: usize);

    /// Nothing of the latest recovery is left.
    fn reset(&mut self);

    /// Reads the rows that a recovery needs, and drops them.
    fn copy_out(&mut self) -> Duration;
}

fn main() -> ExitCode {
    let mut bench = Bench::default();
    let runtime = subject::runtime();
    let folder = tempfile::tempdir().expect("a folder");
    measure(&mut bench, &runtime, sqlite::Sqlite::new(&runtime, folder.path()));
    match std::env::var(SERVER) {
        Ok(server) => measure(&mut bench, &runtime, postgres::Postgres::new(&runtime, &server)),
        Err(_) => bench.leave_out("recover: PostgreSQL", &format!("there is no server in {SERVER}")),
    }
    bench.end()
}

fn measure<D: Database>(bench: &mut Bench, runtime: &Runtime, mut database: D) {
    let mut growth = Vec::new();
    for runs in bench.choose(vec![5, 10], vec![100, 1000, 10_000]) {
        database.grow(runs);
        let database = std::cell::RefCell::new(&mut database);
        let mut all: Vec<Recovery> = Vec::new();
        bench.compare(
            Comparison::new(format!("recover: {}, {runs} open runs", D::NAME), 5, || {
                let mut database = database.borrow_mut();
                database.reset();
                let recovery = recover(runtime, database.store(), runs);
                all.push(recovery);
                recovery.whole
            })
            .against("copy-out", 2.5, || database.borrow_mut().copy_out()),
        );
        let first: Vec<Duration> = all.iter().map(|recovery| recovery.first).collect();
        let what = format!("recover: {}, {runs} open runs, first dispatch", D::NAME);
        bench.at_most(&what, median(&first).as_secs_f64() * 1000.0, 500.0, "ms");
        let whole: Vec<Duration> = all.iter().map(|recovery| recovery.whole).collect();
        growth.push((runs as f64, median(&whole).as_secs_f64()));
    }
    let (Some((few, short)), Some((many, long))) = (growth.first(), growth.last()) else { return };
    let exponent = (long / short).ln() / (many / few).ln();
    bench.at_most(&format!("recover: {}, exponent of growth", D::NAME), exponent, 1.05, "");
}
