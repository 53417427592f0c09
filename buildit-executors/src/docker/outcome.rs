//! How a job ended.

use std::time::Duration;

use bollard::models::{ContainerInspectResponse, ContainerState, ContainerStateStatusEnum as Status};
use buildit::executor::{ExecutorError, JobContext, RetryClass};
use buildit::job::{Cause, JobOutcome, JobSpec};

use super::backend::{DockerBackend, Phase};
use super::entry::{NO_FOLDER, NO_SHELL, UNFED};
use super::files::{ContainerFiles, Home};
use super::image::UserName;
use crate::script::Ending;
use crate::workspace::harvest;

/// The exit code of what SIGKILL ended.
const KILLED: i64 = 128 + 9;
/// How long the removal of a container that was killed for it may take to show.
const REMOVAL: Duration = Duration::from_millis(100);

impl DockerBackend {
    pub(super) async fn outcome_of(&self, job: &JobSpec, ctx: &JobContext) -> Result<JobOutcome, ExecutorError> {
        let name = job.id.backend_name();
        if let Some(reason) = self.unstartable(&name) {
            return Ok(JobOutcome::failed_because(Cause::Start, ctx.mask(&start_error(&reason))));
        }
        let Some(container) = self.inspect(&name).await? else {
            return Ok(JobOutcome::lost().with_message("its container is gone"));
        };
        let state = container.state.clone().unwrap_or_default();
        let ending = self.ending(&name);
        if ending.is_none() && state.exit_code == Some(KILLED) && self.vanishes(&name).await? {
            return Ok(JobOutcome::lost().with_message("its container was removed"));
        }
        let (outcome, ran) = match Phase::of(&state) {
            Phase::Gone | Phase::Created => (JobOutcome::lost().with_message("its container was never started"), false),
            Phase::Unstartable => {
                let reason = ctx.mask(&start_error(state.error.as_deref().unwrap_or_default()));
                (JobOutcome::failed_because(Cause::Start, reason), false)
            }
            Phase::Running => {
                return Err(ExecutorError::Backend {
                    name: self.options.name.clone(),
                    message: "the job still runs".to_owned(),
                    retry: RetryClass::Adopt,
                    source: None,
                });
            }
            Phase::Ended => ended(job, &state, ending),
        };
        if !ran {
            return Ok(outcome);
        }
        let home = match Home::of(ctx.inputs()) {
            Home::Unneeded => None,
            Home::Needed => self.home(&name, &container).await?,
        };
        let files = ContainerFiles { docker: &self.docker, container: &name, ending, home };
        harvest(&files, job, ctx, outcome).await.map_err(|error| self.failing.here("gather what the job left", error))
    }

    /// Whether the container of a job that was killed is being removed by somebody: it is killed first.
    async fn vanishes(&self, name: &str) -> Result<bool, ExecutorError> {
        tokio::time::sleep(REMOVAL).await;
        let state = self.inspect(name).await?.and_then(|container| container.state);
        let removing = |state: &ContainerState| matches!(state.status, Some(Status::REMOVING | Status::DEAD));
        Ok(state.as_ref().is_none_or(removing))
    }

    async fn home(&self, name: &str, container: &ContainerInspectResponse) -> Result<Option<String>, ExecutorError> {
        let config = container.config.clone().unwrap_or_default();
        let env = config.env.unwrap_or_default();
        if let Some(home) = env.iter().find_map(|variable| variable.strip_prefix("HOME=")) {
            return Ok(Some(home.to_owned()));
        }
        let user = config.user.unwrap_or_default();
        let owner = self.look_up(name, &UserName::parse(&user), Home::Needed).await;
        let owner = owner.map_err(|error| self.failing.here("read the image's users", error))?;
        Ok(owner.and_then(|owner| owner.home))
    }
}

