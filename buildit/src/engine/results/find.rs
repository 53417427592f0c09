//! Looking for the results of stages that are about to start.

use std::collections::HashSet;

use futures_util::StreamExt;
use futures_util::stream;

use super::super::host::RunHost;
use super::super::looks::Looked;
use super::super::notices::described;
use super::{ResultError, Results, log};
use crate::artifact::{BlobError, BlobStore};
use crate::cached::{Ingredients, KeptResult};
use crate::event::Miss;
use crate::executor::{JobInputs, JobSecrets};
use crate::graph::StageIndex;
use crate::id::{Digest, ExecutorName, StageName};
use crate::job::JobSpec;

/// How many blobs are read, and logs restored, at once: they wait for the disk and for the store, not for each other.
const AT_ONCE: usize = 32;

/// A stage that may have a result, with the job of its first attempt.
#[derive(Debug)]
pub(in super::super) struct Candidate {
    pub(in super::super) stage: StageIndex,
    pub(in super::super) executor: ExecutorName,
    pub(in super::super) job: JobSpec,
    pub(in super::super) inputs: JobInputs,
    pub(in super::super) secrets: JobSecrets,
}

/// A stage, and what its result would be made of.
struct Asked {
    stage: StageIndex,
    name: StageName,
    ingredients: Ingredients,
}

/// Whether there are results of these stages. The logs of those that there are lie with this run when it returns. It
/// never fails: what cannot be told is a miss.
pub(in super::super) async fn look(host: &RunHost, candidates: Vec<Candidate>) -> Vec<(StageIndex, Looked)> {
    let Some(results) = &host.core.results else { return Vec::new() };
    let mut looked = Vec::with_capacity(candidates.len());
    let mut asked = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        let Candidate { stage, executor, job, inputs, secrets } = candidate;
        match results.ingredients(&job, &executor, &inputs, &secrets, &host.core.blobs).await {
            Ok(ingredients) => asked.push(Asked { stage, name: job.id.stage, ingredients }),
            Err(error) => looked.push((stage, unreadable(host, &error))),
        }
    }
    let keys: Vec<Digest> = asked.iter().map(|asked| asked.ingredients.key()).collect();
    let scope = &host.bus.plan.spec().name;
    let found = match results.store.find_results(scope, &keys).await {
        Ok(found) => found,
        Err(error) => {
            let error = ResultError::from(error);
            looked.extend(asked.iter().map(|asked| (asked.stage, unreadable(host, &error))));
            return looked;
        }
    };
    let spoiled = spoiled(&*host.core.blobs, found.iter().flatten()).await;
    let mut hits = Vec::new();
    let mut others = Vec::new();
    for (asked, found) in asked.iter().zip(found) {
        match found {
            Some(result) if result.blobs().all(|digest| !spoiled.contains(&digest)) => hits.push((asked, result)),
            found => others.push(missed(host, results, asked, found)),
        }
    }
    let logs: Vec<_> = hits.iter().map(|(asked, result)| (&asked.name, &result.log)).collect();
    let restored = log::restore(host, &logs).await;
    for ((asked, result), restored) in hits.into_iter().zip(restored) {
        let taken = restored.map(|()| Looked::Hit(Box::new(result.into_taken())));
        looked.push((asked.stage, taken.unwrap_or_else(|error| unreadable(host, &error))));
    }
    looked.extend(stream::iter(others).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await);
    looked
}

/// The blobs of these results that are missing or damaged. Each is read to its end: nobody finds out later, when it
/// would be too late to run the stage.
async fn spoiled<'r>(blobs: &dyn BlobStore, results: impl Iterator<Item = &'r KeptResult>) -> HashSet<Digest> {
    let all: HashSet<Digest> = results.flat_map(KeptResult::blobs).collect();
    let read = stream::iter(all).map(|digest| async move { (digest, read(blobs, &digest).await) });
    let failed = read.buffer_unordered(AT_ONCE).filter_map(|(digest, read)| async move {
        let error = read.err()?;
        tracing::warn!(%digest, %error, "a kept result refers to a blob that cannot be read");
        Some(digest)
    });
    failed.collect().await
}

async fn read(blobs: &dyn BlobStore, digest: &Digest) -> Result<(), BlobError> {
    // It must outlast its result, which others may evict before this run refers to it.
    if !blobs.hold(digest).await? {
        return Err(BlobError::Missing(*digest));
    }
    let mut hasher = blake3::Hasher::new();
    let mut content = blobs.open(digest).await?;
    while let Some(piece) = content.next().await {
        hasher.update(&piece?);
    }
    // Not every store verifies what it reads.
    if Digest::from(hasher.finalize()) == *digest { Ok(()) } else { Err(BlobError::Corrupt(*digest)) }
}

/// A stage that has to run; `spoiled` is a result of it that cannot be taken.
async fn missed(host: &RunHost, results: &Results, asked: &Asked, spoiled: Option<KeptResult>) -> (StageIndex, Looked) {
    let miss = why(host, results, asked, spoiled).await;
    (asked.stage, miss.map_or_else(|error| unreadable(host, &error), |miss| Looked::Miss(Box::new(miss))))
}

async fn why(
    host: &RunHost,
    results: &Results,
    asked: &Asked,
    spoiled: Option<KeptResult>,
) -> Result<Miss, ResultError> {
    let scope = &host.bus.plan.spec().name;
    if let Some(result) = spoiled {
        results.store.forget_result(scope, &result.key).await?;
        return Ok(Miss::Lost { run: result.job.run });
    }
    let last = results.store.last_ingredients(scope, &asked.name).await?;
    Ok(last.map_or(Miss::First, |(run, before)| asked.ingredients.miss(run, &before)))
}

fn unreadable(host: &RunHost, error: &ResultError) -> Looked {
    let message = host.masker().mask(&described(error));
    tracing::warn!(%message, "a cacheable stage runs, because nobody can tell whether it has to");
    Looked::Miss(Box::new(Miss::Unreadable { message: message.into() }))
}
