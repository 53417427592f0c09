//! Clauses about what is referred to, and about letting go of it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::clause::{Broken, clauses, ensure, ensure_eq, ensure_refused};
use super::samples::{FIRST, at, event, new_run};
use super::{Clause, Referring};
use crate::artifact::{BlobError, RemoveBlobs, blob_of};
use crate::event::{EventBody, StageResult, TakenResult};
use crate::id::Digest;
use crate::job::{Artifact, JobOutcome, JobProducts};
use crate::run::CarriedStage;
use crate::store::NewRun;

pub(super) fn reference_clauses() -> Vec<Clause<dyn Referring>> {
    clauses![
        the_source_of_a_run_is_referred_to,
        what_any_attempt_left_is_referred_to,
        what_a_run_goes_on_from_is_referred_to,
        artifacts_of_one_name_are_all_referred_to,
        the_archive_of_a_cache_is_referred_to,
        what_was_deleted_is_referred_to_no_more,
        references_are_told_of_many_at_once,
    ]
}

pub(super) fn removal_clauses() -> Vec<Clause<dyn RemoveBlobs>> {
    clauses![
        blobs_are_listed_by_their_first_byte,
        a_removed_blob_is_gone_and_can_be_put_again,
        a_blob_that_was_put_too_lately_stays,
        a_blob_that_is_held_stays,
        a_blob_that_is_put_again_stays,
        a_sweep_removes_no_blob,
    ]
}

fn artifact(name: &str) -> Artifact {
    Artifact { name: name.to_owned(), digest: Digest::of(name.as_bytes()), bytes: 3, paths: vec![name.to_owned()] }
}

async fn referred(store: &Arc<dyn Referring>, names: &[&str]) -> Result<HashSet<Digest>, Broken> {
    let digests: Vec<Digest> = names.iter().map(|name| Digest::of(name.as_bytes())).collect();
    Ok(store.referred(&digests).await?)
}

fn digests(names: &[&str]) -> HashSet<Digest> {
    names.iter().map(|name| Digest::of(name.as_bytes())).collect()
}

async fn the_source_of_a_run_is_referred_to(store: Arc<dyn Referring>) -> Result<(), Broken> {
    ensure_eq!(referred(&store, &["source", "other"]).await?, digests(&[]), "what an empty store refers to");
    store.create_run(new_run("sample", at(0))).await?;
    ensure_eq!(referred(&store, &["source", "other"]).await?, digests(&["source"]), "what a new run refers to");
    Ok(())
}

/// A run whose first attempt failed and whose second did not.
async fn two_attempts(store: &Arc<dyn Referring>) -> Result<crate::RunId, Broken> {
    let run = new_run("sample", at(0));
    let id = run.id;
    store.create_run(run).await?;
    let finished = |attempt, names: &[&str], reports: Option<&str>| {
        let artifacts = names.iter().map(|name| artifact(name)).collect();
        let products = JobProducts { artifacts, reports: reports.map(artifact), ..JobProducts::default() };
        let outcome = if attempt == 1 { JobOutcome::failed(1) } else { JobOutcome::succeeded() };
        EventBody::AttemptFinished { stage: "build".into(), attempt, outcome: outcome.with_products(products) }
    };
    let started = |attempt| EventBody::AttemptStarted { stage: "build".into(), attempt, executor: "local".into() };
    let bodies = [
        EventBody::RunStarted,
        started(1),
        finished(1, &["a"], Some("junit")),
        started(2),
        finished(2, &["b", "c"], None),
        EventBody::RunFinished { status: crate::RunStatus::Succeeded },
    ];
    let events: Vec<_> = bodies.into_iter().zip(1..).map(|(body, seq)| event(seq, body)).collect();
    store.append(id, 0, FIRST, events.into()).await?;
    Ok(id)
}

async fn what_any_attempt_left_is_referred_to(store: Arc<dyn Referring>) -> Result<(), Broken> {
    let run = two_attempts(&store).await?;
    let all = ["a", "b", "c", "junit"];
    ensure_eq!(referred(&store, &[&all[..], &["d"]].concat()).await?, digests(&all), "what attempts have left");
    store.close_run(run, FIRST).await?;
    ensure_eq!(referred(&store, &all).await?, digests(&all), "what the attempts of a closed run have left");
    Ok(())
}

