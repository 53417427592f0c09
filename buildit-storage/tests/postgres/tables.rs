//! What people read with SQL of their own.

use buildit::artifact::CacheStore;
use buildit::cached::{KeptLog, KeptResult, ResultStore};
use buildit::event::{Event, EventBody, RunStatus, StageReason, StageResult, TakenResult};
use buildit::id::{Digest, FencingToken, JobId, RunId};
use buildit::job::{Artifact, JobOutcome, JobProducts, Status};
use buildit::run::CarriedStage;
use buildit::store::{NewRun, ReferenceStore, RunFilter, RunStore, StoreError};
use jiff::Timestamp;

use crate::{Scratch, at, event, new_run};

#[tokio::test]
#[ignore = "needs postgres"]
async fn each_stage_has_a_row_from_its_events() {
    let scratch = Scratch::new().await;
    let store = scratch.store().await;
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

    let mut database = scratch.connection().await;
    sqlx::query("SET timezone = 'UTC'").execute(&mut database).await.unwrap();
    let mut rows = async || -> Vec<(String, String, Option<String>, Option<String>)> {
        let query = "SELECT stage_name, status, started_at::text, finished_at::text FROM stage_results
             WHERE pipeline_run_id = $1 ORDER BY stage_name";
        sqlx::query_as(query).bind(run.id.as_uuid()).fetch_all(&mut database).await.unwrap()
    };
    let time = |second: i64| Some(format!("2026-01-01 00:00:{second:02}+00"));
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
    type Detail = (Option<i64>, Option<String>, Option<i32>, Option<String>, bool, bool);
    let details: Vec<Detail> = sqlx::query_as(query).fetch_all(&mut database).await.unwrap();
    assert_eq!(details[0], (Some(2), Some("docker".into()), Some(0), None, false, false));
    let why = details[1].3.as_deref().unwrap();
    assert!(why.contains("branch=\"main\"") && details[1].0.is_none(), "{details:?}");

    // From the start of the first attempt to the end of the last one.
    let query = "SELECT status, duration_ms, number FROM pipeline_runs";
    let line: (String, i64, i64) = sqlx::query_as(query).fetch_one(&mut database).await.unwrap();
    assert_eq!(line, ("succeeded".into(), 4000, 1));
    let left: (String, i64, String, i64) =
        sqlx::query_as("SELECT name, attempt, digest, bytes FROM artifacts").fetch_one(&mut database).await.unwrap();
    assert_eq!(left, ("app".into(), 2, Digest::of(b"app").to_hex(), 3));
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn a_text_that_no_column_holds_is_shown_as_far_as_it_can_be_and_kept_whole() {
    let scratch = Scratch::new().await;
    let store = scratch.store().await;
    let run = new_run("sample");
    store.create_run(run.clone()).await.unwrap();
    let message = format!("a\0b{}", "c".repeat(100_000));
    let outcome = JobOutcome { message: Some(message.as_str().into()), ..JobOutcome::failed(1) };
    let body = EventBody::AttemptFinished { stage: "build".into(), attempt: 1, outcome };
    let events = [Event { seq: 1, time: at(1), body }];
    store.append(run.id, 0, FencingToken(1), events.clone().into()).await.unwrap();
    assert_eq!(store.events(run.id, 0, 9).await.unwrap().events, events);
    let shown = sqlx::query_scalar("SELECT error FROM stage_results");
    let shown: String = shown.fetch_one(&mut scratch.connection().await).await.unwrap();
    assert!(shown.starts_with("a\u{fffd}bccc") && shown.len() < 1000, "{shown}");
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn names_that_no_index_holds_are_refused_before_the_run_begins() {
    let scratch = Scratch::new().await;
    let store = scratch.store().await;
    for name in ["a\0".to_owned(), "a".repeat(5000)] {
        let refused = store.create_run(new_run(&name)).await.unwrap_err();
        assert!(matches!(refused, StoreError::Backend { .. }), "{refused:?}");
    }
    assert_eq!(store.runs(&RunFilter::default(), 9).await.unwrap(), []);
    let archive = Digest::of(b"archive");
    for key in ["a\0".to_owned(), "a".repeat(5000)] {
        store.save_cache("sample", &key, archive, 7).await.unwrap();
        assert_eq!(store.find_cache("sample", &key, std::slice::from_ref(&key)).await.unwrap(), None);
    }
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn times_come_back_to_the_nanosecond() {
    let scratch = Scratch::new().await;
    let store = scratch.store().await;
    let exact = Timestamp::constant(1_767_225_600, 123_456_789);
    let run = NewRun { created_at: exact, ..new_run("sample") };
    store.create_run(run.clone()).await.unwrap();
    let events = [Event { seq: 1, time: exact, body: EventBody::RunStarted }];
    store.append(run.id, 0, FencingToken(1), events.into()).await.unwrap();
    assert_eq!(store.run(run.id).await.unwrap().run, run);
    let listed = store.runs(&RunFilter::default(), 9).await.unwrap();
    assert_eq!((listed[0].created_at, listed[0].started_at), (exact, Some(exact)));
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn an_append_of_many_events_is_one_statement() {
    let scratch = Scratch::new().await;
    let store = scratch.store().await;
    let run = new_run("sample");
    store.create_run(run.clone()).await.unwrap();
    let events: Vec<Event> = (1..=20_000).flat_map(|seq| event(seq, "many").to_vec()).collect();
    store.append(run.id, 0, FencingToken(1), events.clone().into()).await.unwrap();
    assert_eq!(store.events(run.id, 0, usize::MAX).await.unwrap().events, events);
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn a_kept_result_outlives_the_store_and_its_blobs_are_rows() {
    let scratch = Scratch::new().await;
    let open = async || scratch.store().await;
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
    let mut database = scratch.connection().await;
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
#[ignore = "needs postgres"]
async fn artifacts_that_an_earlier_schema_left_out_are_found_in_events() {
    let scratch = Scratch::new().await;
    let store = scratch.store().await;
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
    store.close().await;
    let mut database = scratch.connection().await;
    for back in ["DELETE FROM artifacts", "DELETE FROM _sqlx_migrations WHERE version = 6"] {
        sqlx::query(back).execute(&mut database).await.unwrap();
    }
    let store = scratch.store().await;
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
