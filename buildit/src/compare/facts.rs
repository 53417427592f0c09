//! What is known of a run.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::event::{Event, EventBody, StageResult};
use crate::id::{Digest, StageName};
use crate::store::RunRecord;

/// What is known of a run, from its record and its events.
#[derive(Clone, Debug)]
pub struct RunFacts {
    /// Its record.
    pub record: RunRecord,
    /// Its stages, as far as something happened in them.
    pub stages: HashMap<StageName, StageFacts>,
}

/// What is known of a stage of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageFacts {
    /// How it ended.
    pub result: Option<StageResult>,
    /// How many attempts it made.
    pub attempts: u32,
    /// From the start of its last attempt to its end; waits are no part of it.
    pub duration: Option<Duration>,
    /// The archive of its test reports.
    pub reports: Option<Digest>,
    started: Option<Timestamp>,
}

impl RunFacts {
    /// Of a run in which nothing happened yet.
    #[must_use]
    pub fn new(record: RunRecord) -> Self {
        Self { record, stages: HashMap::new() }
    }

    /// Takes the next event into account.
    pub fn apply(&mut self, event: &Event) {
        let Some(stage) = event.body.stage() else { return };
        let facts = self.stages.entry(stage.clone()).or_default();
        match &event.body {
            EventBody::AttemptStarted { attempt, .. } => {
                facts.attempts = *attempt;
                facts.started = Some(event.time);
            }
            EventBody::AttemptFinished { outcome, .. } => {
                facts.duration = facts.started.and_then(|begun| event.time.duration_since(begun).try_into().ok());
                facts.reports = reports(outcome.products.as_deref());
            }
            EventBody::ResultTaken { result, .. } => facts.reports = reports(result.products.as_deref()),
            EventBody::StageFinished { result, .. } => facts.result = Some(result.clone()),
            _ => {}
        }
    }
}

fn reports(products: Option<&crate::job::JobProducts>) -> Option<Digest> {
    Some(products?.reports.as_ref()?.digest)
}
