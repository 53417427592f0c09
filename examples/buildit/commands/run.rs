//! `buildit run`.

use std::path::PathBuf;
use std::sync::Arc;

use buildit::diagnostic::{Diagnostic, Diagnostics};
use buildit::engine::{Engine, RunHandle, StartError, StartOptions};
use buildit::pipeline::{PipelineError, PipelineSpec, RunContext};
use buildit::run::forecast;
use buildit::store::{RunStore, StoreError};
use buildit_executors::source::Source;

use super::shell::open_shells;
use crate::args::{RunArgs, RunOutput};
use crate::diagnostics::Teller;
use crate::exit::{Exit, Failure, Outcome};
use crate::look::Look;
use crate::out::Out;
use crate::pipelines::{self, Compiled};
use crate::report::{self, Board, Human, Json, Live, Plain, Reporter};
use crate::session::{self, Answers, Executors, Follower, Keep, Signals, state};
use crate::source;

/// The name under which this program holds the lease on its runs. A journal is locked, so that there is never a
/// second one: the next process takes the run over at once.
const WORKER: &str = "buildit";

pub(crate) async fn run(args: RunArgs, look: Look) -> Outcome {
    let output = args.output.unwrap_or_else(|| look.run_output());
    let session = Session {
        answers: Answers::new(&args, state::person()),
        folder: source::folder(args.context.source.as_deref())?,
        state: state::folder()?,
        teller: if output == RunOutput::Json { Teller::Json } else { Teller::Human(look.stderr()) },
        args,
        look,
        output,
    };
    let keep = Keep::open(session.args.journal.as_deref(), &session.state).map_err(|error| match error {
        StoreError::InUse { .. } => Failure::refused(error),
        other => Failure::backend(other),
    })?;
    // Before anything starts: a signal that comes now must not leave jobs behind.
    let mut signals = Signals::open().map_err(Failure::backend)?;
    let open = keep.store.open_runs().await.map_err(Failure::backend)?;
    if open.is_empty() { session.start(&keep, &mut signals).await } else { session.resume(&keep, &mut signals).await }
}

/// What does not change while runs are driven.
struct Session {
    args: RunArgs,
    look: Look,
    output: RunOutput,
    teller: Teller,
    answers: Answers,
    folder: PathBuf,
    state: PathBuf,
}

impl Session {
    /// Starts a run of the pipeline that was asked for.
    async fn start(&self, keep: &Keep, signals: &mut Signals) -> Outcome {
        let compiled = pipelines::compile(&pipelines::file(self.args.file.clone()), self.teller)?;
        let excluded: Vec<PathBuf> =
            [Some(self.state.clone()), self.args.journal.clone()].into_iter().flatten().collect();
        let source = Source::open(&self.folder, &excluded).await.map_err(Failure::refused)?;
        let context = session::context(&self.args.context, &source, &compiled.plan).await?;
        self.check_approvals(&compiled, &context)?;
        let mut executors = Executors::new(&self.args, &self.state, &self.folder);
        let engine = self.engine(keep, &mut executors, [&**compiled.plan.spec()]).await?;
        let mut options = StartOptions::new(context.clone());
        if !self.args.in_place {
            let blobs: Arc<dyn buildit::artifact::BlobStore> = Arc::new(keep.store.clone());
            let (digest, _) = source.store(&blobs, &compiled.plan.spec().checkout).await.map_err(Failure::backend)?;
            options = options.source(digest);
        }
        if let Some(executor) = &self.args.executor {
            options = options.executor(executor.as_str());
        }
        if let Some(jobs) = self.args.max_parallel {
            options = options.max_parallel(jobs);
        }
        let run = engine.start(&compiled.pipeline, options).await.map_err(|error| self.refused(error, &compiled))?;
        self.drive(&run, &context, &executors, signals).await
    }

    /// Takes up what an earlier process left open, one run after another.
    async fn resume(&self, keep: &Keep, signals: &mut Signals) -> Outcome {
        let mut executors = Executors::new(&self.args, &self.state, &self.folder);
        let open = keep.store.open_runs().await.map_err(Failure::backend)?;
        let mut records = Vec::with_capacity(open.len());
        for run in open {
            records.push(keep.store.run(run).await.map_err(Failure::backend)?.run);
        }
        let engine = self.engine(keep, &mut executors, records.iter().map(|run| &*run.plan)).await?;
        let mut exit = Exit::Succeeded;
        let mut ended = 0;
        for kept in &records {
            match engine.resume_run(kept.id).await.map_err(Failure::backend)? {
                Some(run) => exit = exit.worst(self.drive(&run, &kept.context, &executors, signals).await?),
                // It had ended, and only its remains were there: no answer to what was asked for now.
                None => ended += 1,
            }
        }
        if ended == records.len() { Box::pin(self.start(keep, signals)).await } else { Ok(exit) }
    }

