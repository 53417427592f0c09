//! What events say of each stage, for the tables that people query.

use std::collections::HashMap;

use buildit::event::{Event, EventBody, StageResult};
use buildit::id::{Digest, StageName};
use buildit::job::JobProducts;
use buildit::store::NewRun;
use jiff::Timestamp;

/// What some events change in a stage's row. `None` leaves what is there; `started_at` never replaces one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StageRow {
    pub stage: StageName,
    pub status: &'static str,
    pub attempt: Option<u32>,
    pub executor: Option<String>,
    pub exit_code: Option<i32>,
    pub error: Option<String>,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub allowed: bool,
    pub cached: bool,
}

impl StageRow {
    fn new(stage: &StageName) -> Self {
        Self {
            stage: stage.clone(),
            status: "",
            attempt: None,
            executor: None,
            exit_code: None,
            error: None,
            started_at: None,
            finished_at: None,
            allowed: false,
            cached: false,
        }
    }

    fn finish(&mut self, result: &StageResult, time: Timestamp) {
        self.status = result.status.as_str();
        self.exit_code = result.exit_code;
        self.error = result.reason.as_ref().map(ToString::to_string);
        self.finished_at = Some(time);
        (self.allowed, self.cached) = (result.allowed, result.cached);
    }
}

/// The rows that these events change, each once, in the order of their first events.
pub(crate) fn stage_rows(events: &[Event]) -> Vec<StageRow> {
    let mut rows: Vec<StageRow> = Vec::new();
    let mut places: HashMap<&StageName, usize> = HashMap::new();
    for event in events {
        let Some(stage) = event.body.stage() else { continue };
        let place = *places.entry(stage).or_insert_with(|| {
            rows.push(StageRow::new(stage));
            rows.len() - 1
        });
        let row = &mut rows[place];
        match &event.body {
            EventBody::ApprovalRequested { .. } => row.status = "waiting",
            EventBody::ApprovalGiven { missing: 0, .. } => row.status = "pending",
            EventBody::AttemptStarted { attempt, executor, .. } => {
                row.status = "running";
                row.attempt = Some(*attempt);
                row.executor = Some(executor.to_string());
                row.started_at = row.started_at.or(Some(event.time));
                (row.exit_code, row.error) = (None, None);
            }
            EventBody::AttemptFinished { attempt, outcome, .. } => {
                row.status = outcome.status.as_str();
                row.attempt = Some(*attempt);
                row.exit_code = outcome.exit_code;
                row.error = outcome.message.as_ref().map(ToString::to_string);
            }
            EventBody::RetryScheduled { .. } => row.status = "pending",
            EventBody::StageFinished { result, .. } => row.finish(result, event.time),
            // It says nothing that a column holds.
            _ => row.status = if row.status.is_empty() { "running" } else { row.status },
        }
    }
    rows
}

/// A blob that an attempt left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProductRow {
    pub stage: StageName,
    pub attempt: u32,
    pub kind: &'static str,
    pub name: String,
    pub digest: Digest,
    pub bytes: u64,
}

/// What the attempts of these events left; attempt 0 is of an earlier run.
pub(crate) fn products(events: &[Event]) -> Vec<ProductRow> {
    let products = events.iter().filter_map(|event| match &event.body {
        EventBody::AttemptFinished { stage, attempt, outcome } => Some((stage, *attempt, outcome.products.as_ref()?)),
        // What was taken from an earlier run is referred to by this one too.
        EventBody::ResultTaken { stage, result } => Some((stage, 0, result.products.as_ref()?)),
        _ => None,
    });
    products.flat_map(|(stage, attempt, products)| rows(stage, attempt, products)).collect()
}

/// What the stages have left that a new run is spared.
pub(crate) fn carried_products(run: &NewRun) -> Vec<ProductRow> {
    let carried = run.carried.iter().filter_map(|carried| Some((&carried.stage, carried.taken.products.as_ref()?)));
    carried.flat_map(|(stage, products)| rows(stage, 0, products)).collect()
}

fn rows(stage: &StageName, attempt: u32, products: &JobProducts) -> impl Iterator<Item = ProductRow> {
    let artifacts = products.artifacts.iter().map(|artifact| ("artifact", artifact));
    let reports = products.reports.iter().map(|reports| ("reports", reports));
    artifacts.chain(reports).map(move |(kind, artifact)| ProductRow {
        stage: stage.clone(),
        attempt,
        kind,
        name: artifact.name.clone(),
        digest: artifact.digest,
        bytes: artifact.bytes,
    })
}
