//! Running a kept run again.

use std::collections::HashSet;
use std::sync::Arc;

use buildit::config::Sources;
use buildit::engine::{Engine, Rerun, RerunError};
use buildit::id::RunId;

use super::super::kept::find;
use super::session::{Session, may_run};
use crate::args::RerunArgs;
use crate::exit::{Failure, Outcome};
use crate::look::Look;
use crate::session::{Executors, Keep, Signals, Stores, unless_signalled};

/// `buildit rerun`.
pub(crate) async fn rerun(args: RerunArgs, look: Look) -> Outcome {
    let mut signals = Signals::open().map_err(Failure::backend)?;
    let keep = Keep::store(&args.store).await?;
    let run = find(&*keep.stores.store, &args.run).await?;
    if keep.stores.store.run(run).await.map_err(Failure::backend)?.run.source.is_none() {
        let message = "that run was in place, and its source is not kept: `buildit run --in-place` runs it again";
        return Err(Failure::usage(message));
    }
    let session = Session::again(args.given, look)?;
    let prepared = Arc::clone(&session).prepare_rerun(run, args.from_failed, keep.stores.clone());
    let Some(Prepared { rerun, executors, engine }) = unless_signalled(&mut signals, prepared).await? else {
        return Ok(session.broken_off());
    };
    let (plan, context) = (rerun.plan().clone(), Arc::clone(rerun.context()));
    let started = engine.rerun(rerun).await;
    let run = started.map_err(|error| session.refused(error, &Sources::default(), &plan.spec().name))?;
    let exit = session.drive(&run, &context, &executors, &mut signals).await?;
    session.afterwards(&args.store, &keep, &mut signals).await;
    Ok(exit)
}

/// All that a run needs before it starts again.
struct Prepared {
    rerun: Rerun,
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
        self.check_answers(&rerun)?;
        let mut executors = Executors::new(&self.args, &self.state, &self.folder);
        let engine = self.engine(&stores, &mut executors, &[(rerun.plan(), &*rerun.context().only)]).await?;
        Ok(Prepared { rerun, executors, engine })
    }

    /// Sees to it that every stage that may ask finds an answer.
    fn check_answers(&self, rerun: &Rerun) -> Result<(), Failure> {
        let spec = rerun.plan().spec();
        let carried: HashSet<&str> = rerun.carried().iter().map(|carried| &*carried.stage).collect();
        let may_run = may_run(rerun.plan(), rerun.context())?;
        let may_ask = |stage: &str| !carried.contains(stage) && may_run(stage);
        let checked = self.answers.check(spec, self.look.is_interactive(), |stage| may_ask(&stage.name));
        checked.map_err(|found| {
            self.teller.tell(&found, &Sources::default(), &spec.name);
            Failure::Told
        })
    }
}
