//! What the commands that drive runs share.

use std::path::PathBuf;
use std::sync::Arc;

use buildit::config::Sources;
use buildit::diagnostic::{Diagnostic, Diagnostics};
use buildit::engine::{Engine, RunHandle, StartError};
use buildit::environment::MemoryEnvironments;
use buildit::id::RunId;
use buildit::pipeline::{PipelineError, RunContext};
use buildit::plan::Plan;
use buildit::run::forecast;
use buildit::secret::ChainedSecrets;
use buildit_executors::source::ArchiveIndexer;

use super::super::shell::open_shells;
use crate::args::{GivenArgs, RunArgs, RunOutput};
use crate::diagnostics::Teller;
use crate::exit::{Exit, Failure, Outcome};
use crate::look::Look;
use crate::out::Out;
use crate::remote::{RemoteRecords, RemoteRun, failed};
use crate::report::{self, Board, Human, Json, Live, Plain, Reporter};
use crate::session::{self, Answers, Executors, Follower, FoundAgain, Place, Records, Signals, Stores, Wanted, state};
use crate::source;

/// What does not change while runs are driven.
pub(super) struct Session {
    pub(super) args: RunArgs,
    pub(super) look: Look,
    pub(super) output: RunOutput,
    pub(super) teller: Teller,
    pub(super) answers: Answers,
    pub(super) state: PathBuf,
    /// Whether the runs are of before, and what they were given is not given again: secrets are found by their names.
    is_again: bool,
}

impl Session {
    /// For a new run.
    pub(super) fn new(args: RunArgs, look: Look) -> Result<Arc<Self>, Failure> {
        Self::of(args, look).map(Arc::new)
    }

    fn of(args: RunArgs, look: Look) -> Result<Self, Failure> {
        let output = args.output.unwrap_or_else(|| look.run_output());
        Ok(Self {
            answers: Answers::new(&args, state::person()),
            state: state::folder()?,
            teller: if output == RunOutput::Json { Teller::Json } else { Teller::Human(look.stderr()) },
            args,
            look,
            output,
            is_again: false,
        })
    }

    /// For runs of before, in a store.
    pub(super) fn again(given: GivenArgs, look: Look) -> Result<Arc<Self>, Failure> {
        let args = RunArgs {
            secrets: given.secrets,
            secret_files: given.secret_files,
            approve: given.approve,
            approve_all: given.approve_all,
            approve_fields: given.approve_fields,
            output: given.output,
            ..RunArgs::default()
        };
        Ok(Arc::new(Self { is_again: true, ..Self::of(args, look)? }))
    }

    /// A signal came before anything was started or taken up.
    pub(super) fn broken_off(&self) -> Exit {
        Out::stderr().line("buildit: cancelled before anything started");
        Exit::Cancelled
    }

    /// The folder that stages see.
    pub(super) fn folder(&self) -> Result<PathBuf, Failure> {
        source::folder(self.args.context.source.as_deref())
    }

    /// Where a run works that is started with these arguments.
    pub(super) fn place(&self) -> Result<Place, Failure> {
        if self.args.in_place { self.folder().map(Place::InPlace) } else { Ok(Place::Workspaces) }
    }

    /// An engine for these runs in this place.
    pub(super) async fn engine(
        &self,
        stores: &Stores,
        executors: &mut Executors,
        runs: &[Wanted<'_>],
        place: &Place,
    ) -> Result<Engine, Failure> {
        let given = session::secrets(&self.args.secrets, &self.args.secret_files)?;
        let Stores { store, blobs, caches, results, secrets: sealed, .. } = stores.clone();
        let mut secrets = ChainedSecrets::new().then(given);
        if let Some(kept) = session::kept_secrets(sealed)? {
            secrets = secrets.then(kept);
        }
        if self.is_again {
            secrets = secrets.then(FoundAgain);
        }
        let mut engine = Engine::builder().secrets(secrets).store(store).blobs(blobs).caches(caches);
        // In place a stage sees every file, whatever it declares: its result says nothing about another run's.
        if !place.is_in_place() {
            engine = engine.results(results).source_indexer(ArchiveIndexer);
        }
        // Those that a run of a server brought: there are no others here.
        let environments = runs.iter().flat_map(|run| &run.context.environments);
        let known = environments.fold(MemoryEnvironments::new(), |known, (name, of)| known.with(name, of.clone()));
        if runs.iter().any(|run| !run.context.environments.is_empty()) {
            engine = engine.environments(known);
        }
        engine = executors.register(engine, runs).await.map_err(Failure::backend)?;
        if place.is_in_place() {
            engine = engine.max_jobs(1);
        }
        engine.build().map_err(Failure::refused)
    }

    /// Why a run was not started, told in the form that was asked for.
    pub(super) fn refused(&self, error: StartError, sources: &Sources, file: &str) -> Failure {
        let found = match error {
            StartError::Diagnostics(found) => found,
            StartError::Pipeline(error @ PipelineError::Param { .. }) => {
                Diagnostics(vec![Diagnostic::error("bad-param", error.to_string())])
            }
            StartError::Secret(error) => {
                // Why, down to the key that is another.
                let message = format!("{:#}", anyhow::Error::new(error));
                Diagnostics(vec![Diagnostic::error("bad-secret", message)])
            }
            StartError::Store(error) => return Failure::backend(error),
            other => return Failure::refused(other),
        };
        self.teller.tell(&found, sources, file);
        Failure::Told
    }

    /// Follows a run to its end.
    pub(super) async fn drive(
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
        Follower::new(run, spec, &self.answers, asks).follow(&mut board, &mut *reporter, signals).await?;
        // Ended, and nothing is left of it.
        let report = run.wait().await.map_err(Failure::backend)?;
        reporter.finish(&board);
        if self.args.shell_on_failure {
            open_shells(&board, executors, self.look, signals).await;
        }
        if self.args.keep {
            kept(&board, executors);
        } else if self.args.shell_on_failure {
            executors.discard(run.id()).await.map_err(Failure::Backend)?;
        }
        Ok(Exit::of_run(report.status, board.is_infrastructure_failure()))
    }

    /// Follows a run on a server to its end.
    pub(super) async fn watch(&self, records: &RemoteRecords, run: RunId, signals: &mut Signals) -> Outcome {
        let record = records.run(run).await.map_err(failed)?;
        let mut board = Board::new(run, record.number, &record.run.plan, of(&record.run.context));
        let mut reporter = self.reporter();
        let asks = self.look.is_interactive().then(|| self.look.stderr());
        let course = RemoteRun::new(records.clone(), run);
        let follower = Follower::new(&course, &record.run.plan, &self.answers, asks);
        follower.follow(&mut board, &mut *reporter, signals).await?;
        reporter.finish(&board);
        Ok(Exit::of_run(board.status, board.is_infrastructure_failure()))
    }

    pub(super) fn reporter(&self) -> Box<dyn Reporter> {
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

/// Whether a stage can come to run, or to ask, as far as that can be told before.
pub(super) fn may_run(plan: &Plan, context: &RunContext) -> Result<impl Fn(&str) -> bool, Failure> {
    let forecasts = forecast(plan, context).map_err(Failure::refused)?;
    Ok(move |name: &str| plan.graph().index(name).is_none_or(|stage| forecasts[stage.index()].may_run()))
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
