//! A run out of its stored events.

use std::sync::Arc;

use super::{Run, RunInfo};
use crate::event::Event;
use crate::graph::Graph;
use crate::id::StageName;
use crate::pipeline::{PipelineSpec, RunContext};

/// The stored events are not those of a run of this pipeline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// An event is missing or doubled.
    #[error("event {expected} is missing: {found} follows instead")]
    Gap {
        /// The number that should have followed.
        expected: u64,
        /// The number that did.
        found: u64,
    },
    /// An event names a stage that the pipeline does not have.
    #[error("event {seq} is about stage `{stage}`, which the pipeline does not have")]
    UnknownStage {
        /// The event's number.
        seq: u64,
        /// The stage.
        stage: StageName,
    },
    /// An event cannot follow on those before it.
    #[error("event {seq} cannot follow on those before it")]
    Unexpected {
        /// The event's number.
        seq: u64,
    },
}

impl Run {
    /// The run to which these events happened, from the first one on.
    ///
    /// # Errors
    ///
    /// [`ReplayError`] when the events are not those of a run of this pipeline.
    pub fn replay<'a>(
        spec: Arc<PipelineSpec>,
        graph: Arc<Graph>,
        context: Arc<RunContext>,
        info: RunInfo,
        events: impl IntoIterator<Item = &'a Event>,
    ) -> Result<Self, ReplayError> {
        let mut run = Self::new(spec, graph, context, info);
        for event in events {
            run.replay_one(event)?;
        }
        Ok(run)
    }

    /// Takes in the next stored event.
    ///
    /// # Errors
    ///
    /// [`ReplayError`] when it is not the next one of this run; the run is as before.
    pub fn replay_one(&mut self, event: &Event) -> Result<(), ReplayError> {
        let expected = self.state.seq + 1;
        if event.seq != expected {
            return Err(ReplayError::Gap { expected, found: event.seq });
        }
        let body = event.body.clone().try_map_stage(|stage| {
            let known = self.fixed.graph.index(&stage);
            known.ok_or(ReplayError::UnknownStage { seq: event.seq, stage })
        })?;
        if !self.follows(&body) {
            return Err(ReplayError::Unexpected { seq: event.seq });
        }
        self.apply(event.time, &body);
        Ok(())
    }
}
