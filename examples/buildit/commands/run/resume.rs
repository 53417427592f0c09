//! Taking up runs that an earlier process left open.

use std::path::Path;
use std::sync::Arc;

use buildit::config::Sources;
use buildit::diagnostic::{Diagnostic, Diagnostics};
use buildit::engine::{Engine, ResumeError};
use buildit::pipeline::ExpandLimits;
use buildit::plan::Plan;
use buildit::store::{NewRun, RunRecord};

use super::session::{Session, may_run};
use crate::args::ResumeArgs;
use crate::exit::{Exit, Failure, Outcome};
use crate::look::Look;
use crate::out::Out;
use crate::pipelines;
use crate::session::{self, Executors, Keep, Place, Signals, Stores, Wanted, asks, unless_signalled};
use crate::text::clean;

/// `buildit resume`: all runs of a store that nobody drives.
pub(crate) async fn resume(args: ResumeArgs, look: Look) -> Outcome {
    let mut signals = Signals::open().map_err(Failure::backend)?;
    let keep = Keep::store(&args.store).await?;
    let session = Session::again(args.given, look)?;
    let open = Arc::clone(&session).open(keep.stores.clone());
    let Some(open) = unless_signalled(&mut signals, open).await? else { return Ok(session.broken_off()) };
    let exit = session.resume(open, false, &keep, &mut signals).await?;
    if exit.is_none() {
        Out::stderr().line("no run was broken off that no other process has taken up");
    }
    Ok(exit.unwrap_or(Exit::Succeeded))
}

/// A run that an earlier process left open.
pub(super) struct Open {
    record: RunRecord,
    plan: Plan,
    /// Where its jobs work, or why they cannot go on.
    place: Result<Place, String>,
    /// Whether its file says something else now.
    is_edited: bool,
}

impl Open {
    /// Whether there is something left of it to do but to clear away.
    fn is_unfinished(&self) -> bool {
        !self.record.status.is_final()
    }

    /// Where it is to go on, or cleared away; none for one that has to be left open.
    fn goes_on(&self) -> Option<&Place> {
        match &self.place {
            Ok(place) => Some(place),
            // Nothing of it works in that folder any more.
            Err(_) if !self.is_unfinished() => Some(&Place::Workspaces),
            Err(_) => None,
        }
    }

    /// What its executors have to be for.
    fn wanted(&self) -> Wanted<'_> {
        let NewRun { context, executor, .. } = &self.record.run;
        Wanted { plan: &self.plan, context, executor: executor.as_deref() }
    }

    /// Its name for people: `run #3 of `shop``.
    fn name(&self) -> String {
        format!("run #{} of `{}`", self.record.number, clean(&self.plan.spec().name))
    }
}

/// What drives the runs of one place.
pub(super) struct Driver {
    place: Place,
    executors: Executors,
    engine: Engine,
}

impl Session {
    /// The runs that are open.
    pub(super) async fn open(self: Arc<Self>, Stores { store, .. }: Stores) -> Result<Vec<Open>, Failure> {
        let mut open = Vec::new();
        for run in store.open_runs().await.map_err(Failure::backend)? {
            let record = store.run(run).await.map_err(Failure::backend)?;
            let plan = Plan::restore(Arc::clone(&record.run.plan)).map_err(Failure::backend)?;
            let place = match Place::of(&record.run) {
                // One of before this was kept, whose folder is named once more.
                Err(_) if record.run.in_place.is_none() && self.args.in_place => Ok(self.place()?),
                place => place,
            };
            open.push(Open { record, plan, place, is_edited: false });
        }
        Ok(open)
    }

    /// Takes up what an earlier process left open, one run after another; `None` when all had ended already. `for_file`
    /// tells that somebody asked for a run of a file.
    pub(super) async fn resume(
        self: &Arc<Self>,
        open: Vec<Open>,
        for_file: bool,
        keep: &Keep,
        signals: &mut Signals,
    ) -> Result<Option<Exit>, Failure> {
        let prepared = Arc::clone(self).prepare_again(open, for_file, keep.stores.clone());
        let Some((open, drivers)) = unless_signalled(signals, prepared).await? else {
            return Ok(Some(self.broken_off()));
        };
        let mut exit = Exit::Succeeded;
        let mut ended = 0;
        for open in &open {
            let started = &open.record.run;
            let driver = open.goes_on().and_then(|place| drivers.iter().find(|driver| driver.place == *place));
            let Some(Driver { place, executors, engine }) = driver else {
                ended += 1;
                continue;
            };
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
                    if let Place::InPlace(folder) = place {
                        let (name, folder) = (open.name(), folder.display().to_string());
                        let line = format!("buildit: {name} goes on in place, in {} as it is now", clean(&folder));
                        Out::stderr().line(&line);
                    }
                    exit = exit.worst(self.drive(&run, &started.context, executors, signals).await?);
                    // Whoever asked to end did not ask for the next run.
                    if signals.came() {
                        break;
                    }
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
    ) -> Result<(Vec<Open>, Vec<Driver>), Failure> {
        if for_file {
            self.compare(&mut open)?;
        }
        for open in open.iter().filter(|open| open.goes_on().is_none()) {
            let line = format!("{} {}", open.name(), open.place.as_ref().err().map_or("", String::as_str));
            // A journal is of one run after the other: the next one has to wait for this.
            if for_file {
                return Err(Failure::usage(format!("{line}; with another --journal a new run starts")));
            }
            Out::stderr().line(&format!("buildit: {line}; left open"));
        }
        let mut findings = Vec::new();
        for Open { record, plan, .. } in open.iter().filter(|open| open.is_unfinished() && open.goes_on().is_some()) {
            let spec = plan.spec();
            let context = &record.run.context;
            findings.extend(self.answers.unknown(spec, context));
            if !spec.stages.iter().any(|stage| asks(stage, context)) {
                continue;
            }
            let decided = session::decided(&*stores.store, record.run.id).await.map_err(Failure::backend)?;
            let Some(decided) = decided else { continue };
            let may_run = may_run(plan, context)?;
            let may_ask = |name: &str| !decided.contains(name) && may_run(name);
            findings
                .extend(self.answers.needed(spec, context, self.look.is_interactive(), |stage| may_ask(&stage.name)));
        }
        if !findings.is_empty() {
            let file = pipelines::file(self.args.file.clone()).display().to_string();
            self.teller.tell(&Diagnostics(findings), &Sources::default(), &file);
            return Err(Failure::Told);
        }
        let drivers = self.drivers(&open, &stores).await?;
        Ok((open, drivers))
    }

    /// What drives these runs, for each place where some of them work.
    async fn drivers(&self, open: &[Open], stores: &Stores) -> Result<Vec<Driver>, Failure> {
        let mut drivers: Vec<Driver> = Vec::new();
        for place in open.iter().filter_map(Open::goes_on) {
            if drivers.iter().any(|driver| driver.place == *place) {
                continue;
            }
            let here = open.iter().filter(|open| open.goes_on() == Some(place));
            let kept: Vec<_> = here.map(Open::wanted).collect();
            let mut executors = Executors::new(&self.args, &self.state, place);
            let engine = self.engine(stores, &mut executors, &kept, place).await?;
            drivers.push(Driver { place: place.clone(), executors, engine });
        }
        Ok(drivers)
    }
}
