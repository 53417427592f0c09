//! Guarantee G3: each line once and in order, wherever the bytes are cut and the writer is started again.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use proptest::prelude::*;
use secrecy::SecretString;

use super::lane::{Lane, MAX_LINE, Piece};
use super::{LogObserver, LogOptions, LogWriter};
use crate::clock::Clock;
use crate::executor::{LogCursor, LogError, LogWrite, Physical};
use crate::id::{FencingToken, JobId, RunId};
use crate::job::Stream;
use crate::memory::MemoryStore;
use crate::pipeline::{PipelineSpec, RunContext};
use crate::secret::Masker;
use crate::store::{Lease, LogChunk, LogStore, NewRun, RunStore};

mod limit;
mod upkeep;

const KEY: &str = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nab=\n-----END KEY-----\n";

fn masker(secrets: &[&str]) -> Arc<Masker> {
    let values: Vec<SecretString> = secrets.iter().map(|&secret| secret.into()).collect();
    Arc::new(Masker::new(values.iter().map(|value| ("S", value))).unwrap())
}

fn text(pieces: &[Piece]) -> Vec<u8> {
    pieces.iter().flat_map(|piece| piece.text.to_vec()).collect()
}

fn whole(masker: &Arc<Masker>, raw: &[u8]) -> Vec<u8> {
    let mut lane = Lane::new(Arc::clone(masker), 0);
    let mut pieces = Vec::new();
    lane.push(Stream::Stdout, Bytes::copy_from_slice(raw), Some(raw.len() as u64), &mut pieces);
    lane.finish(&mut pieces);
    text(&pieces)
}

/// Feeds `raw` in pieces; the writer dies after each of `deaths` pieces and begins again at the stored cursor.
fn with_deaths(masker: &Arc<Masker>, raw: &[u8], cuts: &[usize], deaths: &[bool]) -> Vec<u8> {
    let mut lane = Lane::new(Arc::clone(masker), 0);
    let mut stored = Vec::new();
    let mut cursor = 0;
    let mut read = 0;
    for (&cut, &dies) in cuts.iter().zip(deaths) {
        if cut <= read {
            continue;
        }
        let mut pieces = Vec::new();
        lane.push(Stream::Stdout, Bytes::copy_from_slice(&raw[read..cut]), Some(cut as u64), &mut pieces);
        read = cut;
        if let Some(last) = pieces.last() {
            assert!(last.end > cursor && last.end <= read as u64, "the cursor never passes what was read");
            cursor = last.end;
        }
        for piece in &pieces {
            assert_eq!(piece.lines as usize, piece.text.iter().filter(|&&byte| byte == b'\n').count());
            assert!(piece.text.ends_with(b"\n"), "whole lines only");
        }
        stored.extend(text(&pieces));
        if dies {
            lane = Lane::new(Arc::clone(masker), cursor);
            read = usize::try_from(cursor).unwrap();
        }
    }
    let mut pieces = Vec::new();
    lane.push(Stream::Stdout, Bytes::copy_from_slice(&raw[read..]), Some(raw.len() as u64), &mut pieces);
    lane.finish(&mut pieces);
    stored.extend(text(&pieces));
    stored
}

fn raw_logs() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        3 => "[a-z ]{0,20}\n".prop_map(String::into_bytes),
        2 => "[a-z ]{0,6}".prop_map(String::into_bytes),
        2 => Just(KEY.as_bytes().to_vec()),
        1 => any::<prop::sample::Index>().prop_map(|cut| KEY.as_bytes()[..cut.index(KEY.len())].to_vec()),
        1 => Just(b"hunter2-hunter2".to_vec()),
        1 => Just(b"\xff\x00\r\n\r".to_vec()),
        1 => Just(b"\n\n".to_vec()),
    ];
    prop::collection::vec(part, 0..20).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn g3_each_line_is_stored_once_and_in_order(
        raw in raw_logs(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..20),
        secrets in prop::sample::subsequence(vec![KEY, "hunter2-hunter2"], 0..=2),
    ) {
        let masker = masker(&secrets);
        let cuts: Vec<(usize, bool)> = cuts.into_iter().map(|(cut, dies)| (cut.index(raw.len() + 1), dies)).collect();
        let (mut cuts, deaths): (Vec<_>, Vec<_>) = cuts.into_iter().unzip();
        cuts.sort_unstable();
        let mut expected = raw.clone();
        if !raw.is_empty() && !raw.ends_with(b"\n") {
            expected.push(b'\n');
        }
        if secrets.is_empty() {
            prop_assert_eq!(&whole(&masker, &raw), &expected);
        }
        prop_assert_eq!(with_deaths(&masker, &raw, &cuts, &deaths), whole(&masker, &raw));
    }
}

