//! Databases that earlier versions wrote: what is in them, and that this version finds it there.
//!
//! Before a schema is added, the test `write` of either store, run with `BUILDIT_WRITE_EARLIER` as the file to write,
//! makes the database of the schema before it; it is committed beside this file, compressed, and never made anew.
#![allow(dead_code, clippy::allow_attributes, reason = "each store's tests use a part of it")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use buildit::artifact::CacheStore;
use buildit::event::{Event, EventBody, RunStatus, StageResult};
use buildit::executor::LogCursor;
use buildit::id::{Digest, JobId, RunId, TenantId};
use buildit::job::{Artifact, JobOutcome, JobProducts, Stream};
use buildit::pipeline::{PipelineBuilder, RunContext, StageBuilder};
use buildit::store::{Claim, Enqueue, Lease, LogAppend, LogChunk, NewRun, RunFilter, Store};
use jiff::Timestamp;
use uuid::Uuid;

/// The runs of it, by what became of them.
const ENDED: u128 = 1;
const OPEN: u128 = 2;
const WAITING: u128 = 3;
const DEAD: u128 = 4;

fn at(second: i64) -> Timestamp {
    Timestamp::new(1_767_225_600 + second, 0).unwrap()
}

fn id(run: u128) -> RunId {
    Uuid::from_u128(run).into()
}

fn job(run: u128) -> JobId {
    JobId { run: id(run), stage: "build".into(), attempt: 1 }
}

fn new_run(run: u128) -> NewRun {
    let stage = StageBuilder::run("build", "make").env("WHO", "Ada \"the\" first");
    NewRun {
        id: id(run),
        source: Some(Digest::of(b"source")),
        executor: Some("local".into()),
        ..NewRun::new(
            PipelineBuilder::new("shop").stage(stage).build(),
            RunContext::manual(),
            at(i64::try_from(run).unwrap()),
        )
    }
}

fn events(run: u128) -> Vec<Event> {
    let app = Artifact { name: "app".into(), digest: Digest::of(b"app"), bytes: 3, paths: vec!["app".into()] };
    let products = JobProducts { artifacts: vec![app], ..JobProducts::default() };
    let outcome = JobOutcome { products: Some(Box::new(products)), ..JobOutcome::succeeded() };
    let mut bodies = vec![
        EventBody::RunStarted,
        EventBody::AttemptStarted { stage: "build".into(), attempt: 1, executor: "local".into() },
    ];
    if run == ENDED {
        bodies.extend([
            EventBody::AttemptFinished { stage: "build".into(), attempt: 1, outcome },
            EventBody::StageFinished { stage: "build".into(), result: StageResult::succeeded() },
            EventBody::RunFinished { status: RunStatus::Succeeded },
        ]);
    }
    bodies.into_iter().zip(1..).map(|(body, seq)| Event { seq, time: at(seq as i64), body }).collect()
}

fn chunk() -> LogChunk {
    let text = b"+ make\nall of it\n".as_slice().into();
    LogChunk { first_line: 1, lines: 2, time: at(3), stream: Stream::Stdout, text }
}

fn waiting(run: u128) -> Enqueue {
    let tenant = TenantId::from(Uuid::from_u128(100));
    Enqueue { run: id(run), tenant, priority: 0, scheduled_for: at(0), max_attempts: 1 }
}

/// Fills an empty store.
pub(crate) async fn fill(store: &(impl Store + CacheStore)) {
    for run in [ENDED, OPEN, WAITING, DEAD] {
        store.create_run(new_run(run)).await.unwrap();
    }
    for run in [ENDED, OPEN] {
        let lease = Lease { worker: "earlier".into(), until: at(60) };
        let token = store.lease_run(id(run), lease, at(0)).await.unwrap();
        store.append(id(run), 0, token, events(run).into()).await.unwrap();
        let cursor = LogCursor { stdout: 17, stderr: 0, line: 2 };
        let append = LogAppend { job: &job(run), token, expected_line: 0, chunks: &[chunk()], cursor };
        store.append_log(append).await.unwrap();
        if run == ENDED {
            store.close_run(id(run), token).await.unwrap();
        }
    }
    store.enqueue(waiting(DEAD)).await.unwrap();
    let claim = Claim { worker: "earlier".into(), limit: 10, lease: Duration::from_secs(30) };
    let taken = store.claim(claim, at(0)).await.unwrap();
    store.give_back(id(DEAD), taken[0].token, at(0)).await.unwrap();
    store.enqueue(waiting(WAITING)).await.unwrap();
    store.save_cache("shop", "cargo-1", Digest::of(b"cache"), 5).await.unwrap();
}

