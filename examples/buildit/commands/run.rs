//! `buildit run`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use buildit::config::Sources;
use buildit::diagnostic::{Diagnostic, Diagnostics};
use buildit::engine::{Engine, ResumeError, RunHandle, StartError, StartOptions};
use buildit::pipeline::{ExpandLimits, PipelineError, RunContext};
use buildit::plan::Plan;
use buildit::run::forecast;
use buildit::store::RunRecord;
use buildit_executors::source::Source;

use super::shell::open_shells;
use crate::args::{ResumeArgs, RunArgs, RunOutput};
use crate::diagnostics::Teller;
use crate::exit::{Exit, Failure, Outcome};
use crate::look::Look;
use crate::out::Out;
use crate::pipelines::{self, Compiled};
use crate::report::{self, Board, Human, Json, Live, Plain, Reporter};
use crate::session::{self, Answers, Executors, Follower, Keep, Signals, Stores, state, unless_signalled};
use crate::source;
use crate::text::clean;

pub(crate) async fn run(args: RunArgs, look: Look) -> Outcome {
    // Before anything is begun: from here on a signal ends nothing without tidying up.
    let mut signals = Signals::open().map_err(Failure::backend)?;
    let output = args.output.unwrap_or_else(|| look.run_output());
    let session = Arc::new(Session {
        answers: Answers::new(&args, state::person()),
        folder: source::folder(args.context.source.as_deref())?,
        state: state::folder()?,
        teller: if output == RunOutput::Json { Teller::Json } else { Teller::Human(look.stderr()) },
        args,
        look,
        output,
    });
    let Some(journal) = &session.args.journal else {
        // In a store there are many runs, and `resume` takes up those that were broken off.
        let keep = Keep::store(session.args.store.as_deref()).await?;
        return session.start(&keep, &mut signals).await;
    };
    // A journal is of one run after the other.
    let keep = Keep::journal(journal)?;
    let open = Arc::clone(&session).open(keep.stores.clone());
    match unless_signalled(&mut signals, open).await? {
        None => Ok(session.broken_off()),
        Some(open) if open.is_empty() => session.start(&keep, &mut signals).await,
        Some(open) => match session.resume(open, true, &keep, &mut signals).await? {
            Some(exit) => Ok(exit),
            None => session.start(&keep, &mut signals).await,
        },
    }
}