#[test]
fn a_long_line_is_cut_at_the_same_places_whatever_the_pieces() {
    for secrets in [&[][..], &["hunter2-hunter2"]] {
        let masker = masker(secrets);
        let mut raw = "é".repeat(MAX_LINE).into_bytes();
        raw.splice(MAX_LINE - 5..MAX_LINE - 5, *b"hunter2-hunter2");
        raw.extend_from_slice(b"\nshort\n");
        raw.extend(vec![b'x'; MAX_LINE]);
        raw.extend_from_slice(b"\n");
        raw.extend(vec![b'y'; MAX_LINE + 1]);
        let expected = whole(&masker, &raw);
        let lines: Vec<&[u8]> = expected.split(|&byte| byte == b'\n').collect();
        assert!(lines.iter().all(|line| line.len() <= MAX_LINE));
        assert_eq!(lines.iter().filter(|line| line.starts_with(b"x")).count(), 1, "a line of exactly the limit is one");
        let raw_without_ends: Vec<u8> = raw.iter().copied().filter(|&byte| byte != b'\n').collect();
        if secrets.is_empty() {
            assert_eq!(lines.concat(), raw_without_ends, "nothing is lost");
        } else {
            assert!(!expected.windows(7).any(|window| window == b"hunter2"));
        }
        for size in [1000, 65_537, MAX_LINE - 3, MAX_LINE + 3] {
            let cuts: Vec<usize> = (0..raw.len()).step_by(size).collect();
            let deaths: Vec<bool> = (0..cuts.len()).map(|index| index % 3 == 1).collect();
            assert!(with_deaths(&masker, &raw, &cuts, &vec![false; cuts.len()]) == expected, "pieces of {size}");
            if size > MAX_LINE {
                assert!(with_deaths(&masker, &raw, &cuts, &deaths) == expected, "pieces of {size} and deaths");
            }
        }
    }
}

#[test]
fn an_endless_line_does_not_grow_memory() {
    let mut lane = Lane::new(masker(&["hunter2-hunter2"]), 0);
    let mut pieces = Vec::new();
    for turn in 1..=64_u64 {
        lane.push(Stream::Stdout, Bytes::from(vec![b'z'; 100_000]), Some(turn * 100_000), &mut pieces);
        let taken = pieces.last().map_or(0, |piece| piece.end);
        assert!(turn * 100_000 - taken <= 2 * MAX_LINE as u64);
    }
}

#[derive(Debug)]
struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn sleep_until(&self, _: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::pending())
    }
}

#[derive(Debug, Default)]
struct Seen(std::sync::Mutex<Vec<LogChunk>>);

impl LogObserver for Seen {
    fn stored(&self, _: &JobId, chunks: &[LogChunk]) {
        self.0.lock().unwrap().extend_from_slice(chunks);
    }
}

async fn store_with_job() -> (Arc<MemoryStore>, JobId) {
    let store = Arc::new(MemoryStore::new());
    let run = RunId::new();
    let new = NewRun { id: run, ..NewRun::new(PipelineSpec::default(), RunContext::manual(), Timestamp::UNIX_EPOCH) };
    store.create_run(new).await.unwrap();
    (store, JobId { run, stage: "a".into(), attempt: 1 })
}

fn write(stream: Stream, bytes: &'static str, position: Option<(Physical, u64)>) -> LogWrite {
    LogWrite { stream, bytes: bytes.into(), position }
}

