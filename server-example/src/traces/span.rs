//! The record of a run as spans.

use std::collections::HashMap;

use buildit::event::{Event, EventBody, RunStatus};
use buildit::id::{Digest, RunId, StageName};
use buildit::job::Status as Ended;
use buildit::store::RunRecord;
use jiff::Timestamp;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use super::{Parent, VARIABLE};

/// An attribute of this name.
pub(super) fn text(key: &str, value: impl Into<String>) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.into())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn nanos(time: Timestamp) -> u64 {
    u64::try_from(time.as_nanosecond()).unwrap_or_default()
}

/// An attempt that has begun.
#[derive(Debug)]
struct Begun {
    at: Timestamp,
    executor: String,
}

/// The trace of a run, as far as its record was seen.
#[derive(Debug)]
pub(super) struct Trace {
    run: RunId,
    id: Vec<u8>,
    parent: Vec<u8>,
    name: String,
    created_at: Timestamp,
    attributes: Vec<KeyValue>,
    stages: HashMap<StageName, Timestamp>,
    attempts: HashMap<(StageName, u32), Begun>,
    spans: Vec<Span>,
}

impl Trace {
    /// That of a run of which nothing was seen yet. Its ids follow from the run's, or its trace is that of whoever started it.
    pub(super) fn of(record: &RunRecord, page: String) -> Self {
        let (run, context) = (&record.run, &record.run.context);
        let parent = context.env.get(VARIABLE).and_then(|text| Parent::parse(text));
        let attributes = [
            ("cicd.pipeline.name", run.plan.name.clone()),
            ("cicd.pipeline.run.id", run.id.to_string()),
            ("cicd.pipeline.run.url.full", page),
            ("vcs.ref.head.name", context.git.branch.clone()),
            ("vcs.ref.head.revision", context.git.sha.clone()),
            ("vcs.change.id", context.pull_request.as_ref().map(|pull| pull.number.to_string()).unwrap_or_default()),
            ("buildit.run.number", record.number.to_string()),
            ("buildit.run.event", context.event.clone()),
        ];
        let given = attributes.into_iter().filter(|(_, value)| !value.is_empty());
        Self {
            run: run.id,
            id: parent.map_or_else(|| run.id.as_uuid().as_bytes().to_vec(), |parent| parent.trace.to_vec()),
            parent: parent.map(|parent| parent.span.to_vec()).unwrap_or_default(),
            name: run.plan.name.clone(),
            created_at: run.created_at,
            attributes: given.map(|(key, value)| text(key, value)).collect(),
            stages: HashMap::new(),
            attempts: HashMap::new(),
            spans: Vec::new(),
        }
    }

    /// The next of its events.
    pub(super) fn see(&mut self, event: &Event) {
        match &event.body {
            EventBody::AttemptStarted { stage, attempt, executor } => {
                self.stages.entry(stage.clone()).or_insert(event.time);
                let begun = Begun { at: event.time, executor: executor.to_string() };
                self.attempts.insert((stage.clone(), *attempt), begun);
            }
            EventBody::ApprovalRequested { stage, .. }
            | EventBody::StageHeld { stage, .. }
            | EventBody::ResultTaken { stage, .. } => {
                self.stages.entry(stage.clone()).or_insert(event.time);
            }
            EventBody::AttemptFinished { stage, attempt, outcome } => {
                let Some(begun) = self.attempts.remove(&(stage.clone(), *attempt)) else { return };
                let mut attributes = task(stage, outcome.status);
                attributes.push(text("cicd.pipeline.task.run.id", format!("{}/{stage}/{attempt}", self.run)));
                attributes.push(text("buildit.executor", begun.executor));
                attributes.extend(outcome.cause.as_ref().map(|cause| text("error.type", cause.as_str())));
                let status = status(outcome.status, outcome.message.as_deref());
                let (what, parent) = (of_attempt(stage, *attempt), self.span_id(&of_stage(stage)));
                let name = format!("{stage} attempt {attempt}");
                self.add(&what, parent, name, (begun.at, event.time), attributes, status);
            }
            EventBody::StageFinished { stage, result } => {
                // One that never began, because it was skipped, took no time.
                let begun = self.stages.remove(stage).unwrap_or(event.time);
                let reason = result.reason.as_ref().map(ToString::to_string);
                let status = status(result.status, reason.as_deref());
                let (what, parent) = (of_stage(stage), self.span_id(RUN));
                self.add(&what, parent, stage.to_string(), (begun, event.time), task(stage, result.status), status);
            }
            EventBody::RunFinished { status } => {
                let (word, code) = match status {
                    RunStatus::Succeeded => ("success", StatusCode::Ok),
                    RunStatus::Cancelled => ("cancellation", StatusCode::Unset),
                    _ => ("failure", StatusCode::Error),
                };
                let mut attributes = std::mem::take(&mut self.attributes);
                attributes.push(text("cicd.pipeline.result", word));
                let status = Status { code: code.into(), message: String::new() };
                let (name, times) = (format!("RUN {}", self.name), (self.created_at, event.time));
                self.add(RUN, self.parent.clone(), name, times, attributes, status);
                if let Some(root) = self.spans.last_mut() {
                    root.kind = SpanKind::Server.into();
                }
            }
            _ => {}
        }
    }

    /// All spans of what has ended, each behind those below it.
    pub(super) fn into_spans(self) -> Vec<Span> {
        self.spans
    }

    fn add(
        &mut self,
        what: &str,
        parent_span_id: Vec<u8>,
        name: String,
        (from, to): (Timestamp, Timestamp),
        attributes: Vec<KeyValue>,
        status: Status,
    ) {
        self.spans.push(Span {
            trace_id: self.id.clone(),
            span_id: self.span_id(what),
            parent_span_id,
            name,
            kind: SpanKind::Internal.into(),
            // Clocks of servers that took a run over may differ.
            start_time_unix_nano: nanos(from.min(to)),
            end_time_unix_nano: nanos(to),
            attributes,
            status: Some(status),
            ..Span::default()
        });
    }

    /// What tells a span from others of its run: the same whenever it is rebuilt.
    fn span_id(&self, what: &str) -> Vec<u8> {
        Digest::of(format!("{}\n{what}", self.run).as_bytes()).as_bytes()[..8].to_vec()
    }
}

/// What the span of the run itself is called among those of a run.
const RUN: &str = "run";

fn of_stage(stage: &StageName) -> String {
    format!("stage {stage}")
}

fn of_attempt(stage: &StageName, attempt: u32) -> String {
    format!("attempt {attempt} of {stage}")
}

fn task(stage: &StageName, ended: Ended) -> Vec<KeyValue> {
    vec![text("cicd.pipeline.task.name", stage.as_str()), text("cicd.pipeline.task.run.result", result(ended))]
}

/// The word of OpenTelemetry for how it ended.
fn result(ended: Ended) -> &'static str {
    match ended {
        Ended::Succeeded => "success",
        Ended::Failed => "failure",
        Ended::TimedOut => "timeout",
        Ended::Cancelled => "cancellation",
        Ended::Lost => "error",
        Ended::Skipped => "skip",
    }
}

fn status(ended: Ended, message: Option<&str>) -> Status {
    let code = match ended {
        Ended::Succeeded => StatusCode::Ok,
        Ended::Failed | Ended::TimedOut | Ended::Lost => StatusCode::Error,
        Ended::Cancelled | Ended::Skipped => StatusCode::Unset,
    };
    // A message is of an error.
    let message = message.filter(|_| code == StatusCode::Error).unwrap_or_default();
    Status { code: code.into(), message: message.to_owned() }
}
