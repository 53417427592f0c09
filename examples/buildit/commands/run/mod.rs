//! `buildit run`, `buildit trigger`, `buildit resume` and `buildit rerun`: whatever drives runs.

mod afterwards;
mod elsewhere;
mod like;
mod rerun;
mod resume;
mod session;
mod start;

use std::sync::Arc;

pub(crate) use elsewhere::trigger;
pub(crate) use rerun::rerun;
pub(crate) use resume::resume;

use self::session::Session;
use crate::args::RunArgs;
use crate::exit::{Failure, Outcome};
use crate::look::Look;
use crate::session::{Keep, Signals, unless_signalled};

pub(crate) async fn run(args: RunArgs, look: Look) -> Outcome {
    if let Some(run) = args.like.clone() {
        return like::run_like(run, args, look).await;
    }
    // Before anything is begun: from here on a signal ends nothing without tidying up.
    let mut signals = Signals::open().map_err(Failure::backend)?;
    let session = Session::new(args, look)?;
    let Some(journal) = &session.args.journal else {
        // In a store there are many runs, and `resume` takes up those that were broken off.
        let keep = Keep::store(&session.args.store).await?;
        let exit = session.start(&keep, &mut signals).await?;
        session.afterwards(&session.args.store, &keep, &mut signals).await;
        return Ok(exit);
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
