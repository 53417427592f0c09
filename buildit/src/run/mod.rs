//! A run as a pure state machine: no I/O, no clock, no lock, no randomness.
//!
//! Whoever drives a run tells it what happened ([`Input`]) and gets the events that follow from it. Only
//! [`Run::apply`] changes the state, and it sees nothing but events; so a run that is rebuilt from its stored events
//! ([`Run::replay`]) is the same to the byte as the one that lived ([`Run::snapshot`], guarantee G10).
//!
//! The rules are those of LANGUAGE.md, "What a run means":
//!
//! - A stage is ready when each of its needs succeeded, failed and may, or was skipped by its own `when`. When a need
//!   failed or was skipped because of a failure, the stage is skipped too, unless its `when` asks for `failure()` or
//!   `always()`.
//! - An attempt that failed is repeated as `retry` says, after a wait that doubles; times are those of the events.
//! - A failure that counts makes the run `failed`, and with `fail-fast` ends what has not ended yet: pending stages
//!   end `cancelled`, running ones are asked to stop. Stages that ask for `failure()` or `always()` still get their
//!   turn. A cancelled run grants no such turn.
//!
//! Driving a run is a loop:
//!
//! ```
//! use std::sync::Arc;
//! use buildit::event::RunStatus;
//! use buildit::graph::Graph;
//! use buildit::id::RunId;
//! use buildit::job::JobOutcome;
//! use buildit::pipeline::{PipelineBuilder, RunContext, StageBuilder};
//! use buildit::run::{Input, Run, RunInfo};
//!
//! let spec = PipelineBuilder::new("shop")
//!     .stage(StageBuilder::run("fmt", "true"))
//!     .stage(StageBuilder::run("test", "true").needs(["fmt"]))
//!     .build();
//! let graph = Graph::new(&spec)?;
//! let info = RunInfo { id: RunId::new(), number: 1 };
//! let mut run = Run::new(Arc::new(spec), Arc::new(graph), Arc::new(RunContext::manual()), info);
//!
//! let now = "2026-01-01T00:00:00Z".parse()?;
//! let mut events = Vec::new();
//! run.advance(Input::Begin, now, &mut events)?;
//! while let Some(stage) = run.next_ready(now) {
//!     run.advance(Input::Start { stage, executor: "local".into() }, now, &mut events)?;
//!     let outcome = JobOutcome::succeeded();
//!     run.advance(Input::Finished { stage, attempt: 1, outcome }, now, &mut events)?;
//! }
//! assert_eq!(run.status(), RunStatus::Succeeded);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod apply;
mod approval;
mod decide;
mod explain;
#[cfg(feature = "engine")]
mod fetch;
mod forecast;
mod input;
mod join;
mod outcome;
mod protection;
mod queue;
mod replay;
mod rerun;
mod snapshot;
mod state;
mod view;
mod when;

use std::sync::Arc;

pub use approval::ApprovalError;
pub use explain::{Explanation, Holder, Wait, Why};
pub use forecast::{Forecast, forecast};
pub use input::{Input, InputError};
use jiff::Timestamp;
pub use replay::ReplayError;
pub use rerun::CarriedStage;
pub use view::{StagePhase, WantedJob};

use self::state::State;
use crate::event::EventBody;
use crate::graph::{Graph, StageIndex};
use crate::pipeline::{PipelineSpec, RunContext, StageSpec};
use crate::plan::{Plan, StageFlags};
pub use crate::variables::RunInfo;

/// One execution of a pipeline: what has happened and what is to happen next.
///
/// Two runs are equal when their states are; what they were made of is not compared.
#[derive(Clone)]
pub struct Run {
    fixed: Fixed,
    state: State,
}

/// What never changes in a run.
#[derive(Clone)]
struct Fixed {
    spec: Arc<PipelineSpec>,
    graph: Arc<Graph>,
    context: Arc<RunContext>,
    info: RunInfo,
    carried: Arc<[CarriedStage]>,
}

impl Fixed {
    fn stage(&self, at: u32) -> &Arc<StageSpec> {
        &self.spec.stages[at as usize]
    }
}

impl Run {
    /// A run in which nothing has happened yet.
    ///
    /// # Panics
    ///
    /// When `graph` is not the graph of `spec`.
    #[must_use]
    pub fn new(spec: Arc<PipelineSpec>, graph: Arc<Graph>, context: Arc<RunContext>, info: RunInfo) -> Self {
        assert_eq!(spec.stages.len(), graph.len(), "the graph is that of another pipeline");
        let state = State::new(spec.stages.iter().map(|stage| StageFlags::of(stage)), &graph);
        Self { fixed: Fixed { spec, graph, context, info, carried: Arc::default() }, state }
    }

    /// A run of this plan in which nothing has happened yet.
    #[must_use]
    pub fn of_plan(plan: &Plan, context: Arc<RunContext>, info: RunInfo) -> Self {
        let (spec, graph) = (Arc::clone(plan.spec()), Arc::clone(plan.graph()));
        let state = State::new(plan.flags().iter().copied(), &graph);
        Self { fixed: Fixed { spec, graph, context, info, carried: Arc::default() }, state }
    }

    /// The same, which goes on from how these stages ended in an earlier run: they end so when it begins.
    #[must_use]
    pub fn carrying(mut self, stages: Arc<[CarriedStage]>) -> Self {
        self.fixed.carried = stages;
        self
    }

    /// Takes in what happened: decides what follows, applies it, and goes on until nothing follows any more. The
    /// events are added to `out` in order.
    ///
    /// What time alone brings (a timeout, the end of a wait) comes before what `input` brings.
    ///
    /// # Errors
    ///
    /// [`InputError`] when the input makes no sense in this state; it then changed nothing. Events that time alone
    /// brought may be in `out` all the same, and are applied.
    pub fn advance(
        &mut self,
        input: Input<'_>,
        now: Timestamp,
        out: &mut Vec<EventBody<StageIndex>>,
    ) -> Result<(), InputError> {
        self.settle(now, out);
        if !matches!(input, Input::Tick) {
            let start = out.len();
            self.decide(input, now, out)?;
            self.apply_from(start, now, out);
            self.settle(now, out);
        }
        Ok(())
    }

    /// Decides and applies what follows from the state and the time alone, until nothing does.
    fn settle(&mut self, now: Timestamp, out: &mut Vec<EventBody<StageIndex>>) {
        while self.is_due(now) {
            let start = out.len();
            self.decide_due(now, out);
            if out.len() == start {
                return;
            }
            self.apply_from(start, now, out);
        }
    }

    fn apply_from(&mut self, start: usize, now: Timestamp, out: &[EventBody<StageIndex>]) {
        for event in &out[start..] {
            self.apply(now, event);
        }
    }
}

#[cfg(test)]
mod tests;