/// Looks for all of it, and goes on with it.
pub(crate) async fn check(store: &(impl Store + CacheStore)) {
    let all: Vec<_> = store
        .runs(&RunFilter::default(), 10)
        .await
        .unwrap()
        .iter()
        .map(|run| (run.id, run.number, run.status))
        .collect();
    let expected = [
        (id(DEAD), 4, RunStatus::Queued),
        (id(WAITING), 3, RunStatus::Queued),
        (id(OPEN), 2, RunStatus::Running),
        (id(ENDED), 1, RunStatus::Succeeded),
    ];
    assert_eq!(all, expected);
    let by_event = RunFilter { event: Some("manual".into()), ..RunFilter::of_pipeline("shop") };
    assert_eq!(
        store.runs(&by_event, 10).await.unwrap(),
        store.runs(&RunFilter::of_tenant(TenantId::NONE), 10).await.unwrap()
    );
    assert_eq!(store.run_by_number(TenantId::NONE, "shop", 2).await.unwrap().id, id(OPEN));
    for run in [ENDED, OPEN] {
        assert_eq!(store.run(id(run)).await.unwrap().run, new_run(run));
        assert_eq!(store.events(id(run), 0, 100).await.unwrap().events, events(run));
        assert_eq!(store.read_log(&job(run), 0, 1 << 20).await.unwrap().chunks, [chunk()]);
        assert_eq!(store.log_cursor(&job(run)).await.unwrap(), LogCursor { stdout: 17, stderr: 0, line: 2 });
    }
    assert_eq!(store.open_runs().await.unwrap(), [id(OPEN), id(WAITING), id(DEAD)]);
    assert_eq!(store.find_cache("shop", "cargo-1", &[]).await.unwrap().unwrap().archive, Digest::of(b"cache"));

    assert_eq!(store.dead_letters().await.unwrap(), [id(DEAD)]);
    let now = Timestamp::now();
    let claim = Claim { worker: "this".into(), limit: 10, lease: Duration::from_secs(30) };
    let taken = store.claim(claim, now).await.unwrap();
    assert_eq!(taken.iter().map(|job| job.run).collect::<Vec<_>>(), [id(WAITING)]);
    store.complete(id(WAITING), taken[0].token).await.unwrap();
    let lease = Lease { worker: "this".into(), until: now.saturating_add(Duration::from_secs(60)).unwrap() };
    let token = store.lease_run(id(OPEN), lease, now).await.unwrap();
    let last = events(ENDED).split_off(2);
    store.append(id(OPEN), 2, token, last.into()).await.unwrap();
    let more = LogChunk { first_line: 3, lines: 1, ..chunk().after(1).unwrap() };
    let cursor = LogCursor { stdout: 27, stderr: 0, line: 3 };
    let append = LogAppend { job: &job(OPEN), token, expected_line: 2, chunks: &[more], cursor };
    store.append_log(append).await.unwrap();
    assert_eq!(store.create_run(new_run(5)).await.unwrap().number, 5);
    store.delete_run(id(ENDED)).await.unwrap();
}

/// The databases of this store, by their schemas, unpacked, the oldest first.
pub(crate) fn databases(kind: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/earlier");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(&format!(".{kind}.zst")) {
            all.push((name, zstd::decode_all(std::fs::File::open(path).unwrap()).unwrap()));
        }
    }
    assert!(!all.is_empty(), "there is the database of schema 1 at least");
    all.sort_by_key(|(name, _)| (name.len(), name.clone()));
    all
}

/// Where a new one is to be written.
pub(crate) fn target() -> Option<PathBuf> {
    std::env::var_os("BUILDIT_WRITE_EARLIER").map(PathBuf::from)
}
