//! The tests of the tests: stores that are broken on purpose, each of which some clause rejects.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use super::{assert_blobs, assert_durable, assert_store, check_blobs, check_durable, check_store};
use crate::artifact::{BlobError, BlobStore, BlobStream, CacheHit, CacheStore, blob_of};
use crate::event::{Event, RunStatus};
use crate::executor::LogCursor;
use crate::id::{Digest, FencingToken, JobId, RunId, TenantId};
use crate::memory::MemoryStore;
use crate::store::{
    Claim, Enqueue, EventPage, Lease, LogAppend, LogPage, LogStore, NewRun, QueueStore, QueuedJob, RunRecord, RunStore,
    RunSummary, StoreError,
};

#[tokio::test]
async fn the_memory_store_conforms() {
    assert_store(async || MemoryStore::new()).await;
    assert_blobs(async || MemoryStore::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_journaled_store_conforms() {
    let folders = Mutex::new(Vec::new());
    let make = async || {
        let folder = tempfile::tempdir().unwrap();
        let store = MemoryStore::journaled(folder.path()).unwrap();
        folders.lock().unwrap().push(folder);
        store
    };
    assert_store(make).await;
    assert_blobs(make).await;
    let folder = tempfile::tempdir().unwrap();
    assert_durable(async || MemoryStore::journaled(folder.path()).unwrap()).await;
}

#[tokio::test]
async fn a_store_that_forgets_is_not_durable() {
    let violations = check_durable(async || MemoryStore::new()).await;
    assert_eq!(violations.iter().map(|violation| violation.clause).collect::<Vec<_>>(), [super::durable::CLAUSE]);
}

/// What a store does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    ForgetsContext,
    CountsAllPipelines,
    CountsTwice,
    TakesIdsTwice,
    InventsRuns,
    ReversesEvents,
    IgnoresLimit,
    SaysStored,
    ClosesGaps,
    IgnoresTokens,
    LeasesAnyway,
    NewTokens,
    OneToken,
    AlwaysRunning,
    OldestFirst,
    ClosesAtTheEnd,
    ClosesAnything,
    KeepsDeleted,
    DeletesAnything,
    DropsReturns,
    ForgetsOffsets,
    WholeChunks,
    EndlessPages,
    AppendsAnywhere,
    RefusesEmptyLogs,
    SortsLogs,
    TakesAnyLog,
    FirstComeFirst,
    Eager,
    Greedy,
    QueuesTwice,
    QueuesAnything,
    SharesRuns,
    NeverAgain,
    LongLeases,
    NeverRenews,
    NeverCompletes,
    BackAtOnce,
    CountsHandOvers,
    NeverDies,
    StaysDead,
    WrongAddress,
    HalfBlobs,
    StoresOnce,
    InventsBlobs,
    KeepsHalves,
    WrongPath,
    BeginningsAreKeys,
    LastBeginning,
    LastCache,
    OneScope,
}

/// Each fault with the clauses that reject it, among others.
const REJECTED: &[(Fault, &[&str])] = &[
    (Fault::ForgetsContext, &["a_run_is_kept_as_it_was_created"]),
    (Fault::CountsAllPipelines, &["runs_of_a_pipeline_are_numbered_from_one"]),
    (Fault::CountsTwice, &["runs_created_at_once_have_different_numbers"]),
    (Fault::TakesIdsTwice, &["an_id_is_taken_once"]),
    (Fault::InventsRuns, &["a_run_that_is_not_there_is_an_error"]),
    (Fault::ReversesEvents, &["events_are_kept_in_order"]),
    (Fault::IgnoresLimit, &["events_are_read_in_pages"]),
    (Fault::SaysStored, &["an_append_elsewhere_is_a_conflict_and_stores_nothing", "one_of_two_appends_at_once_wins"]),
    (Fault::ClosesGaps, &["an_append_with_a_gap_stores_nothing"]),
    (
        Fault::IgnoresTokens,
        &[
            "a_writer_with_a_smaller_token_is_fenced",
            "a_new_lease_fences_the_old_writer",
            "lines_of_a_stale_writer_are_fenced",
            "a_stale_claim_changes_nothing",
        ],
    ),
    (Fault::LeasesAnyway, &["a_lease_that_is_held_is_refused", "a_claim_is_the_lease_on_the_run"]),
    (Fault::NewTokens, &["a_lease_is_renewed_with_the_same_token"]),
    (Fault::OneToken, &["a_lease_that_ended_is_taken_with_a_larger_token"]),
    (Fault::AlwaysRunning, &["the_status_follows_the_events"]),
    (Fault::OldestFirst, &["runs_are_listed_newest_first"]),
    (Fault::ClosesAtTheEnd, &["a_run_is_open_until_it_is_closed"]),
    (Fault::ClosesAnything, &["a_run_is_not_closed_before_its_end_or_by_a_stale_writer"]),
    (
        Fault::KeepsDeleted,
        &["a_deleted_run_is_gone_and_its_number_is_not_given_again", "a_deleted_run_leaves_the_queue"],
    ),
    (Fault::DeletesAnything, &["a_run_that_is_open_is_not_deleted"]),
    (Fault::DropsReturns, &["lines_are_kept_byte_for_byte"]),
    (Fault::ForgetsOffsets, &["the_cursor_moves_with_the_lines"]),
    (Fault::WholeChunks, &["a_log_is_read_from_any_line"]),
    (Fault::EndlessPages, &["a_page_ends_near_its_size"]),
    (Fault::AppendsAnywhere, &["lines_elsewhere_are_a_conflict_and_not_stored"]),
    (Fault::RefusesEmptyLogs, &["a_job_without_a_log_has_an_empty_one"]),
    (Fault::SortsLogs, &["logs_of_a_run_are_listed_in_order_and_kept_apart"]),
    (Fault::TakesAnyLog, &["lines_of_a_run_that_is_not_there_are_refused"]),
    (Fault::FirstComeFirst, &["runs_are_taken_by_priority_and_then_by_age"]),
    (Fault::Eager, &["a_run_is_not_taken_before_its_time"]),
    (Fault::Greedy, &["a_claim_takes_no_more_than_its_limit"]),
    (Fault::QueuesTwice, &["a_run_is_queued_once"]),
    (Fault::QueuesAnything, &["a_run_that_is_not_there_is_not_queued"]),
    (Fault::SharesRuns, &["a_run_is_taken_by_one", "claims_at_once_share_no_run"]),
    (Fault::NeverAgain, &["a_claim_whose_lease_ended_is_taken_again"]),
    (Fault::LongLeases, &["a_claim_is_cut_to_a_minute"]),
    (Fault::NeverRenews, &["a_renewed_claim_is_not_taken_again"]),
    (Fault::NeverCompletes, &["a_completed_run_is_gone"]),
    (Fault::BackAtOnce, &["a_run_that_is_given_back_waits_for_its_time"]),
    (Fault::CountsHandOvers, &["a_run_that_is_handed_over_is_taken_at_once_and_never_dies_of_it"]),
    (
        Fault::NeverDies,
        &["a_run_that_is_given_back_too_often_is_a_dead_letter", "a_run_whose_leases_end_too_often_is_a_dead_letter"],
    ),
    (Fault::StaysDead, &["a_dead_letter_can_be_queued_again"]),
    (Fault::WrongAddress, &["a_blob_has_the_address_of_its_bytes"]),
    (Fault::HalfBlobs, &["a_blob_is_read_as_it_was_written"]),
    (Fault::StoresOnce, &["a_blob_can_be_stored_twice"]),
    (Fault::InventsBlobs, &["a_blob_that_is_not_there_is_missing"]),
    (Fault::KeepsHalves, &["a_blob_that_breaks_off_is_not_kept"]),
    (Fault::WrongPath, &["a_local_path_holds_the_bytes"]),
    (Fault::BeginningsAreKeys, &["a_cache_is_found_by_its_key"]),
    (Fault::LastBeginning, &["the_newest_cache_with_the_first_beginning_is_found"]),
    (Fault::LastCache, &["a_cache_of_one_key_stays"]),
    (Fault::OneScope, &["caches_of_other_scopes_are_not_found"]),
];

#[tokio::test]
async fn every_fault_is_found() {
    for (fault, clauses) in REJECTED {
        let make = async || Broken::new(*fault);
        let mut violations = check_store(make).await;
        violations.extend(check_blobs(make).await);
        let violated: BTreeSet<&str> = violations.iter().map(|violation| violation.clause).collect();
        for clause in *clauses {
            assert!(violated.contains(clause), "{fault:?} passes {clause}; it violates {violated:?}");
        }
    }
}

#[test]
fn every_clause_rejects_a_fault() {
    let rejecting: BTreeSet<&str> = REJECTED.iter().flat_map(|(_, clauses)| clauses.iter().copied()).collect();
    let all = super::store_clauses().iter().map(|clause| clause.name()).collect::<BTreeSet<_>>();
    let blobs = super::blob_clauses().iter().map(|clause| clause.name()).collect::<BTreeSet<_>>();
    let caches = super::cache_clauses().iter().map(|clause| clause.name()).collect::<BTreeSet<_>>();
    assert_eq!(rejecting, &(&all | &blobs) | &caches);
}

/// A memory store with a fault.
#[derive(Debug)]
struct Broken {
    inner: MemoryStore,
    fault: Fault,
    created: Mutex<Vec<RunId>>,
    numbers: Mutex<HashMap<RunId, u64>>,
    queued: Mutex<HashMap<RunId, usize>>,
    taken: Mutex<BTreeSet<RunId>>,
    put: Mutex<BTreeSet<Digest>>,
    saved: Mutex<HashMap<String, Digest>>,
    leases: Mutex<u64>,
}

impl Broken {
    fn new(fault: Fault) -> Self {
        Self {
            inner: MemoryStore::new(),
            fault,
            created: Mutex::default(),
            numbers: Mutex::default(),
            queued: Mutex::default(),
            taken: Mutex::default(),
            put: Mutex::default(),
            saved: Mutex::default(),
            leases: Mutex::default(),
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    /// A token that nobody can fence.
    fn token(&self, token: FencingToken) -> FencingToken {
        if self.has(Fault::IgnoresTokens) { FencingToken(1 << 40) } else { token }
    }

    fn spoil(&self, mut record: RunRecord) -> RunRecord {
        let id = record.run.id;
        match self.fault {
            Fault::ForgetsContext => record.run.context = Arc::default(),
            Fault::CountsAllPipelines => {
                let place = self.created.lock().unwrap().iter().position(|created| *created == id);
                record.number = place.unwrap_or(0) as u64 + 1;
            }
            Fault::CountsTwice => record.number = self.numbers.lock().unwrap().get(&id).copied().unwrap_or(1),
            Fault::AlwaysRunning => record.status = RunStatus::Running,
            _ => {}
        }
        record
    }
}

#[async_trait]
impl RunStore for Broken {
    async fn create_run(&self, run: NewRun) -> Result<RunRecord, StoreError> {
        let id = run.id;
        if self.has(Fault::TakesIdsTwice)
            && let Ok(record) = self.inner.run(id).await
        {
            return Ok(record);
        }
        if self.has(Fault::CountsTwice) {
            let number = self.inner.runs(None, usize::MAX).await?.len() as u64 + 1;
            tokio::task::yield_now().await;
            self.numbers.lock().unwrap().insert(id, number);
        }
        self.created.lock().unwrap().push(id);
        self.inner.create_run(run).await.map(|record| self.spoil(record))
    }

    async fn run(&self, run: RunId) -> Result<RunRecord, StoreError> {
        self.inner.run(run).await.map(|record| self.spoil(record))
    }

    async fn runs(&self, pipeline: Option<&str>, limit: usize) -> Result<Vec<RunSummary>, StoreError> {
        let mut runs = self.inner.runs(pipeline, limit).await?;
        if self.has(Fault::OldestFirst) {
            runs.reverse();
        }
        Ok(runs)
    }

    async fn open_runs(&self) -> Result<Vec<RunId>, StoreError> {
        let mut open = self.inner.open_runs().await?;
        if self.has(Fault::ClosesAtTheEnd) {
            let ended = self.inner.runs(None, usize::MAX).await?.into_iter().filter(|run| run.status.is_final());
            let ended: BTreeSet<RunId> = ended.map(|run| run.id).collect();
            open.retain(|run| !ended.contains(run));
        }
        Ok(open)
    }

    async fn append(
        &self,
        run: RunId,
        expected_seq: u64,
        token: FencingToken,
        events: Arc<[Event]>,
    ) -> Result<(), StoreError> {
        let mut events = events.to_vec();
        if self.has(Fault::ClosesGaps) {
            events.iter_mut().zip(expected_seq + 1..).for_each(|(event, seq)| event.seq = seq);
        }
        match self.inner.append(run, expected_seq, self.token(token), events.into()).await {
            Err(StoreError::Conflict { .. }) if self.has(Fault::SaysStored) => Ok(()),
            appended => appended,
        }
    }

    async fn events(&self, run: RunId, after: u64, limit: usize) -> Result<EventPage, StoreError> {
        let limit = if self.has(Fault::IgnoresLimit) { usize::MAX } else { limit };
        match self.inner.events(run, after, limit).await {
            Err(StoreError::NoRun(_)) if self.has(Fault::InventsRuns) => Ok(EventPage::default()),
            Ok(mut page) if self.has(Fault::ReversesEvents) => {
                page.events.reverse();
                Ok(page)
            }
            page => page,
        }
    }

    async fn close_run(&self, run: RunId, token: FencingToken) -> Result<(), StoreError> {
        match self.inner.close_run(run, token).await {
            Err(StoreError::NotEnded(_)) if self.has(Fault::ClosesAnything) => Ok(()),
            closed => closed,
        }
    }

    async fn delete_run(&self, run: RunId) -> Result<(), StoreError> {
        if self.has(Fault::KeepsDeleted) {
            return Ok(());
        }
        match self.inner.delete_run(run).await {
            Err(StoreError::NotEnded(_)) if self.has(Fault::DeletesAnything) => Ok(()),
            deleted => deleted,
        }
    }

    async fn lease_run(&self, run: RunId, lease: Lease, now: Timestamp) -> Result<FencingToken, StoreError> {
        match self.inner.lease_run(run, lease, now).await {
            Err(StoreError::Fenced) if self.has(Fault::LeasesAnyway) => Ok(FencingToken(99)),
            Ok(_) if self.has(Fault::OneToken) => Ok(FencingToken(1)),
            Ok(FencingToken(token)) if self.has(Fault::NewTokens) => {
                let mut leases = self.leases.lock().unwrap();
                *leases += 1;
                Ok(FencingToken(token + *leases))
            }
            leased => leased,
        }
    }
}

#[async_trait]
impl LogStore for Broken {
    async fn append_log(&self, append: LogAppend<'_>) -> Result<(), StoreError> {
        let token = self.token(append.token);
        match self.inner.append_log(LogAppend { token, ..append }).await {
            Err(StoreError::Conflict { .. }) if self.has(Fault::AppendsAnywhere) => Ok(()),
            Err(StoreError::NoRun(_)) if self.has(Fault::TakesAnyLog) => Ok(()),
            appended => appended,
        }
    }

    async fn log_cursor(&self, job: &JobId) -> Result<LogCursor, StoreError> {
        let cursor = self.inner.log_cursor(job).await?;
        Ok(if self.has(Fault::ForgetsOffsets) {
            LogCursor { line: cursor.line, ..LogCursor::default() }
        } else {
            cursor
        })
    }

    async fn read_log(&self, job: &JobId, after: u64, max_bytes: usize) -> Result<LogPage, StoreError> {
        let max_bytes = if self.has(Fault::EndlessPages) { usize::MAX } else { max_bytes };
        if self.has(Fault::WholeChunks) {
            let mut page = self.inner.read_log(job, 0, usize::MAX).await?;
            page.chunks.retain(|chunk| chunk.last_line() > after);
            return Ok(page);
        }
        let mut page = self.inner.read_log(job, after, max_bytes).await?;
        if self.has(Fault::RefusesEmptyLogs) && page.last_line == 0 {
            return Err(StoreError::NoLog(Box::new(job.clone())));
        }
        if self.has(Fault::DropsReturns) {
            for chunk in &mut page.chunks {
                chunk.text = chunk.text.iter().copied().filter(|&byte| byte != b'\r').collect::<Vec<u8>>().into();
            }
        }
        Ok(page)
    }

    async fn logs_of_run(&self, run: RunId) -> Result<Vec<JobId>, StoreError> {
        let mut jobs = self.inner.logs_of_run(run).await?;
        if self.has(Fault::SortsLogs) {
            jobs.sort();
        }
        Ok(jobs)
    }
}

#[async_trait]
impl QueueStore for Broken {
    async fn enqueue(&self, mut job: Enqueue) -> Result<(), StoreError> {
        match self.fault {
            Fault::FirstComeFirst => job.priority = 0,
            Fault::Eager => job.scheduled_for = Timestamp::MIN,
            Fault::NeverDies => job.max_attempts = u32::MAX,
            _ => {}
        }
        *self.queued.lock().unwrap().entry(job.run).or_default() += 1;
        match self.inner.enqueue(job).await {
            Err(StoreError::NoRun(_)) if self.has(Fault::QueuesAnything) => Ok(()),
            queued => queued,
        }
    }

    async fn claim(&self, claim: Claim, now: Timestamp) -> Result<Vec<QueuedJob>, StoreError> {
        let mut claim = claim;
        if self.has(Fault::Greedy) {
            claim.limit = usize::MAX;
        }
        let hour = std::time::Duration::from_secs(3600);
        let later = now.saturating_add(hour).unwrap();
        if self.has(Fault::SharesRuns) {
            let mut shared = self.inner.claim(claim.clone(), later).await?;
            if shared.is_empty() {
                let runs = self.queued.lock().unwrap();
                shared.extend(runs.keys().map(|run| fake(*run)));
            }
            return Ok(shared);
        }
        let mut jobs = self.inner.claim(claim, now).await?;
        if self.has(Fault::LongLeases) {
            for job in &jobs {
                self.inner.renew(job.run, job.token, later).await?;
            }
        }
        if self.has(Fault::QueuesTwice) && jobs.is_empty() {
            let queued = self.queued.lock().unwrap();
            jobs.extend(queued.iter().filter(|(_, times)| **times > 1).map(|(run, _)| fake(*run)));
        }
        if self.has(Fault::NeverAgain) {
            let mut taken = self.taken.lock().unwrap();
            jobs.retain(|job| taken.insert(job.run));
        }
        Ok(jobs)
    }

    async fn renew(&self, run: RunId, token: FencingToken, until: Timestamp) -> Result<(), StoreError> {
        if self.has(Fault::NeverRenews) { Ok(()) } else { self.inner.renew(run, self.token(token), until).await }
    }

    async fn complete(&self, run: RunId, token: FencingToken) -> Result<(), StoreError> {
        if self.has(Fault::NeverCompletes) { Ok(()) } else { self.inner.complete(run, self.token(token)).await }
    }

    async fn give_back(&self, run: RunId, token: FencingToken, at: Timestamp) -> Result<(), StoreError> {
        let at = if self.has(Fault::BackAtOnce) { Timestamp::MIN } else { at };
        self.inner.give_back(run, self.token(token), at).await
    }

    async fn hand_over(&self, run: RunId, token: FencingToken) -> Result<(), StoreError> {
        if self.has(Fault::CountsHandOvers) {
            return self.inner.give_back(run, self.token(token), Timestamp::MIN).await;
        }
        self.inner.hand_over(run, self.token(token)).await
    }

    async fn dead_letters(&self) -> Result<Vec<RunId>, StoreError> {
        self.inner.dead_letters().await
    }

    async fn requeue(&self, run: RunId, at: Timestamp) -> Result<(), StoreError> {
        if self.has(Fault::StaysDead) { Ok(()) } else { self.inner.requeue(run, at).await }
    }
}

fn fake(run: RunId) -> QueuedJob {
    QueuedJob { run, tenant: TenantId::new(), token: FencingToken(1), attempt: 1 }
}

#[async_trait]
impl BlobStore for Broken {
    async fn put(&self, content: BlobStream) -> Result<(Digest, u64), BlobError> {
        if self.has(Fault::KeepsHalves) {
            let whole: Vec<_> = content.take_while(|piece| std::future::ready(piece.is_ok())).collect().await;
            return self.inner.put(Box::pin(stream::iter(whole))).await;
        }
        let (digest, length) = self.inner.put(content).await?;
        let is_new = self.put.lock().unwrap().insert(digest);
        match self.fault {
            Fault::WrongAddress => Ok((Digest::of(b"another"), length)),
            Fault::StoresOnce if !is_new => Err(BlobError::Missing(digest)),
            _ => Ok((digest, length)),
        }
    }

    async fn open(&self, digest: &Digest) -> Result<BlobStream, BlobError> {
        let content = self.inner.open(digest).await?;
        if !self.has(Fault::HalfBlobs) {
            return Ok(content);
        }
        let pieces: Vec<_> = content.collect().await;
        let bytes: Vec<u8> = pieces.into_iter().flatten().flatten().collect();
        Ok(blob_of(bytes[..bytes.len() / 2].to_vec()))
    }

    async fn contains(&self, digest: &Digest) -> Result<bool, BlobError> {
        if self.has(Fault::InventsBlobs) { Ok(true) } else { self.inner.contains(digest).await }
    }

    fn local_path(&self, _: &Digest) -> Option<PathBuf> {
        self.has(Fault::WrongPath).then(|| PathBuf::from("there/is/none"))
    }
}

#[async_trait]
impl CacheStore for Broken {
    async fn find_cache(&self, scope: &str, key: &str, restore_keys: &[String]) -> Result<Option<CacheHit>, BlobError> {
        let mut restore_keys = restore_keys.to_vec();
        let scope = if self.has(Fault::OneScope) { "" } else { scope };
        match self.fault {
            Fault::BeginningsAreKeys => restore_keys.push(key.to_owned()),
            Fault::LastBeginning => restore_keys.reverse(),
            _ => {}
        }
        let found = self.inner.find_cache(scope, key, &restore_keys).await?;
        if self.has(Fault::LastCache) {
            let saved = self.saved.lock().unwrap();
            return Ok(found.map(|hit| CacheHit { archive: saved[&hit.key], ..hit }));
        }
        Ok(found)
    }

    async fn save_cache(&self, scope: &str, key: &str, archive: Digest) -> Result<(), BlobError> {
        self.saved.lock().unwrap().insert(key.to_owned(), archive);
        let scope = if self.has(Fault::OneScope) { "" } else { scope };
        self.inner.save_cache(scope, key, archive).await
    }
}