/// `buildit resume`: all runs of a store that nobody drives.
pub(crate) async fn resume(args: ResumeArgs, look: Look) -> Outcome {
    let mut signals = Signals::open().map_err(Failure::backend)?;
    let output = args.output.unwrap_or_else(|| look.run_output());
    let keep = Keep::store(args.store.store.as_deref()).await?;
    let args = RunArgs {
        store: args.store.store,
        secrets: args.secrets,
        secret_files: args.secret_files,
        approve: args.approve,
        approve_all: args.approve_all,
        approve_fields: args.approve_fields,
        ..RunArgs::default()
    };
    let session = Arc::new(Session {
        answers: Answers::new(&args, state::person()),
        folder: source::folder(None)?,
        state: state::folder()?,
        teller: if output == RunOutput::Json { Teller::Json } else { Teller::Human(look.stderr()) },
        args,
        look,
        output,
    });
    let open = Arc::clone(&session).open(keep.stores.clone());
    let Some(open) = unless_signalled(&mut signals, open).await? else { return Ok(session.broken_off()) };
    let exit = session.resume(open, false, &keep, &mut signals).await?;
    if exit.is_none() {
        Out::stderr().line("no run was broken off that no other process has taken up");
    }
    Ok(exit.unwrap_or(Exit::Succeeded))
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

/// All that a run needs before it starts.
struct Prepared {
    compiled: Compiled,
    context: RunContext,
    executors: Executors,
    engine: Engine,
    options: StartOptions,
}

/// A run that an earlier process left open.
struct Open {
    record: RunRecord,
    plan: Plan,
    /// Whether its file says something else now.
    is_edited: bool,
}

impl Open {
    /// Whether there is something left of it to do but to clear away.
    fn is_unfinished(&self) -> bool {
        !self.record.status.is_final()
    }

    /// Its name for people: `run #3 of `shop``.
    fn name(&self) -> String {
        format!("run #{} of `{}`", self.record.number, clean(&self.plan.spec().name))
    }
}

impl Session {
    /// The runs that are open.
    async fn open(self: Arc<Self>, Stores { store, .. }: Stores) -> Result<Vec<Open>, Failure> {
        let mut open = Vec::new();
        for run in store.open_runs().await.map_err(Failure::backend)? {
            let record = store.run(run).await.map_err(Failure::backend)?;
            let plan = Plan::restore(Arc::clone(&record.run.plan)).map_err(Failure::backend)?;
            open.push(Open { record, plan, is_edited: false });
        }
        Ok(open)
    }

    /// A signal came before anything was started or taken up.
    fn broken_off(&self) -> Exit {
        Out::stderr().line("buildit: cancelled before anything started");
        Exit::Cancelled
    }

    /// Starts a run of the pipeline that was asked for.
    async fn start(self: &Arc<Self>, keep: &Keep, signals: &mut Signals) -> Outcome {
        let prepared = Arc::clone(self).prepare(keep.stores.clone(), keep.places.clone());
        let Some(prepared) = unless_signalled(signals, prepared).await? else { return Ok(self.broken_off()) };
        let Prepared { compiled, context, executors, engine, options } = prepared;
        // A signal that comes from here on finds a run to cancel.
        let run = engine.start(&compiled.pipeline, options).await.map_err(|error| self.refused(error, &compiled))?;
        self.drive(&run, &context, &executors, signals).await
    }

    /// Reads the pipeline, the source and what surrounds them.
    async fn prepare(self: Arc<Self>, stores: Stores, kept: Vec<PathBuf>) -> Result<Prepared, Failure> {
        let compiled = pipelines::compile(&pipelines::file(self.args.file.clone()), self.teller)?;
        let excluded: Vec<PathBuf> = std::iter::once(self.state.clone()).chain(kept).collect();
        let source = Source::open(&self.folder, &excluded).await.map_err(Failure::refused)?;
        let context = session::context(&self.args.context, &source, &compiled.plan).await?;
        self.check_approvals(&compiled, &context)?;
        let mut executors = Executors::new(&self.args, &self.state, &self.folder);
        let engine = self.engine(&stores, &mut executors, &[(&compiled.plan, &*context.only)]).await?;
        let mut options = StartOptions::new(context.clone());
        if !self.args.in_place {
            let (digest, _) =
                source.store(&stores.blobs, &compiled.plan.spec().checkout).await.map_err(Failure::backend)?;
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

    /// Takes up what an earlier process left open, one run after another; `None` when all had ended already. `for_file`
    /// tells that somebody asked for a run of a file.
    async fn resume(
        self: &Arc<Self>,
        open: Vec<Open>,
        for_file: bool,
        keep: &Keep,
        signals: &mut Signals,
    ) -> Result<Option<Exit>, Failure> {
        let prepared = Arc::clone(self).prepare_again(open, for_file, keep.stores.clone());
        let Some((open, executors, engine)) = unless_signalled(signals, prepared).await? else {
            return Ok(Some(self.broken_off()));
        };
        let mut exit = Exit::Succeeded;
        let mut ended = 0;
        for open in &open {
            let started = &open.record.run;
            let resumed = match engine.resume_run(started.id).await {
                // In a store there are runs of other processes, too.
                Err(ResumeError::Elsewhere(_)) if !for_file => {
                    ended += 1;
                    continue;
                }
                resumed => resumed.map_err(Failure::backend)?,
            };
            match resumed {
                Some(run) => {
                    if for_file {
                        self.say_resumed(open);
                    }
                    exit = exit.worst(self.drive(&run, &started.context, &executors, signals).await?);
                }
                // It had ended, and only its remains were there: no answer to what was asked for now.
                None => ended += 1,
            }
        }
        Ok((ended < open.len()).then_some(exit))
    }

    /// Looks at what the file says now: it has to be the pipeline of a run that is open, or who asks for another one
    /// would take the end of that run for its own.
    fn compare(&self, open: &mut [Open]) -> Result<(), Failure> {
        let unfinished: Vec<&Open> = open.iter().filter(|open| open.is_unfinished()).collect();
        let Some(first) = unfinished.first() else { return Ok(()) };
        let file = pipelines::file(self.args.file.clone());
        let pipeline = pipelines::read(&file, self.teller)?;
        let asked = &pipeline.spec().name;
        if unfinished.iter().all(|open| open.plan.spec().name != *asked) {
            let message = format!("{} is open in this journal, and `{asked}` is another pipeline", first.name());
            let spec = first.plan.spec();
            let of_stage = || spec.stages.iter().find_map(|stage| stage.origins.get("stage"));
            let its = spec.origins.get("pipeline").or_else(of_stage).map_or("FILE", |origin| &origin.file);
            let journal = self.args.journal.as_deref().unwrap_or(Path::new("DIR")).display();
            let help = format!(
                "`buildit run {its} --journal {journal}` finishes it; with another --journal `{asked}` has its own"
            );
            let found = Diagnostics(vec![Diagnostic::error("another-run-open", message).with_help(help)]);
            self.teller.tell(&found, &Sources::default(), &file.display().to_string());
            return Err(Failure::Told);
        }
        // A file of which no plan can be made any more has been edited, and nothing else of it matters.
        let plan = Plan::compile(pipeline.spec(), ExpandLimits::default()).ok();
        for open in open {
            open.is_edited = plan.as_ref().is_none_or(|plan| plan.spec() != open.plan.spec());
        }
        Ok(())
    }

    /// That a run goes on, and that most of what was asked for now has no part in it. On standard error in any form:
    /// it is no result.
    fn say_resumed(&self, open: &Open) {
        let file = pipelines::file(self.args.file.clone()).display().to_string();
        let file = clean(&file);
        let edited = if open.is_edited { format!("; {file} has changed since") } else { String::new() };
        Out::stderr().line(&format!(
            "buildit: resuming {} as it was started: neither what {file} says now nor options such as --param apply \
             to it{edited}",
            open.name()
        ));
    }

    /// Sees to it that open runs can be taken up. One that is refused stays as it is: its jobs go on by themselves,
    /// and a later process can take it up.
    async fn prepare_again(
        self: Arc<Self>,
        mut open: Vec<Open>,
        for_file: bool,
        stores: Stores,
    ) -> Result<(Vec<Open>, Executors, Engine), Failure> {
        if for_file {
            self.compare(&mut open)?;
        }
        let mut findings = Vec::new();
        for Open { record, plan, .. } in open.iter().filter(|open| open.is_unfinished()) {
            let spec = plan.spec();
            findings.extend(self.answers.unknown(spec));
            if spec.stages.iter().all(|stage| stage.approval.is_none()) {
                continue;
            }
            let decided = session::decided(&*stores.store, record.run.id).await.map_err(Failure::backend)?;
            let Some(decided) = decided else { continue };
            let may_run = may_run(plan, &record.run.context)?;
            let may_ask = |name: &str| !decided.contains(name) && may_run(name);
            findings.extend(self.answers.needed(spec, self.look.is_interactive(), |stage| may_ask(&stage.name)));
        }
        if !findings.is_empty() {
            let file = pipelines::file(self.args.file.clone()).display().to_string();
            self.teller.tell(&Diagnostics(findings), &Sources::default(), &file);
            return Err(Failure::Told);
        }
        let mut executors = Executors::new(&self.args, &self.state, &self.folder);
        let kept: Vec<_> = open.iter().map(|open| (&open.plan, &*open.record.run.context.only)).collect();
        let engine = self.engine(&stores, &mut executors, &kept).await?;
        Ok((open, executors, engine))
    }

    async fn engine(
        &self,
        stores: &Stores,
        executors: &mut Executors,
        pipelines: &[(&Plan, &[String])],
    ) -> Result<Engine, Failure> {
        let secrets = session::secrets(&self.args.secrets, &self.args.secret_files)?;
        let Stores { store, blobs, caches } = stores.clone();
        let mut engine = Engine::builder().secrets(secrets).store(store).blobs(blobs).caches(caches);
        engine =
            executors.register(engine, pipelines, self.args.executor.as_deref()).await.map_err(Failure::backend)?;
        if self.args.in_place {
            engine = engine.max_jobs(1);
        }
        engine.build().map_err(Failure::refused)
    }

    fn check_approvals(&self, compiled: &Compiled, context: &RunContext) -> Result<(), Failure> {
        let spec = compiled.plan.spec();
        if spec.stages.iter().all(|stage| stage.approval.is_none()) && self.answers.is_empty() {
            return Ok(());
        }
        let may_run = may_run(&compiled.plan, context)?;
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
            open_shells(&board, executors, self.look, signals).await;
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

/// Whether a stage can come to run, or to ask, as far as that can be told before.
fn may_run(plan: &Plan, context: &RunContext) -> Result<impl Fn(&str) -> bool, Failure> {
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
