//! What a crash at any byte leaves, and what must be refused.

use std::fs;
use std::num::NonZeroU32;
use std::path::Path;

use jiff::Timestamp;
use tempfile::TempDir;

use super::super::MemoryStore;
use crate::artifact::{BlobStore, CacheStore, blob_of};
use crate::event::{Event, EventBody, RunStatus};
use crate::executor::LogCursor;
use crate::id::{Digest, FencingToken, JobId, RunId, TenantId};
use crate::job::Stream;
use crate::pipeline::{PipelineSpec, RunContext};
use crate::store::{
    Claim, Enqueue, Lease, LogAppend, LogChunk, LogStore, NewRun, QueueStore, RunFilter, RunStore, Share, StoreError,
};

fn new_run(pipeline: &str) -> NewRun {
    NewRun::new(
        PipelineSpec { name: pipeline.into(), ..PipelineSpec::default() },
        RunContext::manual(),
        Timestamp::UNIX_EPOCH,
    )
}

fn event(seq: u64) -> Event {
    let body = EventBody::AttemptStarted { stage: "build".into(), attempt: 1, executor: "local".into() };
    Event { seq, time: Timestamp::UNIX_EPOCH, body }
}

const TOKEN: FencingToken = FencingToken(1);

fn chunk(first_line: u64, text: &'static str) -> LogChunk {
    let lines = u32::try_from(text.matches('\n').count()).unwrap();
    LogChunk { first_line, lines, time: Timestamp::UNIX_EPOCH, stream: Stream::Stdout, text: text.into() }
}

async fn append_log(store: &MemoryStore, job: &JobId, chunks: &[LogChunk]) -> Result<(), StoreError> {
    let before = store.log_cursor(job).await?;
    let line = chunks.last().unwrap().last_line();
    let bytes: usize = chunks.iter().map(|chunk| chunk.text.len()).sum();
    let cursor = LogCursor { stdout: before.stdout + bytes as u64, stderr: 7, line };
    store.append_log(LogAppend { job, token: TOKEN, expected_line: before.line, chunks, cursor }).await
}

fn open(folder: &TempDir) -> MemoryStore {
    MemoryStore::journaled(folder.path()).unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn everything_is_there_after_the_folder_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let (first, second) = (new_run("p"), new_run("p"));
    store.create_run(first.clone()).await.unwrap();
    store.create_run(second.clone()).await.unwrap();
    let until = "2030-01-01T00:00:00Z".parse().unwrap();
    let lease = |worker: &str| Lease { worker: worker.into(), until };
    let token = store.lease_run(first.id, lease("one"), Timestamp::UNIX_EPOCH).await.unwrap();
    store.append(first.id, 0, token, [event(1), event(2)].into()).await.unwrap();
    let finished = Event { body: EventBody::RunFinished { status: RunStatus::Failed }, ..event(3) };
    store.append(first.id, 2, token, [finished].into()).await.unwrap();
    store.close_run(first.id, token).await.unwrap();
    let job = JobId { run: second.id, stage: "a/ü".into(), attempt: 1 };
    append_log(&store, &job, &[chunk(1, "one\ntwo\n"), chunk(3, "three\n")]).await.unwrap();
    let (digest, _) = store.put(blob_of("blob")).await.unwrap();
    store.save_cache("scope", "key", digest, 5).await.unwrap();
    let waiting = Enqueue {
        run: second.id,
        tenant: TenantId::new(),
        priority: 3,
        scheduled_for: Timestamp::UNIX_EPOCH,
        max_attempts: 2,
    };
    store.enqueue(waiting).await.unwrap();
    let lists = (store.runs(&RunFilter::default(), 10).await.unwrap(), store.open_runs().await.unwrap());
    drop(store);

    let store = open(&folder);
    assert_eq!((store.runs(&RunFilter::default(), 10).await.unwrap(), store.open_runs().await.unwrap()), lists);
    assert_eq!(store.run(first.id).await.unwrap().run, first);
    assert_eq!(store.events(first.id, 1, 1).await.unwrap().events, [event(2)]);
    assert_eq!(store.log_cursor(&job).await.unwrap(), LogCursor { stdout: 14, stderr: 7, line: 3 });
    let page = store.read_log(&job, 1, usize::MAX).await.unwrap();
    assert_eq!(page.chunks, [LogChunk { first_line: 2, ..chunk(2, "two\n") }, chunk(3, "three\n")]);
    assert_eq!(store.logs_of_run(second.id).await.unwrap(), [job]);
    assert_eq!(fs::read(store.local_path(&digest).unwrap()).unwrap(), b"blob");
    assert_eq!(store.find_cache("scope", "key", &[]).await.unwrap().unwrap().archive, digest);
    let claim = Claim { worker: "two".into(), limit: 5, lease: std::time::Duration::from_secs(5) };
    assert_eq!(store.claim(claim, Timestamp::UNIX_EPOCH).await.unwrap()[0].run, second.id);
    let stale = store.append(second.id, 0, FencingToken(0), [event(1)].into()).await;
    assert!(matches!(stale, Err(StoreError::Fenced)), "{stale:?}");
    let third = store.create_run(new_run("p")).await.unwrap();
    assert_eq!(third.number, 3);
}

