//! What people read with SQL of their own.

use buildit::cached::{KeptLog, KeptResult, ResultStore};
use buildit::event::{Event, EventBody, RunStatus, StageReason, StageResult, TakenResult};
use buildit::id::{Digest, FencingToken, JobId, RunId, TenantId};
use buildit::job::{Artifact, JobOutcome, JobProducts, Status};
use buildit::run::CarriedStage;
use buildit::store::{Enqueue, NewRun, QueueStore, ReferenceStore, RunStore};
use buildit_storage::sqlite::SqliteStore;
use sqlx::{Connection, SqliteConnection};

use crate::{at, new_run};

#[tokio::test]
async fn each_stage_has_a_row_from_its_events() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs.db");
    let store = SqliteStore::open(&file).await.unwrap();
    let run = new_run("sample");
    store.create_run(run.clone()).await.unwrap();
    let artifact = Artifact { name: "app".into(), digest: Digest::of(b"app"), bytes: 3, paths: vec!["app".into()] };
    let products = JobProducts { artifacts: vec![artifact], ..JobProducts::default() };
    let skipped = StageResult::skipped(StageReason::When { clause: "branch=\"main\"".into() });
    let bodies = [
        EventBody::RunStarted,
        EventBody::AttemptStarted { stage: "build".into(), attempt: 1, executor: "local".into() },
        EventBody::AttemptFinished { stage: "build".into(), attempt: 1, outcome: JobOutcome::failed(7) },
        EventBody::RetryScheduled { stage: "build".into(), attempt: 2, at: at(60) },
        EventBody::AttemptStarted { stage: "build".into(), attempt: 2, executor: "docker".into() },
        EventBody::AttemptFinished {
            stage: "build".into(),
            attempt: 2,
            outcome: JobOutcome::succeeded().with_products(products),
        },
        EventBody::StageFinished { stage: "build".into(), result: StageResult::succeeded() },
        EventBody::StageFinished { stage: "test".into(), result: skipped },
        EventBody::RunFinished { status: RunStatus::Succeeded },
    ];
    let event = |(body, seq)| Event { seq, time: at(i64::try_from(seq).unwrap()), body };
    let events: Vec<Event> = bodies.into_iter().zip(1..).map(event).collect();

    let mut database = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    let mut rows = async || -> Vec<(String, String, Option<String>, Option<String>)> {
        let query = "SELECT stage_name, status, started_at, finished_at FROM stage_results
             WHERE pipeline_run_id = ? ORDER BY stage_name";
        sqlx::query_as(query).bind(run.id.to_string()).fetch_all(&mut database).await.unwrap()
    };
    let time = |second: i64| Some(format!("2026-01-01T00:00:{second:02}.000000000Z"));
    let row = |stage: &str, status: &str, begun, ended| (stage.to_owned(), status.to_owned(), begun, ended);
    for (upto, expected) in [
        (2, vec![row("build", "running", time(2), None)]),
        (3, vec![row("build", Status::Failed.as_str(), time(2), None)]),
        (4, vec![row("build", "pending", time(2), None)]),
        (9, vec![row("build", "succeeded", time(2), time(7)), row("test", "skipped", None, time(8))]),
    ] {
        let after = store.run(run.id).await.unwrap().last_seq;
        let next = &events[usize::try_from(after).unwrap()..upto];
        store.append(run.id, after, FencingToken(1), next.into()).await.unwrap();
        assert_eq!(rows().await, expected, "after {upto} events");
    }

    let query = "SELECT attempt, executor, exit_code, error, allowed, cached FROM stage_results ORDER BY stage_name";
    type Detail = (Option<u32>, Option<String>, Option<i32>, Option<String>, bool, bool);
    let details: Vec<Detail> = sqlx::query_as(query).fetch_all(&mut database).await.unwrap();
    assert_eq!(details[0], (Some(2), Some("docker".into()), Some(0), None, false, false));
    let why = details[1].3.as_deref().unwrap();
    assert!(why.contains("branch=\"main\"") && details[1].0.is_none(), "{details:?}");

    // From the start of the first attempt to the end of the last one.
    let query = "SELECT status, duration_ms, number FROM pipeline_runs";
    let line: (String, i64, i64) = sqlx::query_as(query).fetch_one(&mut database).await.unwrap();
    assert_eq!(line, ("succeeded".into(), 4000, 1));
    let left: (String, u32, String, i64) =
        sqlx::query_as("SELECT name, attempt, digest, bytes FROM artifacts").fetch_one(&mut database).await.unwrap();
    assert_eq!(left, ("app".into(), 2, Digest::of(b"app").to_hex(), 3));
}