#[tokio::test]
async fn lines_of_all_streams_are_numbered_and_the_cursor_follows_their_offsets() {
    let (store, job) = store_with_job().await;
    let observer = Arc::new(Seen::default());
    let writer = LogWriter::with(
        store.clone(),
        job.clone(),
        FencingToken(0),
        LogCursor::default(),
        masker(&["hunter2-hunter2"]),
        Arc::new(StoppedClock),
        LogOptions { observer: Some(observer.clone()), limit: None },
    );
    let out = |end| Some((Physical::Stdout, end));
    writer.write(write(Stream::Command, "$ make\n", None)).await.unwrap();
    writer.write(write(Stream::Stdout, "one\ntw", out(6))).await.unwrap();
    writer.write(write(Stream::Stderr, "oops hunter2-", Some((Physical::Stderr, 13)))).await.unwrap();
    writer.write(write(Stream::Stdout, "one\ntwo\n", out(8))).await.unwrap();
    writer.write(write(Stream::Stderr, "hunter2\n", Some((Physical::Stderr, 21)))).await.unwrap();
    writer.write(write(Stream::Stdout, "behind a marker", out(115))).await.unwrap();
    assert_eq!(writer.flush().await.unwrap(), 5);
    let page = store.read_log(&job, 0, usize::MAX).await.unwrap();
    let lines: Vec<_> =
        page.chunks.iter().flat_map(LogChunk::iter).map(|line| (line.line, line.stream, line.text)).collect();
    let expected = [
        (1, Stream::Command, "$ make"),
        (2, Stream::Stdout, "one"),
        (3, Stream::Stdout, "two"),
        (4, Stream::Stderr, "oops ***"),
        (5, Stream::Stdout, "behind a marker"),
    ];
    assert_eq!(lines, expected.map(|(line, stream, text)| (line, stream, text.to_owned())));
    assert_eq!(store.log_cursor(&job).await.unwrap(), LogCursor { stdout: 115, stderr: 21, line: 5 });
    assert_eq!(*observer.0.lock().unwrap(), page.chunks);
}

#[test]
fn an_echo_stands_in_for_a_shorter_mark_and_eats_nothing_behind_it() {
    for secrets in [&[][..], &["hunter2-hunter2"]] {
        let mut lane = Lane::new(masker(secrets), 0);
        let mut pieces = Vec::new();
        let mut push = |stream, text: &'static str, end| lane.push(stream, text.into(), Some(end), &mut pieces);
        push(Stream::Command, "cargo build --release\n  --workspace\n", 10);
        push(Stream::Stdout, "one\nopen", 18);
        push(Stream::Command, "cargo test --workspace\n", 28);
        push(Stream::Command, "cargo test --workspace\n", 28);
        push(Stream::Stdout, "two\n", 32);
        let ends: Vec<_> = pieces.iter().map(|piece| (piece.stream, piece.lines, piece.end)).collect();
        let (out, command) = (Stream::Stdout, Stream::Command);
        assert_eq!(ends, [(command, 2, 10), (out, 1, 14), (out, 1, 18), (command, 1, 28), (out, 1, 32)]);
        let expected = "cargo build --release\n  --workspace\none\nopen\ncargo test --workspace\ntwo\n";
        assert_eq!(text(&pieces), expected.as_bytes());
    }
}

#[tokio::test]
async fn a_writer_whose_lease_is_lost_says_so_and_stores_nothing() {
    let (store, job) = store_with_job().await;
    let cursor = LogCursor::default();
    let masker = masker(&[]);
    let writer = LogWriter::new(store.clone(), job.clone(), FencingToken(0), cursor, masker, Arc::new(StoppedClock));
    let until = "2030-01-01T00:00:00Z".parse().unwrap();
    store.lease_run(job.run, Lease { worker: "other".into(), until }, Timestamp::UNIX_EPOCH).await.unwrap();
    writer.write(write(Stream::Stdout, "late\n", None)).await.unwrap();
    assert!(matches!(writer.flush().await, Err(LogError::LeaseLost(_))));
    assert!(matches!(writer.write(write(Stream::Stdout, "later\n", None)).await, Err(LogError::LeaseLost(_))));
    assert_eq!(store.log_cursor(&job).await.unwrap(), cursor);
}