#[tokio::test]
async fn a_lease_ends_with_its_process_and_its_token_still_fences() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let run = new_run("p");
    store.create_run(run.clone()).await.unwrap();
    let lease = |worker: &str| Lease { worker: worker.into(), until: Timestamp::MAX };
    let old = store.lease_run(run.id, lease("old"), Timestamp::UNIX_EPOCH).await.unwrap();
    drop(store);
    let store = open(&folder);
    let new = store.lease_run(run.id, lease("new"), Timestamp::UNIX_EPOCH).await.unwrap();
    assert!(new > old);
    assert!(matches!(store.append(run.id, 0, old, [event(1)].into()).await, Err(StoreError::Fenced)));
}

/// A file that was cut at any byte, as `kill -9` in the middle of a write leaves it, has what was whole before.
#[tokio::test]
async fn g2_a_run_cut_at_any_byte_has_the_events_that_were_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let run = new_run("p");
    store.create_run(run.clone()).await.unwrap();
    let path = folder.path().join("runs").join(run.id.to_string());
    let mut ends = vec![fs::metadata(&path).unwrap().len()];
    for seq in [1, 3] {
        store.append(run.id, seq - 1, TOKEN, [event(seq), event(seq + 1)].into()).await.unwrap();
        ends.push(fs::metadata(&path).unwrap().len());
    }
    drop(store);
    let whole = fs::read(&path).unwrap();
    for cut in 0..=whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let store = open(&folder);
        let confirmed = ends.iter().filter(|&&end| end <= cut as u64).count();
        if confirmed == 0 {
            assert!(matches!(store.run(run.id).await, Err(StoreError::NoRun(_))));
            assert_eq!(store.create_run(new_run("p")).await.unwrap().number, 1);
            drop(store);
            fs::remove_dir_all(folder.path().join("runs")).unwrap();
            fs::create_dir(folder.path().join("runs")).unwrap();
            fs::remove_file(folder.path().join("index")).unwrap();
            continue;
        }
        let seq = (confirmed as u64 - 1) * 2;
        assert_eq!(store.run(run.id).await.unwrap().last_seq, seq, "cut at {cut}");
        assert_eq!(store.open_runs().await.unwrap(), [run.id]);
        store.append(run.id, seq, TOKEN, [event(seq + 1)].into()).await.unwrap();
        let events = store.events(run.id, 0, 100).await.unwrap().events;
        assert_eq!(events, (1..=seq + 1).map(event).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn g3_a_log_cut_at_any_byte_has_the_lines_that_were_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let run = new_run("p");
    store.create_run(run.clone()).await.unwrap();
    let job = JobId { run: run.id, stage: "a".into(), attempt: 1 };
    append_log(&store, &job, &[chunk(1, "one\n"), chunk(2, "two\n")]).await.unwrap();
    let logs = folder.path().join("logs").join(run.id.to_string());
    let path = fs::read_dir(logs).unwrap().next().unwrap().unwrap().path();
    let first = fs::metadata(&path).unwrap().len() as usize;
    append_log(&store, &job, &[chunk(3, "three\n"), chunk(4, "four\n")]).await.unwrap();
    drop(store);
    let whole = fs::read(&path).unwrap();
    for cut in 0..=whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let store = open(&folder);
        let line = if cut < first {
            0
        } else if cut < whole.len() {
            2
        } else {
            4
        };
        assert_eq!(store.log_cursor(&job).await.unwrap().line, line, "cut at {cut}");
        append_log(&store, &job, &[chunk(line + 1, "next\n")]).await.unwrap();
        let page = store.read_log(&job, 0, usize::MAX).await.unwrap();
        let text: Vec<u8> = page.chunks.iter().flat_map(|chunk| chunk.text.to_vec()).collect();
        let stored = ["one\n", "two\n", "three\n", "four\n"][..usize::try_from(line).unwrap()].concat() + "next\n";
        assert_eq!(String::from_utf8(text).unwrap(), stored);
    }
}

