//! Stopping a job.

use bollard::errors::Error;
use bollard::query_parameters::{KillContainerOptionsBuilder, RemoveContainerOptionsBuilder};
use buildit::backend::Stopping;
use buildit::cancel::Stop;
use buildit::executor::ExecutorError;
use buildit::id::JobId;

use super::backend::{DockerBackend, Phase};
use super::error::{Trouble, trouble};

/// Tells every process of the container but the first, which is our script and has to see how the others end. The
/// first form is for shells that take `-1` for an option.
const TERMINATE: &str = "kill -s TERM -1 2>/dev/null || kill -s TERM -- -1";

impl DockerBackend {
    pub(super) async fn stop_job(&self, job: &JobId, how: Stop) -> Result<Stopping, ExecutorError> {
        let name = job.backend_name();
        match self.phase(&name).await? {
            Phase::Gone => Ok(Stopping::Requested),
            Phase::Unstartable | Phase::Ended => Ok(Stopping::AlreadyEnded),
            Phase::Created => {
                // Whoever still means to start it finds nothing.
                let options = RemoveContainerOptionsBuilder::new().v(true).force(true).build();
                let removed = self.docker.remove_container(&name, Some(options)).await;
                self.answer(removed, Stopping::Requested)
            }
            Phase::Running => match how {
                Stop::No => Ok(Stopping::Requested),
                Stop::Gracefully => match self.exec_as_root(&name, TERMINATE).await {
                    Ok(_) => Ok(Stopping::Requested),
                    // A container that cannot take another process, or has just ended.
                    Err(error) => {
                        tracing::debug!(job = %job, %error, "the processes of a container could not be told to end");
                        self.kill(&name, "SIGTERM").await
                    }
                },
                Stop::Now => self.kill(&name, "SIGKILL").await,
            },
        }
    }

    async fn kill(&self, name: &str, signal: &str) -> Result<Stopping, ExecutorError> {
        let options = KillContainerOptionsBuilder::new().signal(signal).build();
        let killed = self.docker.kill_container(name, Some(options)).await;
        self.answer(killed, Stopping::Requested)
    }

    fn answer(&self, done: Result<(), Error>, otherwise: Stopping) -> Result<Stopping, ExecutorError> {
        match done {
            Ok(()) => Ok(otherwise),
            // It has ended in between.
            Err(error) if matches!(trouble(&error), Trouble::Gone | Trouble::Conflict) => Ok(Stopping::AlreadyEnded),
            Err(error) => Err(self.failing.at("stop a container", error)),
        }
    }
}
