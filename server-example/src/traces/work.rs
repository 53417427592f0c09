//! What is due is told to the collector.

use std::time::Duration;

use buildit::store::{Export, Settled, StoreError, each_event};
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::Collector;
use super::span::Trace;
use crate::errands::{NotSent, in_time, outcome, settled, work_off};
use crate::notify::{page_of, pipeline_of};
use crate::problem::told;
use crate::state::ServerState;

/// How long one may take, and how long nobody else takes it: longer than that.
const LONGEST: Duration = Duration::from_secs(60);
const TAKEN: SignedDuration = SignedDuration::from_secs(120);

/// Tells the collector of the settings, if there is one, until it is told to stop; what is under way then is told.
pub(crate) async fn work(state: ServerState, stop: CancellationToken) {
    if let Some(collector) = state.collector() {
        let take = |now: Timestamp, most| state.store().take_exports(now, now + TAKEN, most);
        work_off("runs to be traced", &stop, take, |export| tell(&state, collector, export)).await;
    }
}

async fn tell(state: &ServerState, collector: &Collector, export: Export) -> Result<(), StoreError> {
    let Export { run, tries } = export;
    let how = settled(in_time(LONGEST, send(state, collector, export)).await, tries);
    state.meters().count("buildit_traces_total", &[("outcome", outcome(&how))], 1);
    let again = match how {
        Settled::Sent { .. } => None,
        Settled::Later { at, error } => {
            tracing::debug!(%run, error, "a trace is tried again");
            Some(at)
        }
        Settled::GivenUp { error, .. } => {
            tracing::warn!(%run, error, "a trace is given up");
            None
        }
    };
    state.store().settle_export(export, again).await.map(drop)
}

async fn send(state: &ServerState, collector: &Collector, export: Export) -> Result<(), NotSent> {
    match trace(state, export).await {
        Ok(trace) => collector.send(trace.into_spans()).await,
        // Whatever there was to tell of it is gone.
        Err(StoreError::NoRun(_)) => Ok(()),
        Err(error) => Err(NotSent::Later(told(&error))),
    }
}

/// The whole trace of a run, from its record.
async fn trace(state: &ServerState, export: Export) -> Result<Trace, StoreError> {
    let record = state.store().run(export.run).await?;
    let name = pipeline_of(&**state.store(), &record).await?.map(|pipeline| pipeline.name);
    let name = name.unwrap_or_else(|| record.run.plan.name.clone());
    let server = state.settings().url();
    let page = page_of(&**state.store(), &server, record.run.tenant, &name, Some(record.number)).await?;
    let mut trace = Trace::of(&record, page);
    each_event::<StoreError>(&**state.store(), export.run, 0, |event| {
        trace.see(&event);
        Ok(())
    })
    .await?;
    Ok(trace)
}
