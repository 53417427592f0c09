//! Everything at once on a few runs: nothing deadlocks, and each token has one holder.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buildit::event::{Event, EventBody, RunStatus};
use buildit::executor::LogCursor;
use buildit::id::{FencingToken, JobId, RunId};
use buildit::job::Stream;
use buildit::store::{Claim, LogAppend, LogChunk, LogStore, QueueStore, RunFilter, RunStore, StoreError};
use buildit_storage::postgres::PostgresStore;

use crate::{Scratch, at, event, lease, new_run, waiting};

const RUNS: usize = 4;
const TASKS: usize = 12;
const STEPS: usize = 250;

/// A splitmix64: the same numbers for the same seed everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % sides as u64) as usize
    }
}

/// What the tasks know of the runs.
#[derive(Debug, Default)]
struct Board {
    runs: Vec<(RunId, FencingToken)>,
    /// Each token of each run that somebody was given as new.
    given: HashSet<(RunId, FencingToken)>,
    done: usize,
}

/// Refusals are part of it; a failure is not.
fn refused(result: Result<(), StoreError>) -> bool {
    match result {
        Ok(()) => false,
        Err(StoreError::Backend { name, source }) => panic!("{name}: {source:?}"),
        Err(_) => true,
    }
}

struct Task {
    store: PostgresStore,
    board: Arc<Mutex<Board>>,
    dice: Dice,
    name: String,
}

impl Task {
    async fn go(mut self) {
        for step in 0..STEPS {
            // Leases of 30 s end every now and then.
            self.step(i64::try_from(step).unwrap() * 10).await;
        }
    }

    async fn step(&mut self, second: i64) {
        let place = self.dice.roll(RUNS);
        let (run, known) = self.board.lock().unwrap().runs[place];
        let token = if self.dice.roll(8) == 0 { FencingToken(known.0.saturating_sub(1)) } else { known };
        let store = &self.store;
        let result = match self.dice.roll(13) {
            0 | 1 => store.enqueue(waiting(run)).await,
            2 | 3 => return self.claim(second).await,
            4 => store.renew(run, token, at(second + 30)).await,
            5 => store.complete(run, token).await,
            6 => store.give_back(run, token, at(second)).await,
            7 | 8 => self.append(run, token).await,
            9 => self.append_log(run, token).await,
            10 => self.end(place, run, token).await,
            11 => store.requeue(run, at(second)).await,
            _ => self.lease(run, second).await,
        };
        if !refused(result) {
            self.board.lock().unwrap().done += 1;
        }
    }

    async fn claim(&mut self, second: i64) {
        let (limit, worker) = (1 + self.dice.roll(RUNS), self.name.as_str().into());
        let claim = Claim { worker, limit, lease: Duration::from_secs(30) };
        for job in self.store.claim(claim, at(second)).await.unwrap() {
            self.note(job.run, job.token, true);
        }
    }

    async fn lease(&self, run: RunId, second: i64) -> Result<(), StoreError> {
        let token = self.store.lease_run(run, lease(&self.name, second + 30), at(second)).await?;
        // It may be the one that it had.
        self.note(run, token, false);
        Ok(())
    }

    fn note(&self, run: RunId, token: FencingToken, is_new: bool) {
        let mut board = self.board.lock().unwrap();
        let is_first = board.given.insert((run, token));
        assert!(is_first || !is_new, "{token:?} of {run} was given twice");
        for (known, last) in &mut board.runs {
            if *known == run {
                *last = token.max(*last);
            }
        }
    }

    async fn append(&mut self, run: RunId, token: FencingToken) -> Result<(), StoreError> {
        let last = self.store.run(run).await?.last_seq;
        self.store.append(run, last, token, event(last + 1, &self.name)).await
    }

    async fn append_log(&mut self, run: RunId, token: FencingToken) -> Result<(), StoreError> {
        let job = JobId { run, stage: "build".into(), attempt: 1 + u32::try_from(self.dice.roll(2)).unwrap() };
        let end = self.store.log_cursor(&job).await?;
        let line =
            LogChunk { first_line: end.line + 1, lines: 1, time: at(0), stream: Stream::Stdout, text: "line\n".into() };
        let cursor = LogCursor { line: end.line + 1, stdout: end.stdout + 5, stderr: 0 };
        let append = LogAppend { job: &job, token, expected_line: end.line, chunks: &[line], cursor };
        self.store.append_log(append).await
    }

    /// Ends, closes and deletes a run; another takes its place.
    async fn end(&mut self, place: usize, run: RunId, token: FencingToken) -> Result<(), StoreError> {
        let last = self.store.run(run).await?.last_seq;
        let end = Event { seq: last + 1, time: at(0), body: EventBody::RunFinished { status: RunStatus::Failed } };
        self.store.append(run, last, token, [end].into()).await?;
        self.store.close_run(run, token).await?;
        self.store.delete_run(run).await?;
        let next = new_run("sample");
        self.store.create_run(next.clone()).await?;
        self.board.lock().unwrap().runs[place] = (next.id, FencingToken(0));
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn nothing_deadlocks() {
    let seed = std::env::var("BUILDIT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_260_101);
    let scratch = Scratch::new().await;
    let stores = [scratch.store().await, scratch.store().await];
    let board = Arc::new(Mutex::new(Board::default()));
    for _ in 0..RUNS {
        let run = new_run("sample");
        stores[0].create_run(run.clone()).await.unwrap();
        board.lock().unwrap().runs.push((run.id, FencingToken(0)));
    }
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (store, board) = (stores[task % 2].clone(), Arc::clone(&board));
            let (dice, name) = (Dice(seed + task as u64), format!("worker {task}"));
            tokio::spawn(Task { store, board, dice, name }.go())
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }

    let left = stores[0].runs(&RunFilter::default(), 1000).await.unwrap();
    let runs: HashSet<RunId> = board.lock().unwrap().runs.iter().map(|(run, _)| *run).collect();
    assert!(left.len() >= RUNS && runs.iter().all(|run| left.iter().any(|kept| kept.id == *run)), "{left:?}");
    for run in &left {
        let page = stores[0].events(run.id, 0, usize::MAX).await.unwrap();
        assert!(page.events.iter().map(|event| event.seq).eq(1..=page.last_seq), "{page:?}");
    }
    let orphans = "SELECT count(*) FROM job_queue WHERE subject NOT IN (SELECT id FROM pipeline_runs)";
    let mut connection = scratch.connection().await;
    let orphans: i64 = sqlx::query_scalar(orphans).fetch_one(&mut connection).await.unwrap();
    assert_eq!(orphans, 0, "entries of runs that are deleted");
    sqlx::Connection::close(connection).await.unwrap();
    let done = board.lock().unwrap().done;
    assert!(done > TASKS * STEPS / 8, "only {done} steps did something");

    // Backends tell their counts when they end.
    for store in &stores {
        store.close().await;
    }
    let mut admin = scratch.outside().await;
    let counts = "SELECT numbackends, deadlocks FROM pg_stat_database WHERE datname = $1";
    let deadlocks = loop {
        let counts = sqlx::query_as(counts).bind(scratch.name()).fetch_one(&mut admin);
        let (backends, deadlocks): (i32, i64) = counts.await.unwrap();
        if backends == 0 {
            break deadlocks;
        }
    };
    assert_eq!(deadlocks, 0, "deadlocks");
}
