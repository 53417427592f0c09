//! Workspaces that are laid out ahead.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use buildit::executor::{CacheInput, Executor, JobInputs};
use buildit::id::Digest;
use buildit::job::{JobOutcome, JobSpec, Stream};

use crate::World;
use crate::host::{context, job};

fn source(world: &World, text: &str) -> Digest {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(text.len() as u64);
    tar.append_data(&mut header, "file", text.as_bytes()).unwrap();
    world.blobs.add(tar.into_inner().unwrap())
}

async fn run(world: &World, job: &JobSpec, source: Digest, successors: usize) -> JobOutcome {
    let inputs = JobInputs { source: Some(source), ..JobInputs::default() };
    let ctx = context(&world.host, &world.blobs).inputs(inputs).successors(successors).build();
    world.executor.run(job, ctx).await.unwrap()
}

/// The half-made jobs.
fn drafts(world: &World) -> Vec<PathBuf> {
    let entries = fs::read_dir(world.state.path().join("jobs")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(".new-")).collect()
}

/// Another job of the same run, with a log of its own.
fn next(world: &mut World, first: &JobSpec, commands: &[&str]) -> JobSpec {
    world.host = Default::default();
    let mut next = job(commands);
    next.id.run = first.id.run;
    next.id.stage = "next".into();
    next
}

#[tokio::test]
async fn the_next_job_of_the_run_takes_what_was_laid_out_ahead() {
    let mut world = World::new();
    let source = source(&world, "one\n");
    // What it does in its own workspace is not seen in the next one.
    let first = job(&["cat file; echo changed >file; touch more"]);
    assert_eq!(run(&world, &first, source, 1).await, JobOutcome::succeeded());
    assert_eq!(drafts(&world).len(), 1);
    let second = next(&mut world, &first, &["cat file; ls"]);
    assert_eq!(run(&world, &second, source, 0).await, JobOutcome::succeeded());
    assert_eq!(world.host.text(Stream::Stdout), "one\nfile\n");
    assert_eq!(drafts(&world), Vec::<PathBuf>::new());
    world.executor.release(&first.id).await.unwrap();
    world.leaves_nothing(&second).await;
}

/// A restored cache may be younger than what was laid out before it was saved, and tools that compare times would take
/// the source for built.
#[tokio::test]
async fn a_job_that_restores_a_cache_gets_a_source_of_its_own() {
    let mut world = World::new();
    let source = source(&world, "one\n");
    let first = job(&["true"]);
    assert_eq!(run(&world, &first, source, 1).await, JobOutcome::succeeded());
    let ahead = drafts(&world);
    let second = next(&mut world, &first, &["cat file"]);
    let cache = CacheInput {
        name: "build".into(),
        paths: vec!["target".into()],
        key: "key".into(),
        archive: None,
        exact: false,
    };
    let inputs = JobInputs { source: Some(source), caches: vec![cache], ..JobInputs::default() };
    let ctx = context(&world.host, &world.blobs).inputs(inputs).build();
    assert_eq!(world.executor.run(&second, ctx).await.unwrap(), JobOutcome::succeeded());
    assert_eq!(world.host.text(Stream::Stdout), "one\n");
    assert_eq!(drafts(&world), ahead);
    world.executor.release(&first.id).await.unwrap();
    world.leaves_nothing(&second).await;
}

#[tokio::test]
async fn what_nobody_takes_goes_with_the_run() {
    let mut world = World::new();
    let (one, two) = (source(&world, "one\n"), source(&world, "two\n"));
    let first = job(&["true"]);
    assert_eq!(run(&world, &first, one, 3).await, JobOutcome::succeeded());
    let other = next(&mut world, &first, &["cat file"]);
    assert_eq!(run(&world, &other, two, 3).await, JobOutcome::succeeded());
    assert_eq!(world.host.text(Stream::Stdout), "two\n");
    world.executor.release(&first.id).await.unwrap();
    world.leaves_nothing(&other).await;
}

#[tokio::test]
async fn a_source_that_is_broken_or_gone_is_found_out_by_the_job_that_needs_it() {
    let mut world = World::new();
    let first = job(&["true"]);
    let source = source(&world, "one\n");
    world.executor.reap(first.id.run).await.unwrap();
    assert_eq!(run(&world, &first, source, 0).await, JobOutcome::succeeded());
    assert_eq!(drafts(&world), Vec::<PathBuf>::new(), "nothing was to come");
    world.blobs.remove(&source);
    let second = next(&mut world, &first, &["true"]);
    let inputs = JobInputs { source: Some(source), ..JobInputs::default() };
    let ctx = context(&world.host, &world.blobs).inputs(inputs).successors(1).build();
    let refused = tokio::time::timeout(Duration::from_secs(30), world.executor.run(&second, ctx)).await.unwrap();
    assert!(refused.is_err() || refused.is_ok_and(|outcome| outcome != JobOutcome::succeeded()));
    world.executor.release(&first.id).await.unwrap();
    world.leaves_nothing(&second).await;
}

#[tokio::test]
async fn what_nobody_takes_goes_with_its_engine_and_what_a_crash_leaves_with_the_next_one() {
    let mut world = World::new();
    let source = source(&world, "one\n");
    let first = job(&["true"]);
    assert_eq!(run(&world, &first, source, 1).await, JobOutcome::succeeded());
    let left = drafts(&world);
    assert_eq!(left.len(), 1);
    // A later engine removes what one that was killed has left.
    let killed =
        world.state.path().join("jobs").join(format!("{}-killed", left[0].file_name().unwrap().to_str().unwrap()));
    fs::create_dir(&killed).unwrap();
    fs::write(killed.join("stdout"), "").unwrap();
    world.executor = World::executor(&world.state);
    for _ in 0..1000 {
        if !left[0].exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(drafts(&world), [killed]);
    world.leaves_nothing(&first).await;
}
