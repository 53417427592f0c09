//! `queue_sqlite`: runs taken off the queue and completed, a hundred at a time.
//!
//! | goal | what it does |
//! |---|---|
//! | at least 0.8 of the same statements through rusqlite | 10,000 runs of one tenant are claimed and completed by `SqliteStore`, 100 a call; the peer does it with the statements of the store, prepared, in as many transactions |
//!
//! `synchronous=FULL` everywhere.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use buildit::store::{Claim, QueueStore};
use buildit_benches::{Bench, Comparison, subject};
use buildit_storage::sqlite::SqliteStore;
use jiff::Timestamp;
use rusqlite::{Connection, params};

/// How many a statement takes or completes.
const BATCH: usize = 100;

const NOW: &str = "2026-01-01T00:00:00.000000000Z";
const UNTIL: &str = "2026-01-01T00:01:00.000000000Z";

fn main() -> ExitCode {
    let mut bench = Bench::default();
    let runtime = subject::runtime();
    let folder = tempfile::tempdir().expect("a folder");
    let runs = bench.choose(300, 10_000);
    let open = |file: &Path| runtime.block_on(SqliteStore::open(file)).expect("a store");
    let (ours, raw) = (folder.path().join("ours.db"), folder.path().join("raw.db"));
    let store = open(&ours);
    drop(open(&raw));
    let (filler, mut raw) = (connect(&ours), connect(&raw));
    fill(&filler, runs);
    fill(&raw, runs);
    let now: Timestamp = NOW.parse().expect("a time");
    bench.compare(
        Comparison::new(format!("queue_sqlite: {runs} runs claimed and completed, {BATCH} a call"), 7, || {
            queue(&filler);
            runtime.block_on(async {
                let start = Instant::now();
                let mut done = 0;
                while done < runs {
                    let claim = Claim { worker: "bench".into(), limit: BATCH, lease: Duration::from_secs(60) };
                    let jobs = store.claim(claim, now).await.expect("a claim");
                    let jobs: Vec<_> = jobs.iter().map(|job| (job.run, job.token)).collect();
                    assert!(store.complete_all(&jobs).await.expect("a completion").is_empty(), "a run was refused");
                    done += jobs.len();
                }
                start.elapsed()
            })
        })
        .against("rusqlite, the same statements", 1.25, || {
            queue(&raw);
            let start = Instant::now();
            let mut done = 0;
            while done < runs {
                let jobs = claim(&mut raw);
                complete(&mut raw, &jobs);
                done += jobs.len();
            }
            start.elapsed()
        }),
    );
    bench.end()
}

fn connect(file: &Path) -> Connection {
    let connection = Connection::open(file).expect("a database");
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON").expect("pragmas");
    connection.set_prepared_statement_cache_capacity(64);
    connection
}

/// So many runs.
fn fill(to: &Connection, runs: usize) {
    to.execute("INSERT INTO pipelines (name, created_at) VALUES ('sample', '')", []).expect("a pipeline");
    let fill = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?)
         INSERT INTO pipeline_runs (id, pipeline, number, status, created_at, definition, progress)
         SELECT printf('00000000-0000-7000-8000-%012d', n), 1, n, 'queued', '', '{}', '{}' FROM n";
    to.execute(fill, [runs as i64]).expect("the runs");
}

/// All of them wait.
fn queue(to: &Connection) {
    let queue = "INSERT INTO job_queue (job_type, subject, tenant_id, priority, max_attempts, scheduled_for)
         SELECT 'run', id, '00000000-0000-0000-0000-000000000000', 0, 5, '2025-01-01T00:00:00.000000000Z'
         FROM pipeline_runs ORDER BY place";
    to.execute(queue, []).expect("the queue");
    let wake = "INSERT INTO queue_tenants (tenant_id, turn, is_ready)
         VALUES ('00000000-0000-0000-0000-000000000000', 0, 1) ON CONFLICT DO UPDATE SET is_ready = 1";
    to.execute(wake, []).expect("the tenant");
}

