//! A run that a test drives by names.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::event::{Approval, Event, EventBody, RunStatus, StageResult};
use crate::graph::{Graph, StageIndex};
use crate::id::RunId;
use crate::job::JobOutcome;
use crate::pipeline::{ExpandLimits, PipelineBuilder, RunContext};
use crate::run::{Input, InputError, Run, RunInfo};

pub(super) struct Driven {
    pub(super) run: Run,
    pub(super) now: Timestamp,
    pub(super) events: Vec<Event>,
}

pub(super) const START: Timestamp = Timestamp::UNIX_EPOCH;

pub(super) fn drive(pipeline: PipelineBuilder) -> Driven {
    drive_with(pipeline, RunContext::manual())
}

pub(super) fn drive_with(pipeline: PipelineBuilder, context: RunContext) -> Driven {
    let mut driven = queued(pipeline, context);
    driven.tell(Input::Begin).unwrap();
    driven
}

pub(super) fn queued(pipeline: PipelineBuilder, context: RunContext) -> Driven {
    let spec = Arc::new(pipeline.build().expand(ExpandLimits::default()).unwrap());
    let graph = Arc::new(Graph::new(&spec).unwrap());
    let info = RunInfo { id: RunId::from(uuid::Uuid::nil()), number: 1 };
    Driven { run: Run::new(spec, graph, Arc::new(context), info), now: START, events: Vec::new() }
}

impl Driven {
    pub(super) fn at(&self, stage: &str) -> StageIndex {
        self.run.graph().index(stage).unwrap()
    }

    pub(super) fn tell(&mut self, input: Input<'_>) -> Result<(), InputError> {
        let mut out = Vec::new();
        let told = self.run.advance(input, self.now, &mut out);
        for body in out {
            let named = body.try_map_stage(|stage| Ok::<_, ()>(self.run.graph().name(stage).clone())).unwrap();
            self.events.push(Event { seq: self.events.len() as u64 + 1, time: self.now, body: named });
        }
        self.check_replay();
        told
    }

    /// G10: the events so far give this very state.
    fn check_replay(&self) {
        let run = &self.run;
        let (spec, graph, context) = (run.spec().clone(), run.graph().clone(), run.context().clone());
        let replayed = Run::replay(spec, graph, context, run.info(), &self.events).unwrap();
        assert_eq!(replayed.snapshot(), run.snapshot());
        assert!(replayed == *run);
    }

    pub(super) fn start(&mut self, stage: &str) {
        let stage = self.at(stage);
        self.tell(Input::Start { stage, executor: "test".into() }).unwrap();
    }

    pub(super) fn end(&mut self, stage: &str, outcome: JobOutcome) {
        let stage = self.at(stage);
        let attempt = self.run.attempts(stage);
        self.tell(Input::Finished { stage, attempt, outcome }).unwrap();
    }

    pub(super) fn runs(&mut self, stage: &str, outcome: JobOutcome) {
        self.start(stage);
        self.end(stage, outcome);
    }

    pub(super) fn succeeds(&mut self, stage: &str) {
        self.runs(stage, JobOutcome::succeeded());
    }

    pub(super) fn fails(&mut self, stage: &str) {
        self.runs(stage, JobOutcome::failed(1));
    }

    pub(super) fn approve(&mut self, stage: &str, approval: Approval) -> Result<(), InputError> {
        let stage = self.at(stage);
        self.tell(Input::Approve { stage, approval })
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.tell(Input::Tick).unwrap();
    }

    pub(super) fn ready(&self) -> Vec<String> {
        self.run.ready(self.now).map(|stage| self.run.graph().name(stage).to_string()).collect()
    }

    pub(super) fn result(&self, stage: &str) -> StageResult {
        self.run.result(self.at(stage)).unwrap_or_else(|| panic!("`{stage}` has not ended"))
    }

    /// How a stage ended, in one line.
    pub(super) fn ended(&self, stage: &str) -> String {
        let result = self.result(stage);
        match result.reason {
            Some(reason) => format!("{}: {reason}", result.status.as_str()),
            None => result.status.as_str().to_owned(),
        }
    }

    pub(super) fn status(&self) -> RunStatus {
        let finishes = self.events.iter().filter(|event| matches!(event.body, EventBody::RunFinished { .. })).count();
        assert_eq!(finishes, usize::from(self.run.status().is_final()), "a run finishes once");
        self.run.status()
    }
}