/// Before any event says so: the run may wait for long.
async fn what_a_run_goes_on_from_is_referred_to(store: Arc<dyn Referring>) -> Result<(), Broken> {
    let products = JobProducts { artifacts: vec![artifact("early")], ..JobProducts::default() };
    let taken = TakenResult {
        key: None,
        run: crate::RunId::new(),
        stage: "build".into(),
        attempt: 1,
        products: Some(Box::new(products)),
    };
    let carried = CarriedStage { stage: "build".into(), result: StageResult::succeeded(), taken };
    let run = NewRun { carried: [carried].into(), ..new_run("sample", at(0)) };
    store.create_run(run).await?;
    ensure_eq!(referred(&store, &["early", "late"]).await?, digests(&["early"]), "what a rerun goes on from");
    Ok(())
}

/// Names say nothing of what is in it, and a store may shorten them.
async fn artifacts_of_one_name_are_all_referred_to(store: Arc<dyn Referring>) -> Result<(), Broken> {
    let long = "x".repeat(2000);
    let named = |name: &str, content: &str| Artifact { digest: Digest::of(content.as_bytes()), ..artifact(name) };
    let products = |contents: [&str; 4]| JobProducts {
        artifacts: vec![
            named("app", contents[0]),
            named("app", contents[1]),
            named(&format!("{long}1"), contents[2]),
            named(&format!("{long}2"), contents[3]),
        ],
        ..JobProducts::default()
    };
    let (left, early) = (["one", "two", "three", "four"], ["once", "twice", "thrice", "again"]);
    let taken = TakenResult {
        key: None,
        run: crate::RunId::new(),
        stage: "build".into(),
        attempt: 1,
        products: Some(Box::new(products(early))),
    };
    let carried = CarriedStage { stage: "build".into(), result: StageResult::succeeded(), taken };
    let run = NewRun { carried: [carried].into(), ..new_run("sample", at(0)) };
    let id = run.id;
    store.create_run(run).await?;
    ensure_eq!(referred(&store, &early).await?, digests(&early), "what a rerun goes on from");
    let outcome = JobOutcome::succeeded().with_products(products(left));
    let finished = EventBody::AttemptFinished { stage: "build".into(), attempt: 1, outcome };
    let events = [EventBody::RunStarted, finished].into_iter().zip(1..).map(|(body, seq)| event(seq, body));
    store.append(id, 0, FIRST, events.collect()).await?;
    ensure_eq!(referred(&store, &left).await?, digests(&left), "what an attempt has left");
    Ok(())
}

async fn the_archive_of_a_cache_is_referred_to(store: Arc<dyn Referring>) -> Result<(), Broken> {
    store.save_cache("s", "key", Digest::of(b"archive"), 7).await?;
    ensure_eq!(referred(&store, &["archive", "key"]).await?, digests(&["archive"]), "what a cache refers to");
    Ok(())
}

async fn what_was_deleted_is_referred_to_no_more(store: Arc<dyn Referring>) -> Result<(), Broken> {
    let run = two_attempts(&store).await?;
    let other = new_run("other", at(1));
    store.create_run(other).await?;
    ensure_eq!(referred(&store, &["a", "junit"]).await?, digests(&["a", "junit"]), "what is there");
    store.close_run(run, FIRST).await?;
    store.delete_run(run).await?;
    let left = referred(&store, &["a", "b", "junit", "source"]).await?;
    ensure_eq!(left, digests(&["source"]), "what is left, the source being that of another run, too");
    Ok(())
}

async fn references_are_told_of_many_at_once(store: Arc<dyn Referring>) -> Result<(), Broken> {
    two_attempts(&store).await?;
    let mut many: Vec<Digest> = (0..3000_u32).map(|number| Digest::of(&number.to_le_bytes())).collect();
    many.extend([Digest::of(b"a"), Digest::of(b"a"), Digest::of(b"source")]);
    ensure_eq!(store.referred(&many).await?, digests(&["a", "source"]), "those of many that are referred to");
    ensure_eq!(store.referred(&[]).await?, digests(&[]), "those of none");
    Ok(())
}

/// A time after all that is put in a test, and one before it.
const LATER: Timestamp = Timestamp::constant(32_503_680_000, 0);
const EARLIER: Timestamp = Timestamp::UNIX_EPOCH;

