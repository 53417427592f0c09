//! Looking for the results of stages that are about to start.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::iter;

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
use crate::store::StoreError;

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
            Err(error) => looked.push((stage, Looked::Miss(Box::new(unreadable(host, &error))))),
        }
    }
    let keys: Vec<Digest> = asked.iter().map(|asked| asked.ingredients.key()).collect();
    let scope = &host.bus.scope;
    let found = match results.store.find_results(scope, &keys).await {
        Ok(found) => found,
        Err(error) => {
            let miss = unreadable(host, &error);
            looked.extend(asked.iter().map(|asked| (asked.stage, Looked::Miss(Box::new(miss.clone())))));
            return looked;
        }
    };
    let failed = failed(&*host.core.blobs, found.iter().flatten()).await;
    let judged: Vec<_> = asked.iter().zip(found).map(|(asked, found)| judge(host, &failed, asked, found)).collect();
    let mut hits = Vec::new();
    let mut others = Vec::new();
    for (asked, judged) in stream::iter(judged).buffered(AT_ONCE).collect::<Vec<_>>().await {
        match judged {
            Ok(result) => hits.push((asked, result)),
            Err(unfit) => others.push(missed(host, results, asked, unfit)),
        }
    }
    let logs: Vec<_> = hits.iter().map(|(asked, result)| (&asked.name, &result.log)).collect();
    let restored = log::restore(host, &logs).await;
    for ((asked, result), restored) in hits.into_iter().zip(restored) {
        let taken = restored.map(|()| Looked::Hit(Box::new(result.into_taken())));
        let taken = taken.unwrap_or_else(|error| Looked::Miss(Box::new(unreadable(host, &error))));
        looked.push((asked.stage, taken));
    }
    looked.extend(stream::iter(others).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await);
    looked
}

/// Why a stage has to run.
enum Unfit {
    /// There is no result of it.
    None,
    /// What this one left is missing or damaged.
    Lost(KeptResult),
    /// This one holds a secret of the run, which was none of the run that made it.
    Secret(KeptResult),
    /// Nobody can tell.
    Unreadable(Miss),
}

/// What was found for a stage, if it can be taken.
async fn judge<'a>(
    host: &RunHost,
    failed: &HashMap<Digest, BlobError>,
    asked: &'a Asked,
    found: Option<KeptResult>,
) -> (&'a Asked, Result<KeptResult, Unfit>) {
    let Some(result) = found else { return (asked, Err(Unfit::None)) };
    let errors: Vec<&BlobError> = result.blobs().filter_map(|digest| failed.get(&digest)).collect();
    let is_gone = |error: &&&BlobError| matches!(error, BlobError::Missing(_) | BlobError::Corrupt(_));
    let judged = match (errors.iter().find(is_gone), errors.first()) {
        (Some(_), _) => Err(Unfit::Lost(result)),
        (None, Some(error)) => Err(Unfit::Unreadable(unreadable(host, *error))),
        (None, None) => match holds_secret(host, &result).await {
            Ok(false) => Ok(result),
            Ok(true) => Err(Unfit::Secret(result)),
            Err(error) => Err(Unfit::Unreadable(unreadable(host, &error))),
        },
    };
    (asked, judged)
}

/// Whether anything of a result that people see holds a secret of this run (guarantee G4).
async fn holds_secret(host: &RunHost, result: &KeptResult) -> Result<bool, ResultError> {
    if let Some(products) = &result.products {
        let outputs = products.outputs.iter().flat_map(|(key, value)| [key.as_str(), value.as_str()]);
        let artifacts = products.artifacts.iter().chain(&products.reports);
        let names = artifacts.flat_map(|artifact| iter::once(&artifact.name).chain(&artifact.paths));
        let mut texts = outputs.chain(names.map(String::as_str)).chain(products.summary.as_deref());
        if texts.any(|text| host.masker().holds(text)) {
            return Ok(true);
        }
    }
    log::holds_secret(host, &result.log).await
}

/// The blobs of these results that cannot be read. Each is read to its end: nobody finds out later, when it would be too
/// late to run the stage.
async fn failed(blobs: &dyn BlobStore, results: impl Iterator<Item = &KeptResult>) -> HashMap<Digest, BlobError> {
    let all: HashSet<Digest> = results.flat_map(KeptResult::blobs).collect();
    let read = stream::iter(all).map(|digest| async move { (digest, read(blobs, &digest).await) });
    let failed = read.buffer_unordered(AT_ONCE).filter_map(|(digest, read)| async move {
        let error = read.err()?;
        tracing::warn!(%digest, %error, "a kept result refers to a blob that cannot be read");
        Some((digest, error))
    });
    failed.collect().await
}

async fn read(blobs: &dyn BlobStore, digest: &Digest) -> Result<(), BlobError> {
    // It must outlast its result, which others may evict before this run refers to it.
    if !blobs.hold(digest).await? {
        return Err(BlobError::Missing(*digest));
    }
    // Damage ends the stream with an error.
    let mut content = blobs.open(digest).await?;
    while let Some(piece) = content.next().await {
        piece?;
    }
    Ok(())
}

async fn missed(host: &RunHost, results: &Results, asked: &Asked, unfit: Unfit) -> (StageIndex, Looked) {
    let miss = why(host, results, asked, unfit).await;
    (asked.stage, Looked::Miss(Box::new(miss.unwrap_or_else(|error| unreadable(host, &error)))))
}

/// The reason for people. What can never be taken is forgotten, so that the attempt which follows is kept in its place.
async fn why(host: &RunHost, results: &Results, asked: &Asked, unfit: Unfit) -> Result<Miss, StoreError> {
    let scope = &host.bus.scope;
    match unfit {
        Unfit::None => {
            let last = results.store.last_ingredients(scope, &asked.name).await?;
            Ok(last.map_or(Miss::First, |(run, before)| asked.ingredients.miss(run, &before)))
        }
        Unfit::Lost(result) => {
            results.store.forget_result(scope, &result.key).await?;
            Ok(Miss::Lost { run: result.job.run })
        }
        Unfit::Secret(result) => {
            results.store.forget_result(scope, &result.key).await?;
            Ok(Miss::Secret { run: result.job.run })
        }
        Unfit::Unreadable(miss) => Ok(miss),
    }
}

fn unreadable(host: &RunHost, error: &dyn Error) -> Miss {
    let message = host.masker().mask(&described(error));
    tracing::warn!(%message, "a cacheable stage runs, because nobody can tell whether it has to");
    Miss::Unreadable { message: message.into() }
}