#[tokio::test]
async fn damage_before_the_end_is_reported_and_nothing_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let run = new_run("p");
    store.create_run(run.clone()).await.unwrap();
    store.append(run.id, 0, TOKEN, [event(1)].into()).await.unwrap();
    let job = JobId { run: run.id, stage: "a".into(), attempt: 1 };
    append_log(&store, &job, &[chunk(1, "one\n")]).await.unwrap();
    append_log(&store, &job, &[chunk(2, "two\n")]).await.unwrap();
    drop(store);
    let path = folder.path().join("runs").join(run.id.to_string());
    let whole = fs::read(&path).unwrap();
    for place in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x20;
        fs::write(&path, &damaged).unwrap();
        let error = MemoryStore::journaled(folder.path()).map(drop).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt(_)), "byte {place}: {error}");
        assert_eq!(fs::read(&path).unwrap(), damaged, "byte {place}");
    }
    fs::write(&path, &whole).unwrap();
    let logs = folder.path().join("logs").join(run.id.to_string());
    let path = fs::read_dir(logs).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&path).unwrap();
    for place in 0..whole.len() - "two\n".len() {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x20;
        fs::write(&path, &damaged).unwrap();
        let read = async {
            let store = MemoryStore::journaled(folder.path())?;
            store.log_cursor(&job).await?;
            store.read_log(&job, 0, usize::MAX).await
        };
        let read = read.await;
        assert!(matches!(read, Err(StoreError::Corrupt(_))), "byte {place}: {read:?}");
        assert_eq!(fs::read(&path).unwrap(), damaged, "byte {place}");
    }
}

#[tokio::test]
async fn an_index_that_is_lost_or_damaged_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    for _ in 0..3 {
        store.create_run(new_run("p")).await.unwrap();
    }
    let runs = store.runs(&RunFilter::default(), 10).await.unwrap();
    drop(store);
    let index = folder.path().join("index");
    let whole = fs::read(&index).unwrap();
    let damages: [&dyn Fn(); 3] =
        [&|| fs::remove_file(&index).unwrap(), &|| fs::write(&index, &whole[..whole.len() / 2]).unwrap(), &|| {
            fs::write(&index, vec![b'x'; whole.len()]).unwrap()
        }];
    for damage in damages {
        damage();
        let store = open(&folder);
        assert_eq!(store.runs(&RunFilter::default(), 10).await.unwrap(), runs);
        assert_eq!(store.open_runs().await.unwrap().len(), 3);
    }
}

#[tokio::test]
async fn a_folder_in_use_a_newer_format_and_another_folder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let error = MemoryStore::journaled(folder.path()).unwrap_err();
    assert!(error.to_string().ends_with(&format!("is in use by process {}", std::process::id())), "{error}");
    drop(store);
    fs::write(folder.path().join("FORMAT"), "buildit-journal 4\n").unwrap();
    let error = MemoryStore::journaled(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 4, supported: 3 }), "{error}");
    // One of a format before is taken further.
    for format in ["buildit-journal 1\n", "buildit-journal 2\n"] {
        fs::write(folder.path().join("FORMAT"), format).unwrap();
        drop(open(&folder));
        assert_eq!(fs::read_to_string(folder.path().join("FORMAT")).unwrap(), "buildit-journal 3\n");
    }
    fs::write(folder.path().join("FORMAT"), "something else").unwrap();
    assert!(matches!(MemoryStore::journaled(folder.path()), Err(StoreError::Corrupt(_))));
    fs::remove_file(folder.path().join("FORMAT")).unwrap();
    assert!(matches!(MemoryStore::journaled(folder.path()), Err(StoreError::Corrupt(_))));
    fs::write(folder.path().join("file"), "").unwrap();
    let error = MemoryStore::journaled(folder.path().join("file/within")).unwrap_err();
    assert!(matches!(error, StoreError::Backend { .. }), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_it() {
    use std::os::unix::fs::PermissionsExt;

    fn check(path: &Path) {
        let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
        if path.is_dir() {
            fs::read_dir(path).unwrap().for_each(|entry| check(&entry.unwrap().path()));
        }
    }

    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("new");
    let store = MemoryStore::journaled(&root).unwrap();
    let run = new_run("p");
    store.create_run(run.clone()).await.unwrap();
    append_log(&store, &JobId { run: run.id, stage: "a".into(), attempt: 1 }, &[chunk(1, "x\n")]).await.unwrap();
    store.put(blob_of("blob")).await.unwrap();
    check(&root);
}

#[tokio::test]
async fn a_blob_is_there_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let (digest, length) = store.put(blob_of("some bytes")).await.unwrap();
    assert_eq!((digest, length), (Digest::of(b"some bytes"), 10));
    let tmp = folder.path().join("tmp");
    assert_eq!(fs::read_dir(&tmp).unwrap().count(), 0, "nothing unfinished is left");
    fs::write(store.local_path(&digest).unwrap(), "other bytes").unwrap();
    let mut content = store.open(&digest).await.unwrap();
    let mut last = None;
    while let Some(piece) = std::future::poll_fn(|cx| content.as_mut().poll_next(cx)).await {
        last = Some(piece);
    }
    assert!(matches!(last, Some(Err(crate::artifact::BlobError::Corrupt(bad))) if bad == digest));
    drop(store);
    fs::write(tmp.join("left"), "by a crash").unwrap();
    open(&folder);
    assert_eq!(fs::read_dir(&tmp).unwrap().count(), 0);
}

