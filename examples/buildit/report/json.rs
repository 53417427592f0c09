//! `--output json`: one object a line, as scripts may rely on.

use buildit::event::{Approval, Event, EventBody, Miss, RunStatus, StopReason};
use buildit::id::{ExecutorName, RunId, StageName};
use buildit::job::{Cause, LogLine, Status, Stream};
use buildit::pipeline::ApprovalField;
use jiff::Timestamp;
use serde::Serialize;

use super::{Attempt, Board, Reporter};
use crate::out::Out;
use crate::text::{clean, since};

/// The version of the objects.
pub(crate) const VERSION: u8 = 1;

/// Prints a run as JSON.
#[derive(Debug)]
pub(crate) struct Json {
    out: Out,
    /// The number of the last object: events and log lines are counted together, so it is not the event's own.
    seq: u64,
}

#[derive(Serialize)]
struct Object<'a> {
    v: u8,
    seq: u64,
    time: Timestamp,
    run: RunId,
    #[serde(flatten)]
    body: Body<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case", tag = "type")]
enum Body<'a> {
    RunStarted {
        number: u64,
        pipeline: &'a str,
        stages: Vec<&'a StageName>,
    },
    ResultTaken {
        stage: &'a StageName,
        from_run: RunId,
        from_stage: &'a StageName,
        from_attempt: u32,
    },
    ResultMissed {
        stage: &'a StageName,
        reason: String,
        miss: &'a Miss,
    },
    AttemptStarted {
        stage: &'a StageName,
        attempt: u32,
        executor: &'a ExecutorName,
    },
    Log {
        stage: &'a str,
        attempt: u32,
        line: u64,
        stream: Stream,
        text: &'a str,
    },
    AttemptFinished {
        stage: &'a StageName,
        attempt: u32,
        status: Status,
        exit_code: Option<i32>,
        cause: Option<Cause>,
        duration_ms: u64,
        message: Option<&'a str>,
    },
    ApprovalRequested {
        stage: &'a StageName,
        message: &'a str,
        fields: &'a [ApprovalField],
        deadline: Option<Timestamp>,
    },
    ApprovalGiven {
        stage: &'a StageName,
        #[serde(flatten)]
        approval: &'a Approval,
    },
    StageFinished {
        stage: &'a StageName,
        status: Status,
        reason: Option<String>,
        exit_code: Option<i32>,
        allowed: bool,
        cached: bool,
    },
    RunFinished {
        status: RunStatus,
        duration_ms: u64,
    },
    CancelRequested {
        reason: &'a str,
    },
    StopRequested {
        stage: &'a StageName,
        attempt: u32,
        reason: StopReason,
    },
    RetryScheduled {
        stage: &'a StageName,
        attempt: u32,
        at: Timestamp,
    },
}

impl Json {
    /// Prints to `out`.
    pub(crate) fn new(out: Out) -> Self {
        Self { out, seq: 0 }
    }

    fn print(&mut self, run: RunId, time: Timestamp, body: Body<'_>) {
        self.seq += 1;
        let object = Object { v: VERSION, seq: self.seq, time, run, body };
        // The objects hold text, numbers and times only; a map with keys that are no text cannot come up.
        if let Ok(text) = serde_json::to_string(&object) {
            self.out.line(&text);
        }
    }
}

impl Reporter for Json {
    fn event(&mut self, board: &Board, event: &Event) {
        let body = match &event.body {
            EventBody::RunStarted => Body::RunStarted {
                number: board.number,
                pipeline: &board.pipeline,
                stages: board.stages.keys().collect(),
            },
            EventBody::CancelRequested { reason } => Body::CancelRequested { reason },
            EventBody::ApprovalRequested { stage, message, fields, deadline, .. } => {
                Body::ApprovalRequested { stage, message, fields, deadline: *deadline }
            }
            EventBody::ApprovalGiven { stage, approval, .. } => Body::ApprovalGiven { stage, approval },
            EventBody::ResultTaken { stage, result } => Body::ResultTaken {
                stage,
                from_run: result.run,
                from_stage: &result.stage,
                from_attempt: result.attempt,
            },
            EventBody::ResultMissed { stage, miss } => Body::ResultMissed { stage, reason: miss.to_string(), miss },
            EventBody::AttemptStarted { stage, attempt, executor } => {
                Body::AttemptStarted { stage, attempt: *attempt, executor }
            }
            EventBody::StopRequested { stage, attempt, reason } => {
                Body::StopRequested { stage, attempt: *attempt, reason: *reason }
            }
            EventBody::AttemptFinished { stage, attempt, outcome } => {
                let started = board.stages.get(stage).and_then(|shown| shown.started);
                Body::AttemptFinished {
                    stage,
                    attempt: *attempt,
                    status: outcome.status,
                    exit_code: outcome.exit_code,
                    cause: outcome.cause,
                    duration_ms: started.map_or(0, |started| milliseconds(started, event.time)),
                    message: outcome.message.as_deref(),
                }
            }
            EventBody::RetryScheduled { stage, attempt, at } => {
                Body::RetryScheduled { stage, attempt: *attempt, at: *at }
            }
            EventBody::StageFinished { stage, result } => Body::StageFinished {
                stage,
                status: result.status,
                reason: result.reason.as_ref().map(ToString::to_string),
                exit_code: result.exit_code,
                allowed: result.allowed,
                cached: result.cached,
            },
            EventBody::RunFinished { status } => Body::RunFinished {
                status: *status,
                duration_ms: board.started.map_or(0, |started| milliseconds(started, event.time)),
            },
            // Added to the core after this was written: readers could not know it either.
            _ => return,
        };
        self.print(board.run, event.time, body);
    }

    fn log(&mut self, board: &Board, attempt: Attempt<'_>, line: &LogLine) {
        let body = Body::Log {
            stage: attempt.stage,
            // The log of an earlier result is kept as that of attempt 0, and attempts are counted from 1.
            attempt: attempt.number.max(1),
            line: line.line,
            stream: line.stream,
            text: &line.text,
        };
        self.print(board.run, line.time, body);
    }

    fn notice(&mut self, _: &Board, text: &str) {
        Out::stderr().line(&format!("buildit: {}", clean(text)));
    }
}

fn milliseconds(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(since(from, to).as_millis()).unwrap_or(u64::MAX)
}
