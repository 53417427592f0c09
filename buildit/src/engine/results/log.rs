//! The log of a result, from the attempt that made it to the stage that takes it.

use futures_util::{StreamExt, stream};

use super::super::core::Core;
use super::super::host::RunHost;
use super::ResultError;
use crate::artifact::BlobError;
use crate::cached::{KeptLog, LogDecoder, encode_log};
use crate::executor::LogCursor;
use crate::id::{JobId, StageName};
use crate::log::LogObserver;
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

/// Makes this the log of attempt 0 of a stage of this run. An engine that died may have begun with it.
pub(super) async fn restore(host: &RunHost, stage: &StageName, log: &KeptLog) -> Result<(), ResultError> {
    let job = JobId { run: host.bus.info.id, stage: stage.clone(), attempt: 0 };
    let mut line = 0;
    match log {
        KeptLog::Empty => return Ok(()),
        KeptLog::Here(bytes) => {
            let mut decoder = LogDecoder::default();
            let chunks = decoder.read(bytes)?;
            decoder.end()?;
            append(host, &job, chunks, &mut line).await?;
        }
        KeptLog::Blob(digest) => {
            let mut decoder = LogDecoder::default();
            let mut content = host.core.blobs.open(digest).await?;
            while let Some(piece) = content.next().await {
                append(host, &job, decoder.read(&piece?)?, &mut line).await?;
            }
            decoder.end()?;
        }
    }
    host.bus.stored(&job, &[]);
    Ok(())
}

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
            // The log of the same result: what is there of it stays.
            Err(StoreError::Conflict { actual, .. }) if actual > *line => {
                *line = actual;
                chunks = chunks.iter().filter_map(|chunk| chunk.after(actual)).collect();
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
