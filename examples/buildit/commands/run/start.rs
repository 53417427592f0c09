//! Starting a run of a file.

use std::path::PathBuf;
use std::sync::Arc;

use buildit::artifact::BlobStore;
use buildit::engine::{Engine, StartOptions};
use buildit::pipeline::RunContext;
use buildit_executors::source::Source;

use super::session::{Session, may_run};
use crate::exit::{Failure, Outcome};
use crate::pipelines::{self, Compiled};
use crate::session::{self, Executors, Keep, Signals, Stores, Wanted, unless_signalled};

/// All that a run needs before it starts.
struct Prepared {
    compiled: Compiled,
    context: RunContext,
    executors: Executors,
    engine: Engine,
    options: StartOptions,
}

impl Session {
    /// Starts a run of the pipeline that was asked for.
    pub(super) async fn start(self: &Arc<Self>, keep: &Keep, signals: &mut Signals) -> Outcome {
        let prepared = Arc::clone(self).prepare(keep.stores.clone(), keep.places.clone());
        let Some(prepared) = unless_signalled(signals, prepared).await? else { return Ok(self.broken_off()) };
        let Prepared { compiled, context, executors, engine, options } = prepared;
        // A signal that comes from here on finds a run to cancel.
        let Compiled { pipeline, file, .. } = &compiled;
        let started = engine.start(pipeline, options).await;
        let run = started.map_err(|error| self.refused(error, pipeline.sources(), file))?;
        self.drive(&run, &context, &executors, signals).await
    }

    /// Reads the pipeline, the source and what surrounds them.
    async fn prepare(self: Arc<Self>, stores: Stores, kept: Vec<PathBuf>) -> Result<Prepared, Failure> {
        let compiled = pipelines::compile(&pipelines::file(self.args.file.clone()), self.teller)?;
        let excluded: Vec<PathBuf> = std::iter::once(self.state.clone()).chain(kept).collect();
        let source = Source::open(&self.folder()?, &excluded).await.map_err(Failure::refused)?;
        let context = session::context(&self.args.context, &source, &compiled.plan).await?;
        self.check_approvals(&compiled, &context)?;
        let place = self.place()?;
        let mut executors = Executors::new(&self.args, &self.state, &place);
        let wanted = Wanted { plan: &compiled.plan, context: &context, executor: self.args.executor.as_deref() };
        let engine = self.engine(&stores, &mut executors, &[wanted], &place).await?;
        let mut options = StartOptions::new(context.clone());
        if let Some(folder) = place.folder() {
            options = options.in_place(folder);
        }
        if !place.is_in_place() {
            let blobs: Arc<dyn BlobStore> = stores.blobs.clone();
            let (digest, _) = source.store(&blobs, &compiled.plan.spec().checkout).await.map_err(Failure::backend)?;
            options = options.source(digest);
        }
        if let Some(executor) = &self.args.executor {
            options = options.executor(executor.as_str());
        }
        if let Some(jobs) = self.args.max_parallel {
            options = options.max_parallel(jobs);
        }
        Ok(Prepared { compiled, context, executors, engine, options })
    }

    fn check_approvals(&self, compiled: &Compiled, context: &RunContext) -> Result<(), Failure> {
        let spec = compiled.plan.spec();
        if spec.stages.iter().all(|stage| stage.approval.is_none()) && self.answers.is_empty() {
            return Ok(());
        }
        let may_run = may_run(&compiled.plan, context)?;
        let checked = self.answers.check(spec, context, self.look.is_interactive(), |stage| may_run(&stage.name));
        checked.map_err(|found| {
            self.teller.tell(&found, compiled.pipeline.sources(), &compiled.file);
            Failure::Told
        })
    }
}