/// What `SqliteStore::claim` asks of the database.
fn claim(raw: &mut Connection) -> Vec<String> {
    let transaction = raw.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).expect("a transaction");
    let mut taken: Vec<(i64, i64, String)> = Vec::new();
    {
        let late = "SELECT q.place, q.tenant_id, q.attempts >= q.max_attempts AS is_spent,
                 iif(r.locked_until > ?1, r.locked_until, NULL) AS held_until
             FROM job_queue q JOIN pipeline_runs r ON r.id = q.subject
             WHERE q.status = 'taken' AND q.locked_until <= ?1 ORDER BY q.priority DESC, q.place";
        let mut late = transaction.prepare_cached(late).expect("a statement");
        assert!(!late.exists([NOW]).expect("a look"), "a lease has ended");
        let due = "UPDATE job_queue SET status = 'waiting' WHERE status = 'scheduled' AND scheduled_for <= ?
             RETURNING tenant_id";
        let mut due = transaction.prepare_cached(due).expect("a statement");
        assert!(!due.exists([NOW]).expect("a look"), "something became due");
        let ready = "WITH line AS (
                 SELECT t.tenant_id, t.turn, iif(o.id IS NULL, t.weight, o.weight) AS weight,
                     iif(o.id IS NULL, t.max_running, o.max_running) AS max_running
                 FROM queue_tenants t LEFT JOIN tenants o ON o.id = t.tenant_id
                 WHERE t.is_ready = 1 AND t.tenant_id NOT IN (SELECT value FROM json_each(?1))
                 ORDER BY t.turn LIMIT ?2
             )
             SELECT tenant_id, turn, weight, max_running, iif(max_running IS NULL, 0, (
                 SELECT count(*) FROM job_queue q WHERE q.tenant_id = line.tenant_id AND q.status = 'taken'
             )) AS running FROM line ORDER BY turn, tenant_id";
        let mut ready = transaction.prepare_cached(ready).expect("a statement");
        let tenant: String = ready.query_row(params!["[]", 100], |row| row.get(0)).expect("a tenant");
        let take = "UPDATE job_queue SET status = 'taken', attempts = attempts + 1, locked_by = ?1, locked_until = ?2,
                 fencing_token = (SELECT fencing_token + 1 FROM pipeline_runs WHERE id = subject)
             WHERE place IN (
                 SELECT q.place FROM job_queue q JOIN pipeline_runs r ON r.id = q.subject
                 WHERE q.tenant_id = ?3 AND q.status = 'waiting' AND q.scheduled_for <= ?4
                     AND (r.locked_until IS NULL OR r.locked_until <= ?4)
                 ORDER BY q.priority DESC, q.place LIMIT ?5
             ) RETURNING place, priority, subject, tenant_id, fencing_token, attempts";
        let mut take = transaction.prepare_cached(take).expect("a statement");
        let rows = take.query_map(params!["bench", UNTIL, tenant, NOW, BATCH as i64], |row| {
            Ok((row.get(1)?, row.get(0)?, row.get(2)?))
        });
        taken.extend(rows.expect("a claim").map(|row| row.expect("a row")));
        taken.sort();
        let took = "UPDATE queue_tenants SET turn = turn + ? WHERE tenant_id = ?";
        let mut took = transaction.prepare_cached(took).expect("a statement");
        took.execute(params![taken.len() as i64, tenant]).expect("a turn");
        let lease = "UPDATE pipeline_runs SET fencing_token = fencing_token + 1, locked_by = ?, locked_until = ?,
                 locked_session = ? WHERE id IN (SELECT value FROM json_each(?))";
        let mut lease = transaction.prepare_cached(lease).expect("a statement");
        let runs: Vec<&String> = taken.iter().map(|(_, _, run)| run).collect();
        lease.execute(params!["bench", UNTIL, "session", json(&runs)]).expect("the leases");
    }
    transaction.commit().expect("a commit");
    taken.into_iter().map(|(_, _, run)| run).collect()
}

/// What `SqliteStore::complete_all` asks of it.
fn complete(raw: &mut Connection, runs: &[String]) {
    let transaction = raw.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).expect("a transaction");
    {
        let runs = json(&runs.iter().collect::<Vec<_>>());
        let seen = "SELECT id, fencing_token FROM pipeline_runs WHERE id IN (SELECT value FROM json_each(?))";
        let mut seen = transaction.prepare_cached(seen).expect("a statement");
        let tokens = seen.query_map([&runs], |row| row.get::<_, i64>(1)).expect("the tokens");
        assert!(tokens.into_iter().all(|token| token.expect("a token") > 0), "a token was lost");
        let remove = "DELETE FROM job_queue WHERE job_type = 'run' AND subject IN (SELECT value FROM json_each(?))
             RETURNING tenant_id";
        let mut remove = transaction.prepare_cached(remove).expect("a statement");
        let tenants = remove.query_map([&runs], |row| row.get::<_, String>(0)).expect("the entries");
        let tenant = tenants.map(|tenant| tenant.expect("a tenant")).last();
        let end = "UPDATE pipeline_runs SET locked_by = NULL, locked_until = NULL, locked_session = NULL
             WHERE id IN (SELECT value FROM json_each(?))";
        transaction.prepare_cached(end).expect("a statement").execute([&runs]).expect("the ends");
        let wake = "INSERT INTO queue_tenants (tenant_id, turn, is_ready)
             VALUES (?, coalesce((SELECT min(turn) FROM queue_tenants WHERE is_ready = 1),
                 (SELECT max(turn) FROM queue_tenants), 0), 1)
             ON CONFLICT (tenant_id) DO UPDATE SET turn = max(turn, excluded.turn), is_ready = 1 WHERE is_ready = 0";
        transaction.prepare_cached(wake).expect("a statement").execute([tenant]).expect("the tenant");
    }
    transaction.commit().expect("a commit");
}

fn json(runs: &[&String]) -> String {
    serde_json::to_string(runs).expect("JSON")
}
