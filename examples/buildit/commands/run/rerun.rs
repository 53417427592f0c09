//! Running a kept run again.

use std::collections::HashSet;
use std::sync::Arc;

use buildit::config::Sources;
use buildit::engine::{Engine, Rerun, RerunError};
use buildit::id::RunId;
use buildit::store::NewRun;

use super::super::kept::find;
use super::elsewhere;
use super::session::{Session, may_run};
use crate::args::RerunArgs;
use crate::exit::{Failure, Outcome};
use crate::look::Look;
use crate::session::{Executors, Keep, Place, Signals, Stores, Wanted, unless_signalled};
use crate::text::clean;

/// `buildit rerun`.
pub(crate) async fn rerun(args: RerunArgs, look: Look) -> Outcome {
    if let Some(server) = args.place.server() {
        return elsewhere::rerun(&server, args, look).await;
    }
    let mut signals = Signals::open().map_err(Failure::backend)?;
    let keep = Keep::store(&args.place.store).await?;
    let run = find(&keep.stores, &args.run).await?;
    let kept = keep.stores.store.run(run).await.map_err(Failure::backend)?.run;
    if kept.source.is_none() {
        return Err(Failure::usage(in_place(&kept)));
    }
    let session = Session::again(args.given, look)?;
    let prepared = Arc::clone(&session).prepare_rerun(run, args.from_failed, keep.stores.clone());
    let Some(prepared) = unless_signalled(&mut signals, prepared).await? else {
        return Ok(session.broken_off());
    };
    let exit = session.start_again(prepared, &mut signals).await?;
    session.afterwards(&args.place.store, &keep, &mut signals).await;
    Ok(exit)
}

/// Why a run without a source is not run again. A rerun is of what was there then, and nothing of that is kept: the folder
/// has what the run left there, and what was changed since. Going on from the stages that succeeded would be worse: a
/// file that they left is taken for what they made, whoever has written it.
fn in_place(run: &NewRun) -> String {
    let place = run.in_place.as_ref().map_or_else(String::new, |folder| format!(" in {}", clean(&folder.path)));
    format!(
        "that run worked in place{place}, and what it was run on is not kept; `buildit run --in-place` there runs what \
         is there now"
    )
}

/// All that a run needs before it starts again.
pub(super) struct Prepared {
    pub(super) rerun: Rerun,
    executors: Executors,
    engine: Engine,
}

impl Session {
    async fn prepare_rerun(
        self: Arc<Self>,
        run: RunId,
        from_failed: bool,
        stores: Stores,
    ) -> Result<Prepared, Failure> {
        let rerun = match from_failed {
            true => Rerun::from_failed(&*stores.store, run).await,
            false => Rerun::all(&*stores.store, run).await,
        };
        let rerun = rerun.map_err(|error| match error {
            RerunError::NotEnded(_) => Failure::usage(format!("{error}; `buildit resume` takes it up")),
            RerunError::NothingFailed(_) => {
                Failure::usage(format!("{error}; without --from-failed all of it runs again"))
            }
            error => Failure::backend(error),
        })?;
        self.ready(rerun, &stores).await
    }

    /// Sees to it that it can run.
    pub(super) async fn ready(&self, rerun: Rerun, stores: &Stores) -> Result<Prepared, Failure> {
        self.check_answers(&rerun)?;
        let place = Place::Workspaces;
        let mut executors = Executors::new(&self.args, &self.state, &place);
        let wanted = Wanted { plan: rerun.plan(), context: rerun.context(), executor: rerun.executor() };
        let engine = self.engine(stores, &mut executors, &[wanted], &place).await?;
        Ok(Prepared { rerun, executors, engine })
    }

    /// Starts it, and follows it to its end.
    pub(super) async fn start_again(&self, prepared: Prepared, signals: &mut Signals) -> Outcome {
        let Prepared { rerun, executors, engine } = prepared;
        let (plan, context) = (rerun.plan().clone(), Arc::clone(rerun.context()));
        let started = engine.rerun(rerun).await;
        let run = started.map_err(|error| self.refused(error, &Sources::default(), &plan.spec().name))?;
        self.drive(&run, &context, &executors, signals).await
    }

    /// Sees to it that every stage that may ask finds an answer.
    fn check_answers(&self, rerun: &Rerun) -> Result<(), Failure> {
        let spec = rerun.plan().spec();
        let carried: HashSet<&str> = rerun.carried().iter().map(|carried| &*carried.stage).collect();
        let may_run = may_run(rerun.plan(), rerun.context())?;
        let may_ask = |stage: &str| !carried.contains(stage) && may_run(stage);
        let checked =
            self.answers.check(spec, rerun.context(), self.look.is_interactive(), |stage| may_ask(&stage.name));
        checked.map_err(|found| {
            self.teller.tell(&found, &Sources::default(), &spec.name);
            Failure::Told
        })
    }
}