    async fn engine<'a>(
        &self,
        keep: &Keep,
        executors: &mut Executors,
        pipelines: impl IntoIterator<Item = &'a PipelineSpec>,
    ) -> Result<Engine, Failure> {
        let secrets = session::secrets(&self.args.secrets, &self.args.secret_files)?;
        let store = Arc::new(keep.store.clone());
        let engine = Engine::builder().worker(WORKER).secrets(secrets);
        let mut engine = engine.store(Arc::clone(&store) as _).blobs(Arc::clone(&store) as _).caches(store);
        engine =
            executors.register(engine, pipelines, self.args.executor.as_deref()).await.map_err(Failure::backend)?;
        if self.args.in_place {
            engine = engine.max_jobs(1);
        }
        engine.build().map_err(Failure::refused)
    }

    fn check_approvals(&self, compiled: &Compiled, context: &RunContext) -> Result<(), Failure> {
        let spec = compiled.plan.spec();
        if spec.stages.iter().all(|stage| stage.approval.is_none()) && self.args.approve.is_empty() {
            return Ok(());
        }
        let forecasts = forecast(&compiled.plan, context).map_err(Failure::refused)?;
        let may_run =
            |name: &str| compiled.plan.graph().index(name).is_none_or(|stage| forecasts[stage.index()].may_run());
        let checked = self.answers.check(spec, self.look.is_interactive(), |stage| may_run(&stage.name));
        checked.map_err(|found| {
            self.teller.tell(&found, compiled.pipeline.sources(), &compiled.file);
            Failure::Told
        })
    }

    /// Why a run was not started, told in the form that was asked for.
    fn refused(&self, error: StartError, compiled: &Compiled) -> Failure {
        let found = match error {
            StartError::Diagnostics(found) => found,
            StartError::Pipeline(error @ PipelineError::Param { .. }) => {
                Diagnostics(vec![Diagnostic::error("bad-param", error.to_string())])
            }
            StartError::Secret(error) => Diagnostics(vec![Diagnostic::error("bad-secret", error.to_string())]),
            StartError::Store(error) => return Failure::backend(error),
            other => return Failure::refused(other),
        };
        self.teller.tell(&found, compiled.pipeline.sources(), &compiled.file);
        Failure::Told
    }

    /// Follows a run to its end.
    async fn drive(
        &self,
        run: &RunHandle,
        context: &RunContext,
        executors: &Executors,
        signals: &mut Signals,
    ) -> Outcome {
        let spec = run.plan().spec();
        let mut board = Board::new(run.id(), run.number(), spec, of(context));
        let mut reporter = self.reporter();
        let asks = self.look.is_interactive().then(|| self.look.stderr());
        Follower::new(run, &self.answers, asks).follow(&mut board, &mut *reporter, signals).await?;
        // Ended, and nothing is left of it.
        let report = run.wait().await.map_err(Failure::backend)?;
        reporter.finish(&board);
        if self.args.shell_on_failure {
            open_shells(&board, executors, spec, self.look).await;
        }
        if self.args.keep {
            kept(&board, executors);
        } else if self.args.shell_on_failure {
            executors.discard(run.id()).await.map_err(Failure::Backend)?;
        }
        Ok(Exit::of_run(report.status, board.is_infrastructure_failure()))
    }

    fn reporter(&self) -> Box<dyn Reporter> {
        let (out, errors) = (self.look.stdout(), self.look.stderr());
        match self.output {
            RunOutput::Json => Box::new(Json::new(Out::stdout())),
            RunOutput::Plain => {
                let keep = self.look.is_terminal().then(|| report::keep(out));
                Box::new(Plain::new(Out::stdout(), Out::stderr(), errors, keep))
            }
            RunOutput::Human => {
                let live = self.look.is_live().then(|| Live::new(Out::stderr(), errors));
                Box::new(Human::new(Out::stdout(), Out::stderr(), live, out))
            }
        }
    }
}

/// What a run is of, in a few words.
fn of(context: &RunContext) -> String {
    let git = &context.git;
    let name = if git.tag.is_empty() { &git.branch } else { &git.tag };
    let dirty = if git.dirty { "with changes" } else { "" };
    let words = [name.as_str(), git.short_sha(), dirty];
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" · ")
}

/// Tells where the workspaces are that were kept.
fn kept(board: &Board, executors: &Executors) {
    let mut out = Out::stderr();
    for (stage, shown) in &board.stages {
        for attempt in 1..=shown.attempt {
            let job = buildit::id::JobId { run: board.run, stage: stage.clone(), attempt };
            if let Some(remains) = executors.remains(&job) {
                let again = if shown.attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
                out.line(&format!("kept {stage}{again}: {remains}"));
            }
        }
    }
}
