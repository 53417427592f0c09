//! A limit leaves out what is beyond it, once, whatever dies on the way.

use std::num::NonZeroU64;

use super::*;
use crate::log::TAIL;

/// A writer with a limit that goes on where the stored log ends.
async fn writer(store: &Arc<MemoryStore>, job: &JobId, masker: &Arc<Masker>, limit: u64) -> LogWriter {
    let cursor = store.log_cursor(job).await.unwrap();
    let options = LogOptions { observer: None, limit: NonZeroU64::new(limit) };
    let (store, masker) = (store.clone(), Arc::clone(masker));
    LogWriter::with(store, job.clone(), FencingToken(0), cursor, masker, Arc::new(StoppedClock), options)
}

/// Stores what a job wrote, in pieces of this size; the writer dies after every so many of them, each with what was
/// given to it, and once more after the log was closed.
async fn stored(raw: &[u8], masker: &Arc<Masker>, limit: u64, piece: usize, lives: usize) -> String {
    let (store, job) = store_with_job().await;
    loop {
        let at = usize::try_from(store.log_cursor(&job).await.unwrap().stdout).unwrap();
        let writer = writer(&store, &job, masker, limit).await;
        let mut pieces = raw[at..].chunks(piece).scan(at, |end, bytes| {
            *end += bytes.len();
            Some((bytes, *end as u64))
        });
        for (bytes, end) in pieces.by_ref().take(lives) {
            let position = Some((Physical::Stdout, end));
            let write = LogWrite { stream: Stream::Stdout, bytes: Bytes::copy_from_slice(bytes), position };
            writer.write(write).await.unwrap();
        }
        if pieces.next().is_none() {
            writer.close().await.unwrap();
            break;
        }
        // What was taken is stored before it dies, but for a line that has no end.
        drop(writer);
        for _ in 0..64 {
            tokio::task::yield_now().await;
        }
        let now = usize::try_from(store.log_cursor(&job).await.unwrap().stdout).unwrap();
        assert!(now > at, "what is passed over moves the cursor");
    }
    writer(&store, &job, masker, limit).await.close().await.unwrap();
    text_of(&store, &job).await
}

async fn stored_at_once(raw: &[u8], masker: &Arc<Masker>, limit: u64) -> String {
    let (store, job) = store_with_job().await;
    let writer = writer(&store, &job, masker, limit).await;
    let position = Some((Physical::Stdout, raw.len() as u64));
    let write = LogWrite { stream: Stream::Stdout, bytes: Bytes::copy_from_slice(raw), position };
    writer.write(write).await.unwrap();
    writer.close().await.unwrap();
    text_of(&store, &job).await
}

async fn text_of(store: &MemoryStore, job: &JobId) -> String {
    let page = store.read_log(job, 0, usize::MAX).await.unwrap();
    let lines = page.chunks.iter().map(|chunk| u64::from(chunk.lines)).sum::<u64>();
    assert_eq!(lines, page.last_line, "the lines are numbered without a gap");
    page.chunks.iter().map(|chunk| str::from_utf8(&chunk.text).unwrap()).collect()
}

fn numbered(lines: usize) -> String {
    (0..lines).map(|line| format!("line {line}\n")).collect()
}

/// The beginning, what the notice says, and the end.
fn parts(stored: &str) -> (&str, u64, &str) {
    let notice = stored.find("buildit: ").expect("a notice");
    let (begin, rest) = stored.split_at(notice);
    let (notice, end) = rest.split_once('\n').unwrap();
    assert_eq!(end.find("buildit: "), None, "one notice");
    let left_out = notice.split(' ').rev().nth(5).unwrap().parse().expect("how many bytes are left out");
    (begin, left_out, end)
}

#[tokio::test]
async fn what_is_beyond_the_limit_is_left_out_but_for_its_end() {
    let (raw, masker) = (numbered(100_000), masker(&[]));
    let limit = 300_000;
    let stored = stored_at_once(raw.as_bytes(), &masker, limit).await;
    let (begin, left_out, end) = parts(&stored);
    assert!(raw.starts_with(begin) && raw.ends_with(end));
    assert!(begin.len() <= 300_000 && begin.len() > 299_900, "{}", begin.len());
    assert!(end.len() <= TAIL && end.len() > TAIL - 9000, "{}", end.len());
    assert_eq!(left_out as usize, raw.len() - begin.len() - end.len());
}

#[tokio::test]
async fn a_log_within_the_limit_is_whole_and_so_is_one_that_is_hardly_beyond() {
    let masker = masker(&[]);
    let raw = numbered(20_000);
    for limit in [raw.len(), raw.len() - 1, raw.len() - TAIL / 2] {
        assert_eq!(stored_at_once(raw.as_bytes(), &masker, limit as u64).await, raw, "limit {limit}");
    }
}

#[tokio::test]
async fn g3_whatever_dies_what_is_below_the_limit_is_stored_once_and_the_notice_too() {
    let raw = numbered(2_000_000);
    for secrets in [&[][..], &["line 77"]] {
        let masker = masker(secrets);
        let whole = if secrets.is_empty() { raw.clone() } else { raw.replace("line 77", "***") };
        for (piece, lives) in [(3_000_000, 4), (700_001, 20), (raw.len(), 1)] {
            let stored = stored(raw.as_bytes(), &masker, 2_000_000, piece, lives).await;
            let (begin, left_out, end) = parts(&stored);
            assert!(whole.starts_with(begin) && whole.ends_with(end), "pieces of {piece}");
            assert!(begin.len() > 1_000_000 && begin.len() <= 2_000_000, "{}", begin.len());
            let exactly = whole.len() - begin.len() - end.len();
            assert!((left_out as usize).abs_diff(exactly) < whole.len() / 20, "{left_out} instead of {exactly}");
        }
    }
}

#[tokio::test]
async fn a_line_without_an_end_is_cut_too() {
    let (raw, masker) = (vec![b'x'; 3_000_000], masker(&[]));
    let stored = stored_at_once(&raw, &masker, 1_000_000).await;
    let (begin, left_out, end) = parts(&stored);
    let (begin_bytes, end_bytes) = (begin.matches('x').count(), end.matches('x').count());
    assert!(begin_bytes <= 1_000_000 && begin_bytes > 1_000_000 - MAX_LINE, "{begin_bytes}");
    assert!(end_bytes > 0 && end_bytes <= MAX_LINE);
    assert!((left_out as usize).abs_diff(raw.len() - begin_bytes - end_bytes) < 32, "{left_out}");
}

#[tokio::test]
async fn what_has_no_position_is_limited_too() {
    let (store, job) = store_with_job().await;
    let writer = writer(&store, &job, &masker(&[]), 1000).await;
    let raw = numbered(100_000);
    for bytes in raw.as_bytes().chunks(10_000) {
        let bytes = Bytes::copy_from_slice(bytes);
        writer.write(LogWrite { stream: Stream::Stdout, bytes, position: None }).await.unwrap();
    }
    writer.close().await.unwrap();
    let stored = text_of(&store, &job).await;
    let (begin, left_out, end) = parts(&stored);
    assert!(raw.starts_with(begin) && raw.ends_with(end) && begin.len() <= 1000);
    assert_eq!(left_out as usize, raw.len() - begin.len() - end.len());
}
