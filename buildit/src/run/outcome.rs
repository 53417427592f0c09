//! What follows from the outcome of an attempt.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Fixed;
use super::state::{Active, Cell, Ended, State};
use crate::event::{EventBody, StageReason, StageResult, StopReason};
use crate::graph::StageIndex;
use crate::job::{Cause, JobOutcome, Status};
use crate::pipeline::RetrySpec;

/// The outcome as it is recorded: an attempt that was stopped because it took too long timed out, and every outcome
/// is one that an attempt can have, whatever an executor said.
pub(super) fn normalize(fixed: &Fixed, active: &Active, mut outcome: JobOutcome) -> JobOutcome {
    match outcome.status {
        Status::Cancelled if active.stop == Some(StopReason::Timeout) => {
            outcome.status = Status::TimedOut;
            outcome.cause = Some(Cause::Timeout);
            let timeout = fixed.stage(active.stage).timeout.unwrap_or_default();
            outcome.message.get_or_insert_with(|| longer_than(timeout));
        }
        Status::Skipped => {
            outcome.status = Status::Failed;
            outcome.cause = Some(Cause::Infrastructure);
        }
        Status::Succeeded => outcome.cause = None,
        Status::Failed => {
            outcome.cause.get_or_insert(Cause::Exit);
        }
        Status::TimedOut => {
            outcome.cause.get_or_insert(Cause::Timeout);
        }
        Status::Lost => {
            outcome.cause.get_or_insert(Cause::Lost);
        }
        Status::Cancelled => {}
    }
    outcome
}

fn longer_than(timeout: Duration) -> Box<str> {
    match SignedDuration::try_from(timeout) {
        Ok(timeout) => format!("it took longer than {timeout:#}").into(),
        Err(_) => "it took too long".into(),
    }
}

/// What of an outcome is remembered until what follows from it is recorded.
pub(super) fn ended(fixed: &Fixed, state: &State, active: &Active, outcome: &JobOutcome) -> Ended {
    let reason = match (outcome.status, active.stop) {
        (Status::Succeeded, _) => None,
        (Status::Cancelled, Some(StopReason::Cancel)) => Some(StageReason::Cancelled),
        (Status::Cancelled, Some(StopReason::FailFast)) => Some(fail_fast(fixed, state)),
        _ => Some(StageReason::Attempt {
            cause: outcome.cause.unwrap_or(Cause::Signal),
            message: outcome.message.as_deref().map(str::to_owned),
        }),
    };
    Ended { status: outcome.status, exit_code: outcome.exit_code, reason: reason.map(Box::new) }
}

/// The reason of a stage that ended because another one failed.
pub(super) fn fail_fast(fixed: &Fixed, state: &State) -> StageReason {
    match state.failed_fast {
        Some(failed) => StageReason::FailFast { failed: fixed.stage(failed).name.clone() },
        None => StageReason::Cancelled,
    }
}

/// What follows from the end of an attempt: another one, or the end of the stage.
pub(super) fn follow_up(
    fixed: &Fixed,
    state: &State,
    at: u32,
    attempt: u32,
    ended: Ended,
    now: Timestamp,
) -> EventBody<StageIndex> {
    let cell = state.cell(at);
    let stage = StageIndex::new(at as usize);
    if cell.has(Cell::RETRY)
        && !state.is_ending_for(cell)
        && let Some(retry) = fixed.stage(at).retry.as_deref()
        && is_retried(retry, attempt, &ended)
    {
        return EventBody::RetryScheduled { stage, attempt: attempt + 1, at: backoff(retry, attempt, now) };
    }
    let counts = matches!(ended.status, Status::Failed | Status::TimedOut | Status::Lost);
    let allowed = counts && cell.has(Cell::ALLOW_FAILURE);
    let result =
        StageResult { status: ended.status, exit_code: ended.exit_code, allowed, cached: false, reason: ended.reason };
    EventBody::StageFinished { stage, result }
}

/// Attempts are counted in 16 bits, so the last that can be made is this one.
const LAST_ATTEMPT: u32 = u16::MAX as u32;

fn is_retried(retry: &RetrySpec, attempt: u32, ended: &Ended) -> bool {
    let Some(StageReason::Attempt { cause, .. }) = ended.reason.as_deref() else { return false };
    let failed = matches!(ended.status, Status::Failed | Status::TimedOut | Status::Lost);
    failed
        && attempt <= retry.limit
        && attempt < LAST_ATTEMPT
        && cause.retry_cause().is_some_and(|cause| retry.on.is_empty() || retry.on.contains(&cause))
}

/// When the next attempt may start: the wait doubles with each, up to the end of time.
fn backoff(retry: &RetrySpec, attempt: u32, now: Timestamp) -> Timestamp {
    let factor = 1_u32.checked_shl(attempt - 1).unwrap_or(u32::MAX);
    after(now, retry.backoff.saturating_mul(factor))
}

/// The time so much later, or the end of time.
pub(super) fn after(time: Timestamp, duration: Duration) -> Timestamp {
    SignedDuration::try_from(duration).ok().and_then(|later| time.checked_add(later).ok()).unwrap_or(Timestamp::MAX)
}