#[tokio::test]
async fn closed_runs_are_not_read_until_they_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let mut runs = Vec::new();
    for _ in 0..40 {
        let run = new_run("p");
        store.create_run(run.clone()).await.unwrap();
        let finished = Event { body: EventBody::RunFinished { status: RunStatus::Succeeded }, ..event(1) };
        store.append(run.id, 0, TOKEN, [finished].into()).await.unwrap();
        store.close_run(run.id, TOKEN).await.unwrap();
        runs.push(run);
    }
    for run in &runs {
        assert_eq!(store.run(run.id).await.unwrap().last_seq, 1, "also when it has left memory");
    }
    drop(store);
    let copied = tempfile::tempdir().unwrap();
    copy(folder.path(), copied.path());
    for run in &runs {
        fs::write(copied.path().join("runs").join(run.id.to_string()), "not read").unwrap();
    }
    let store = open(&copied);
    assert_eq!(store.runs(&RunFilter::of_pipeline("p"), 100).await.unwrap().len(), 40);
    assert_eq!(store.create_run(new_run("p")).await.unwrap().number, 41);
    assert!(store.run(runs[0].id).await.is_err());
}

#[tokio::test]
async fn a_queue_that_was_written_anew_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut queue = super::super::queue::Queue::default();
    let runs: Vec<RunId> = (0..6).map(|_| RunId::new()).collect();
    use super::super::queue::QueueChange as Change;
    let tenant = TenantId::new();
    for (run, priority) in runs.iter().zip([0, 5, 0, 1, 2, 0]) {
        let job = Enqueue { run: *run, tenant, priority, scheduled_for: Timestamp::UNIX_EPOCH, max_attempts: 2 };
        queue.apply(Change::Added(job));
    }
    queue.apply(Change::Taken { run: runs[4] });
    let share = Share { max_running: NonZeroU32::new(3), ..Share::default() };
    queue.apply(Change::Shared { tenant, share });
    queue.apply(Change::Taken { run: runs[0] });
    queue.apply(Change::GivenBack { run: runs[0], at: "2026-01-01T00:00:00Z".parse().unwrap() });
    queue.apply(Change::Died { run: runs[3] });
    queue.apply(Change::Removed { run: runs[1] });
    let opened = super::Folder::open(folder.path()).unwrap();
    let mut file = super::ChangeFile::open(&opened, "queue", |_: Change| {}).unwrap();
    file.replace(&queue.as_changes()).unwrap();
    let mut again = super::super::queue::Queue::default();
    super::ChangeFile::open(&opened, "queue", |change| again.apply(change)).unwrap();
    let seen = |queue: &mut super::super::queue::Queue| {
        queue.look(Timestamp::MAX);
        let waiting =
            queue.lines().map(|(tenant, line)| (tenant, line.share(), line.waiting.values().copied().collect()));
        let waiting: Vec<(TenantId, Share, Vec<RunId>)> = waiting.collect();
        let entries: Vec<_> = runs.iter().map(|run| queue.entry(*run).map(|e| (e.taken, e.scheduled_for))).collect();
        (waiting, entries, queue.taken().map(|(run, _)| run).collect::<Vec<_>>(), queue.dead_letters())
    };
    assert_eq!(seen(&mut again), seen(&mut queue));
}
