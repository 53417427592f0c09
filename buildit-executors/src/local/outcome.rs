//! From what a job's folder says to how the job ended. Pure but for reading.

use buildit::job::{Cause, JobOutcome, Status};
use nix::sys::signal::Signal;

use super::spool::{Claim, Spool};

/// What a shell adds to a signal's number for the exit code of what it killed.
const SIGNALLED: i32 = 128;

/// How the job of this folder ended, without what it left.
pub(super) async fn outcome(spool: &Spool) -> std::io::Result<JobOutcome> {
    if let Some(reason) = spool.refusal() {
        return Ok(JobOutcome::failed_because(Cause::Start, reason));
    }
    if let Some(code) = spool.exit_code() {
        return Ok(of_code(code));
    }
    let stopped = JobOutcome::failed_because(Cause::Signal, "it was stopped");
    Ok(match spool.read_claim().await? {
        Claim::Never => stopped,
        Claim::Taken(_) if spool.was_stopped() => stopped,
        Claim::Taken(_) | Claim::Free => {
            JobOutcome::lost().with_message("its processes are gone and have left no exit code")
        }
    })
}

/// What an exit code of a shell says.
fn of_code(code: i32) -> JobOutcome {
    match Signal::try_from(code - SIGNALLED) {
        _ if code == 0 => JobOutcome::succeeded(),
        Ok(signal) => JobOutcome {
            exit_code: Some(code),
            ..JobOutcome::failed_because(Cause::Signal, format!("killed by {signal}"))
        },
        Err(_) => JobOutcome::failed(code),
    }
}

/// How a job ended of which the kernel had to kill something for want of memory. A success stays one.
pub(super) fn out_of_memory(outcome: JobOutcome) -> JobOutcome {
    if outcome.status == Status::Succeeded {
        return outcome;
    }
    JobOutcome { exit_code: outcome.exit_code, ..JobOutcome::failed_because(Cause::Oom, "it ran out of memory") }
}

/// Whether the job left anything to gather.
pub(super) fn has_run(outcome: &JobOutcome) -> bool {
    outcome.status != Status::Lost && outcome.cause != Some(Cause::Start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn want_of_memory_is_a_cause_of_failure_only() {
        let killed = out_of_memory(of_code(137));
        assert_eq!((killed.status, killed.exit_code, killed.cause), (Status::Failed, Some(137), Some(Cause::Oom)));
        assert_eq!(out_of_memory(JobOutcome::lost()).cause, Some(Cause::Oom));
        assert_eq!(out_of_memory(of_code(0)), JobOutcome::succeeded());
    }

    #[test]
    fn exit_codes_are_told_apart() {
        assert_eq!(of_code(0), JobOutcome::succeeded());
        assert_eq!(of_code(3), JobOutcome::failed(3));
        assert_eq!(of_code(127), JobOutcome::failed(127));
        let killed = of_code(139);
        assert_eq!((killed.exit_code, killed.cause), (Some(139), Some(Cause::Signal)));
        assert_eq!(killed.message.as_deref(), Some("killed by SIGSEGV"));
        assert_eq!(of_code(255), JobOutcome::failed(255));
    }
}
