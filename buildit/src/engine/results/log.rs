//! The log of a result, from the attempt that made it to the stage that takes it.

use std::collections::HashMap;

use futures_util::{StreamExt, stream};

use super::super::core::Core;
use super::super::host::RunHost;
use super::ResultError;
use crate::artifact::BlobError;
use crate::cached::{KeptLog, LogDecoder, encode_log};
use crate::executor::LogCursor;
use crate::id::{Digest, JobId, StageName};
use crate::secret::MaskStream;
use crate::store::{LogAppend, LogChunk, StoreError};

/// How much of a log is held at a time, in bytes.
const PAGE: usize = 256 * 1024;

/// The log of this job, all of which is stored.
pub(super) async fn keep(core: &Core, job: &JobId) -> Result<KeptLog, ResultError> {
    let first = core.store.read_log(job, 0, PAGE).await?;
    let Some(read) = first.chunks.last().map(LogChunk::last_line) else { return Ok(KeptLog::Empty) };
    let mut encoded = Vec::new();
    encode_log(&first.chunks, &mut encoded);
    if read == first.last_line && encoded.len() <= KeptLog::LONGEST_HERE {
        return Ok(KeptLog::Here(encoded.into()));
    }
    let (store, job) = (core.store.clone(), job.clone());
    let rest = stream::try_unfold((store, job, read), |(store, job, after)| async move {
        let page = store.read_log(&job, after, PAGE).await.map_err(std::io::Error::other)?;
        let Some(read) = page.chunks.last().map(LogChunk::last_line) else { return Ok::<_, BlobError>(None) };
        let mut encoded = Vec::new();
        encode_log(&page.chunks, &mut encoded);
        Ok(Some((encoded.into(), (store, job, read))))
    });
    let (digest, _) = core.blobs.put(stream::iter([Ok(encoded.into())]).chain(rest).boxed()).await?;
    Ok(KeptLog::Blob(digest))
}

/// Whether the log holds a secret of this run: the one that made it masked its own, which may have been others.
pub(super) async fn holds_secret(host: &RunHost, log: &KeptLog) -> Result<bool, ResultError> {
    let masker = host.masker();
    let mut streams = HashMap::new();
    let mut passed = Vec::new();
    let mut pass = |chunks: Vec<LogChunk>| {
        for chunk in chunks {
            passed.clear();
            let stream: &mut MaskStream = streams.entry(chunk.stream).or_insert_with(|| masker.stream());
            stream.push(&chunk.text, &mut passed);
        }
    };
    match log {
        _ if masker.is_empty() => {}
        KeptLog::Empty => {}
        KeptLog::Here(bytes) => pass(decoded(bytes)?),
        KeptLog::Blob(digest) => {
            let mut decoder = LogDecoder::default();
            let mut content = host.core.blobs.open(digest).await?;
            while let Some(piece) = content.next().await {
                pass(decoder.read(&piece?)?);
            }
        }
    }
    let finish = |stream: &mut MaskStream| {
        stream.finish(&mut Vec::new());
        stream.has_masked()
    };
    Ok(streams.values_mut().any(finish))
}

/// Makes these the logs of attempt 0 of stages of this run; what went wrong, for each.
pub(super) async fn restore(host: &RunHost, logs: &[(&StageName, &KeptLog)]) -> Vec<Result<(), ResultError>> {
    let mut restored = Vec::with_capacity(logs.len());
    let mut short = Vec::new();
    for (at, (stage, log)) in logs.iter().enumerate() {
        let job = JobId { run: host.bus.info.id, stage: (*stage).clone(), attempt: 0 };
        restored.push(match log {
            KeptLog::Empty => Ok(()),
            KeptLog::Here(bytes) => decoded(bytes).map(|chunks| short.push(Short { at, job, chunks })),
            KeptLog::Blob(digest) => restore_blob(host, &job, digest).await,
        });
    }
    // Most logs are short and new: all of those in one go.
    match begin(host, &short).await {
        Ok(begun) => {
            for (Short { at, job, chunks }, _) in short.into_iter().zip(begun).filter(|(_, begun)| !begun) {
                // An engine that died had begun with it.
                restored[at] = append(host, &job, chunks, &mut 0).await;
            }
        }
        Err(error) => {
            let message = error.to_string();
            short.iter().for_each(|short| restored[short.at] = Err(std::io::Error::other(message.clone()).into()));
        }
    }
    host.bus.logs.send_modify(|count| *count += 1);
    restored
}

/// A log that lies with its result.
struct Short {
    at: usize,
    job: JobId,
    chunks: Vec<LogChunk>,
}

async fn begin(host: &RunHost, logs: &[Short]) -> Result<Vec<bool>, StoreError> {
    let token = host.bus.token();
    let mut appends = Vec::with_capacity(logs.len());
    for Short { job, chunks, .. } in logs {
        let cursor = LogCursor { line: chunks.last().map_or(0, LogChunk::last_line), ..LogCursor::default() };
        appends.push(LogAppend { job, token, expected_line: 0, chunks, cursor });
    }
    host.core.store.begin_logs(&appends).await
}

fn decoded(bytes: &[u8]) -> Result<Vec<LogChunk>, ResultError> {
    let mut decoder = LogDecoder::default();
    let chunks = decoder.read(bytes)?;
    decoder.end()?;
    Ok(chunks)
}

async fn restore_blob(host: &RunHost, job: &JobId, digest: &Digest) -> Result<(), ResultError> {
    let mut decoder = LogDecoder::default();
    let mut content = host.core.blobs.open(digest).await?;
    let mut line = 0;
    while let Some(piece) = content.next().await {
        append(host, job, decoder.read(&piece?)?, &mut line).await?;
    }
    Ok(decoder.end()?)
}

/// Adds lines to the log of a stage, of which some may be there: they are those of the same result, and stay.
async fn append(host: &RunHost, job: &JobId, mut chunks: Vec<LogChunk>, line: &mut u64) -> Result<(), ResultError> {
    while let Some(last) = chunks.last().map(LogChunk::last_line) {
        let cursor = LogCursor { line: last, ..LogCursor::default() };
        let token = host.bus.token();
        let append = LogAppend { job, token, expected_line: *line, chunks: &chunks, cursor };
        match host.core.store.append_log(append).await {
            Ok(()) => {
                *line = last;
                return Ok(());
            }
            Err(StoreError::Conflict { actual, .. }) if actual > *line => {
                *line = actual;
                chunks = chunks.iter().filter_map(|chunk| chunk.after(actual)).collect();
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