#[tokio::test]
async fn a_kept_result_outlives_the_store_and_its_blobs_are_rows() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs.db");
    let open = async || SqliteStore::open(&file).await.unwrap();
    let artifact = Artifact { name: "app".into(), digest: Digest::of(b"app"), bytes: 3, paths: vec!["app".into()] };
    let result = KeptResult {
        key: Digest::of(b"key"),
        job: JobId { run: RunId::new(), stage: "build".into(), attempt: 1 },
        kept_at: at(1),
        products: Some(Box::new(JobProducts { artifacts: vec![artifact.clone(), artifact], ..JobProducts::default() })),
        log: KeptLog::Blob(Digest::of(b"log")),
    };
    let store = open().await;
    let salt = store.result_salt().await.unwrap();
    store.keep_result("sample", &result, &[]).await.unwrap();
    drop(store);
    let store = open().await;
    assert!(store.result_salt().await.unwrap() == salt);
    assert_eq!(store.find_results("sample", &[result.key]).await.unwrap(), [Some(result.clone())]);
    let url = format!("sqlite://{}", file.display());
    let mut database = SqliteConnection::connect(&url).await.unwrap();
    let mut rows = async || -> Vec<String> {
        let query = "SELECT digest FROM kept_result_blobs ORDER BY digest";
        sqlx::query_scalar(query).fetch_all(&mut database).await.unwrap()
    };
    let mut blobs: Vec<String> = [b"app", b"log"].map(|blob| Digest::of(blob).to_hex()).into();
    blobs.sort();
    assert_eq!(rows().await, blobs);
    store.forget_result("sample", &result.key).await.unwrap();
    assert!(rows().await.is_empty());
}

/// Before schema 6 the second of two artifacts of one name had no row.
#[tokio::test]
async fn artifacts_that_an_earlier_schema_left_out_are_found_in_events() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs.db");
    let store = SqliteStore::open(&file).await.unwrap();
    let artifact = |name: &str, content: &[u8]| {
        let digest = Digest::of(content);
        Artifact { name: name.into(), digest, bytes: content.len() as u64, paths: vec!["app\0".into()] }
    };
    let products = |content: &[u8]| JobProducts {
        artifacts: vec![artifact("app", b"app"), artifact("app", content)],
        ..JobProducts::default()
    };
    let taken = |content: &[u8]| TakenResult {
        key: None,
        run: RunId::new(),
        stage: "test".into(),
        attempt: 2,
        products: Some(Box::new(products(content))),
    };
    let carried = CarriedStage { stage: "build".into(), result: StageResult::succeeded(), taken: taken(b"carried") };
    let run = NewRun { carried: [carried].into(), ..new_run("sample") };
    store.create_run(run.clone()).await.unwrap();
    let outcome = JobOutcome::succeeded().with_products(products(b"left"));
    let bodies = [
        EventBody::RunStarted,
        EventBody::AttemptFinished { stage: "build".into(), attempt: 1, outcome },
        EventBody::ResultTaken { stage: "test".into(), result: Box::new(taken(b"taken")) },
        EventBody::CancelRequested { reason: "no \"artifacts\" and a \0".into() },
    ];
    let events = bodies.into_iter().zip(1..).map(|(body, seq)| Event { seq, time: at(0), body });
    store.append(run.id, 0, FencingToken(1), events.collect()).await.unwrap();
    drop(store);
    let mut database = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    for back in ["DELETE FROM artifacts", "DELETE FROM _sqlx_migrations WHERE version = 6"] {
        sqlx::query(back).execute(&mut database).await.unwrap();
    }
    let store = SqliteStore::open(&file).await.unwrap();
    let all = [b"app".as_slice(), b"carried", b"left", b"taken"].map(Digest::of);
    assert_eq!(store.referred(&all).await.unwrap(), all.into());
    let kept: Vec<(String, i64, String, i64)> =
        sqlx::query_as("SELECT stage_name, attempt, name, bytes FROM artifacts ORDER BY stage_name, attempt, bytes")
            .fetch_all(&mut database)
            .await
            .unwrap();
    let row = |stage: &str, attempt, bytes| (stage.to_owned(), attempt, "app".to_owned(), bytes);
    let expected = [
        row("build", 0, 3),
        row("build", 0, 7),
        row("build", 1, 3),
        row("build", 1, 4),
        row("test", 0, 3),
        row("test", 0, 5),
    ];
    assert_eq!(kept, expected);
}

#[tokio::test]
async fn a_run_that_cannot_be_queued_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs.db");
    let store = SqliteStore::open(&file).await.unwrap();
    let mut database = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    sqlx::query("CREATE TRIGGER full BEFORE INSERT ON job_queue BEGIN SELECT raise(ABORT, 'full'); END")
        .execute(&mut database)
        .await
        .unwrap();
    let run = new_run("sample");
    let job = Enqueue { run: run.id, tenant: TenantId::new(), priority: 0, scheduled_for: at(0), max_attempts: 3 };
    assert!(store.create_queued(run.clone(), job).await.is_err());
    assert_eq!(store.open_runs().await.unwrap(), []);
    assert!(store.run(run.id).await.is_err());
}