/// How a job whose container ran ended, and whether any of its commands may have run.
fn ended(job: &JobSpec, state: &ContainerState, ending: Option<Ending>) -> (JobOutcome, bool) {
    let code = state.exit_code.unwrap_or(-1);
    match ending.map(|ending| ending.code) {
        Some(NO_FOLDER) => {
            let folder = job.stage.workdir.as_deref().unwrap_or_default();
            return (
                JobOutcome::failed_because(Cause::Start, format!("there is no folder `{folder}` to work in")),
                false,
            );
        }
        Some(NO_SHELL) => {
            let shell = job.stage.run().map_or("sh", |run| run.shell.program());
            return (JobOutcome::failed_because(Cause::Start, format!("the image has no `{shell}`")), false);
        }
        _ => {}
    }
    let number = i32::try_from(code).unwrap_or(-1);
    let outcome = match (ending, code) {
        (_, 0) => JobOutcome::succeeded(),
        // A limit that was hit on the way does not make a success fail.
        _ if state.oom_killed == Some(true) => {
            let outcome = JobOutcome::failed_because(Cause::Oom, "it ran out of memory");
            JobOutcome { exit_code: Some(number), ..outcome }
        }
        // So a shell tells that a signal ended its command.
        (Some(ending), _) if (129..=192).contains(&ending.code) => {
            let outcome = JobOutcome::failed_because(Cause::Signal, format!("killed by signal {}", ending.code - 128));
            JobOutcome { exit_code: Some(ending.code), ..outcome }
        }
        (Some(ending), _) => JobOutcome::failed(ending.code),
        (None, UNFED) => return (JobOutcome::lost().with_message("nothing opened its gate"), false),
        // Nothing within a container can kill its first process: it was the engine, which is being restarted, or
        // somebody beside it. The code tells who asked for a stop that it was done.
        (None, KILLED) => {
            let outcome = JobOutcome::lost().with_message("its container was killed from outside");
            return (JobOutcome { exit_code: Some(number), ..outcome }, false);
        }
        // The script itself, the container's first process, did not come to its end.
        (None, 129..=192) => {
            JobOutcome::failed_because(Cause::Signal, format!("its container was killed by signal {}", code - 128))
        }
        (None, _) => JobOutcome::failed(number),
    };
    (outcome, true)
}

/// What an engine says when a container cannot be started, with what people need of it: that the image has no `sh`
/// stands at the end of three layers of wrapping.
fn start_error(said: &str) -> String {
    let said = said.trim();
    if said.contains("\"sh\": executable file not found") {
        return "the image has no `sh`, which every stage with commands needs".to_owned();
    }
    if said.is_empty() { "the container could not be started".to_owned() } else { said.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::tests::job;

    fn state(code: i64) -> ContainerState {
        ContainerState { exit_code: Some(code), oom_killed: Some(false), ..Default::default() }
    }

    fn ending(code: i32) -> Option<Ending> {
        Some(Ending { code, outputs: false, summary: false })
    }

    #[test]
    fn the_script_says_how_it_ended_and_the_engine_why_it_did_not() {
        let job = job("a");
        let cause = |state: &ContainerState, ending| {
            let (outcome, ran) = ended(&job, state, ending);
            (outcome.cause, outcome.exit_code, ran)
        };
        assert_eq!(cause(&state(0), ending(0)), (None, Some(0), true));
        assert_eq!(cause(&state(3), ending(3)), (Some(Cause::Exit), Some(3), true));
        assert_eq!(cause(&state(139), ending(139)), (Some(Cause::Signal), Some(139), true));
        assert_eq!(cause(&state(255), ending(255)), (Some(Cause::Exit), Some(255), true));
        assert_eq!(cause(&state(137), None), (Some(Cause::Lost), Some(137), false));
        assert_eq!(cause(&state(139), None), (Some(Cause::Signal), None, true));
        assert_eq!(cause(&state(127), ending(NO_SHELL)), (Some(Cause::Start), None, false));
        assert_eq!(cause(&state(126), ending(NO_FOLDER)), (Some(Cause::Start), None, false));
        assert_eq!(cause(&state(UNFED), None), (Some(Cause::Lost), None, false));
        let oom = ContainerState { oom_killed: Some(true), ..state(137) };
        assert_eq!(cause(&oom, ending(137)), (Some(Cause::Oom), Some(137), true));
        let survived = ContainerState { oom_killed: Some(true), ..state(0) };
        assert_eq!(cause(&survived, ending(0)).0, None);
    }
}