async fn all(store: &Arc<dyn RemoveBlobs>) -> Result<HashSet<(Digest, u64)>, Broken> {
    let mut all = HashSet::new();
    for first in 0..=u8::MAX {
        for blob in store.blobs(first).await? {
            ensure_eq!(blob.digest.as_bytes()[0], first, "the first byte of a blob that is listed under it");
            ensure!(all.insert((blob.digest, blob.bytes)), "{:?} is listed twice", blob.digest);
        }
    }
    Ok(all)
}

/// When a blob was put, as its store tells.
async fn put_at(store: &Arc<dyn RemoveBlobs>, digest: &Digest) -> Result<Timestamp, Broken> {
    let blobs = store.blobs(digest.as_bytes()[0]).await?;
    let found = blobs.iter().find(|blob| blob.digest == *digest);
    found.map(|blob| blob.put_at).ok_or_else(|| Broken(format!("{digest:?} is not listed")))
}

async fn blobs_are_listed_by_their_first_byte(store: Arc<dyn RemoveBlobs>) -> Result<(), Broken> {
    let mut expected = HashSet::new();
    for number in 0..40_usize {
        let (digest, bytes) = store.put(blob_of(vec![b'x'; number])).await?;
        expected.insert((digest, bytes));
    }
    ensure_eq!(all(&store).await?, expected, "all blobs");
    Ok(())
}

async fn a_removed_blob_is_gone_and_can_be_put_again(store: Arc<dyn RemoveBlobs>) -> Result<(), Broken> {
    let (digest, _) = store.put(blob_of("bytes")).await?;
    let (other, _) = store.put(blob_of("others")).await?;
    ensure!(store.remove_blob(&digest, LATER).await?, "the blob is said to be there still");
    ensure!(!store.contains(&digest).await?, "the blob is there still");
    ensure_refused!(store.open(&digest).await.map(drop), BlobError::Missing(_), "opening it");
    ensure_eq!(all(&store).await?, HashSet::from([(other, 6)]), "what is listed");
    ensure!(store.remove_blob(&digest, LATER).await?, "a blob that is not there is said to be there");
    ensure!(!store.hold(&digest).await?, "a blob that is not there can be held");
    store.put(blob_of("bytes")).await?;
    ensure!(store.contains(&digest).await?, "the blob that was put again is not there");
    Ok(())
}

async fn a_blob_that_was_put_too_lately_stays(store: Arc<dyn RemoveBlobs>) -> Result<(), Broken> {
    let (digest, _) = store.put(blob_of("bytes")).await?;
    for before in [EARLIER, put_at(&store, &digest).await?] {
        ensure!(!store.remove_blob(&digest, before).await?, "a blob that was put later is said to be gone");
        ensure!(store.contains(&digest).await?, "a blob that was put later is gone");
    }
    Ok(())
}

async fn a_blob_that_is_held_stays(store: Arc<dyn RemoveBlobs>) -> Result<(), Broken> {
    stays(&store, Use::Hold).await
}

async fn a_blob_that_is_put_again_stays(store: Arc<dyn RemoveBlobs>) -> Result<(), Broken> {
    stays(&store, Use::Put).await
}

/// How a blob is used anew.
#[derive(Clone, Copy)]
enum Use {
    Hold,
    Put,
}

/// Tries out that a blob stays which is used anew after it was put. Clocks of stores are coarse, so it is used for
/// longer and longer.
async fn stays(store: &Arc<dyn RemoveBlobs>, how: Use) -> Result<(), Broken> {
    for power in 0..9 {
        let (digest, _) = store.put(blob_of("bytes")).await?;
        let first = put_at(store, &digest).await?;
        let until = Instant::now() + Duration::from_millis(1 << power);
        while Instant::now() < until {
            match how {
                Use::Hold => ensure!(store.hold(&digest).await?, "the blob is not there to be held"),
                Use::Put => drop(store.put(blob_of("bytes")).await?),
            }
        }
        let after = first.saturating_add(Duration::from_nanos(1)).unwrap_or(first);
        if !store.remove_blob(&digest, after).await? {
            ensure!(store.contains(&digest).await?, "the blob is gone, and said to be there");
            return Ok(());
        }
    }
    Err(Broken("a blob is removed although it was used lately".into()))
}

async fn a_sweep_removes_no_blob(store: Arc<dyn RemoveBlobs>) -> Result<(), Broken> {
    let (digest, _) = store.put(blob_of("bytes")).await?;
    store.sweep_blobs(LATER).await?;
    ensure!(store.contains(&digest).await?, "the blob is gone");
    Ok(())
}
