//! `buildit run --like`: a run of a server, run again here.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use buildit::artifact::BlobStore;
use buildit::engine::Rerun;
use buildit::id::{Digest, ExecutorName, RunId};
use buildit::pipeline::{EnvironmentSpec, Protection, RunContext, StarterRule};
use buildit::store::{NewRun, RunRecord};
use buildit_executors::source::Source;

use super::super::kept::find;
use super::rerun::Prepared;
use super::session::Session;
use crate::args::{RunArgs, ServerArgs};
use crate::exit::{Failure, Outcome};
use crate::look::Look;
use crate::remote::{Client, RemoteRecords, RunUrl, failed};
use crate::session::{Checkout, Keep, Records, Signals, Stores, state, unless_signalled};

/// `buildit run --like`.
pub(super) async fn run_like(run: String, args: RunArgs, look: Look) -> Outcome {
    let mut signals = Signals::open().map_err(Failure::backend)?;
    let keep = Keep::store(&args.store).await?;
    let session = Session::new(args, look)?;
    let prepared = Arc::clone(&session).prepare_like(run, keep.stores.clone(), keep.places.clone());
    let Some(prepared) = unless_signalled(&mut signals, prepared).await? else { return Ok(session.broken_off()) };
    let exit = session.start_again(prepared, &mut signals).await?;
    session.afterwards(&session.args.store, &keep, &mut signals).await;
    Ok(exit)
}

impl Session {
    /// Fetches the run, and its source.
    async fn prepare_like(
        self: Arc<Self>,
        run: String,
        stores: Stores,
        kept: Vec<PathBuf>,
    ) -> Result<Prepared, Failure> {
        let (records, run) = original(&run).await?;
        let RunRecord { run: there, .. } = records.run(run).await.map_err(failed)?;
        let mut here = NewRun { context: Arc::new(context(&there.context, &self.args.context.stages)), ..there };
        if let Some(executor) = &self.args.executor {
            here.executor = Some(ExecutorName::from(executor.as_str()));
        }
        here.max_parallel = self.args.max_parallel.or(here.max_parallel);
        // All that speaks against it is told before its source is fetched.
        let mut prepared = self.ready(Rerun::of_elsewhere(here.clone()).map_err(Failure::refused)?, &stores).await?;
        let source = match here.source {
            Some(_) if self.args.context.source.is_some() => {
                let message = "the server keeps the source of that run: --source is for one of which it keeps none";
                return Err(Failure::usage(message));
            }
            Some(digest) => fetched(&records, run, digest, &stores).await?,
            None => self.checked_out(&here, &stores, kept).await?,
        };
        let here = NewRun { source: Some(source), ..here };
        prepared.rerun = Rerun::of_elsewhere(here).map_err(Failure::refused)?;
        Ok(prepared)
    }

    /// The source of a run that the server keeps none of: its commit, as a repository here has it, or nothing where it is of
    /// no commit.
    async fn checked_out(&self, run: &NewRun, stores: &Stores, kept: Vec<PathBuf>) -> Result<Digest, Failure> {
        let blobs: Arc<dyn BlobStore> = stores.blobs.clone();
        let commit = &run.context.git.sha;
        let stored = if commit.is_empty() {
            let nothing = tempfile::tempdir().map_err(Failure::backend)?;
            let source = Source::open(nothing.path(), &[]).await.map_err(Failure::refused)?;
            source.store(&blobs, &run.plan.checkout).await
        } else {
            let excluded: Vec<PathBuf> = std::iter::once(self.state.clone()).chain(kept).collect();
            let checkout = Checkout::open(&self.folder()?, commit, &run.plan.checkout, &excluded).await?;
            checkout.source.store(&blobs, &run.plan.checkout).await
        };
        stored.map(|(digest, _)| digest).map_err(Failure::backend)
    }
}

/// The run that is meant: by its address, or by what names it on the server that is asked usually.
async fn original(text: &str) -> Result<(RemoteRecords, RunId), Failure> {
    if text.contains("://") {
        let url: RunUrl = text.parse()?;
        let records = RemoteRecords::new(Client::open(&url.server)?);
        let run = url.find(records.client()).await?;
        return Ok((records, run));
    }
    let records = RemoteRecords::new(Client::open(&ServerArgs::default().server()?)?);
    let run = find(&records, text).await?;
    Ok((records, run))
}

/// The source that the server keeps, which is fetched unless it is here.
async fn fetched(records: &RemoteRecords, run: RunId, digest: Digest, stores: &Stores) -> Result<Digest, Failure> {
    if !stores.blobs.hold(&digest).await.map_err(Failure::backend)? {
        let came = records.source(run, &*stores.blobs).await?;
        if came != digest {
            let message = "the source that the server sent is not the one that the run was made of";
            return Err(Failure::Backend(anyhow::anyhow!("{message}: {came} instead of {digest}")));
        }
    }
    Ok(digest)
}

/// What the run is started with here: what it was started with there, but for what is the server's own.
fn context(there: &RunContext, stages: &[String]) -> RunContext {
    let environments = there.environments.iter().map(|(name, environment)| (name.clone(), here(environment)));
    RunContext {
        // Its page, and its pipeline there: secrets here are those of the pipeline's name.
        url: String::new(),
        pipeline_id: String::new(),
        started_by: state::person(),
        environments: environments.collect(),
        only: if stages.is_empty() { there.only.clone() } else { stages.to_vec() },
        ..there.clone()
    }
}

/// An environment as it is here. Its variables are those of the run. Who has to agree on the server is not here: where
/// somebody has to, whoever runs it is asked once. The time that it waits there protects what the server's secrets open,
/// and none of them is here.
fn here(environment: &EnvironmentSpec) -> EnvironmentSpec {
    let Protection { approvals, branches, .. } = &environment.protection;
    let protection = Protection {
        approvals: (*approvals).min(1),
        by: Vec::new(),
        starter: StarterRule::May,
        branches: branches.clone(),
        wait: Duration::ZERO,
    };
    EnvironmentSpec { variables: environment.variables.clone(), protection }
}
