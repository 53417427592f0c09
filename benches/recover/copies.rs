//! A run of which the databases hold copies.

use std::sync::Arc;

use buildit::id::{FencingToken, RunId};
use buildit::pipeline::ExpandLimits;
use buildit::plan::Plan;
use buildit::store::Store;
use buildit_benches::records;
use buildit_benches::shapes::Shape;

use crate::engine::NAME;

/// How many stages each run has, and how many of them have ended.
const STAGES: usize = 100;
const ENDED: usize = STAGES / 2;

/// How many events that makes.
pub(crate) const EVENTS: i64 = 1 + 3 * ENDED as i64;

/// Keeps the run that the others are copies of.
pub(crate) async fn keep(store: &dyn Store) -> RunId {
    let plan = Plan::compile(&Shape::Layered.pipeline(STAGES), ExpandLimits::default()).expect("a plan");
    let run = records::run_of(Arc::clone(plan.spec()));
    let id = run.id;
    store.create_run(run).await.expect("a run");
    store.append(id, 0, FencingToken(0), records::begun(ENDED, NAME).into()).await.expect("the events");
    id
}
