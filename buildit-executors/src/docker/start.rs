//! Opening the gate of a job's container.

use std::time::Duration;

use bollard::errors::Error;
use bollard::query_parameters::{AttachContainerOptionsBuilder, StartContainerOptions};
use buildit::executor::{ExecutorError, JobContext};
use buildit::job::JobSpec;
use futures_util::StreamExt;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::AsyncWriteExt;

use super::backend::{DockerBackend, Phase};
use super::entry::job_feed;
use super::error::{Trouble, is_answer, is_unstartable, said, trouble};
use crate::script::Marks;

/// How long the engine may take to pass on what a container is fed. It is passed on in milliseconds once the container
/// runs; one whose gate is open already never reads it.
const FEEDING: Duration = Duration::from_secs(10);

/// Whether the container is to be started, or is running and waits for its gate at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feeding {
    /// It is to be started.
    AndStart,
    /// It runs.
    Only,
}

impl DockerBackend {
    pub(super) async fn start_job(&self, job: &JobSpec, ctx: &JobContext) -> Result<(), ExecutorError> {
        let name = job.id.backend_name();
        let phase = if self.take_fresh(&name) { Phase::Created } else { self.phase(&name).await? };
        let feeding = match phase {
            // The outcome tells what became of it.
            Phase::Gone | Phase::Unstartable | Phase::Ended => return Ok(()),
            Phase::Created => Feeding::AndStart,
            // An engine that died may have opened the gate or not. What is fed behind the gate is read by nobody.
            Phase::Running => Feeding::Only,
        };
        let feed = match job_feed(job, ctx.secrets(), &Marks::of(&job.id)) {
            Ok(feed) => feed,
            Err(bad) => return Err(self.failing.here("feed the job", format!("no variable can be named `{bad}`"))),
        };
        let mut fed = self.feed(&name, feed.clone(), feeding).await;
        // Podman makes a container that has just ended ready to run again when it is attached to, and forgets how it
        // ended, whether it then attaches or says that it cannot: it has to run once more, in which it finds its claim
        // and ends as before.
        if feeding == Feeding::Only && self.phase(&name).await? == Phase::Created {
            fed = self.feed(&name, feed, Feeding::AndStart).await;
        }
        match fed {
            Ok(()) => Ok(()),
            Err(error) if trouble(&error) == Trouble::Broken && !is_answer(&error) => {
                Err(self.failing.at("start a container", error))
            }
            // The engine has answered that it cannot be: it keeps the reason, which becomes the outcome.
            Err(error) => match self.phase(&name).await? {
                // Podman keeps no reason; it says the same when it is asked again.
                Phase::Created if is_unstartable(&error) => {
                    self.set_unstartable(&name, said(&error));
                    Ok(())
                }
                Phase::Created => Err(self.failing.at("start a container", error)),
                Phase::Gone | Phase::Unstartable | Phase::Running | Phase::Ended => Ok(()),
            },
        }
    }

    /// Feeds a container and starts it. Output is never attached: a reader that stalls would stop the container.
    pub(super) async fn feed(&self, name: &str, feed: SecretString, feeding: Feeding) -> Result<(), Error> {
        let options = AttachContainerOptionsBuilder::new().stdin(true).stream(true).build();
        let mut attached = self.docker.attach_container(name, Some(options)).await?;
        // The engine takes what it is fed into a buffer before the container runs, as far as it fits: so both at once.
        let write = async {
            attached.input.write_all(feed.expose_secret().as_bytes()).await?;
            attached.input.shutdown().await?;
            Ok::<(), std::io::Error>(())
        };
        match feeding {
            Feeding::AndStart => {
                let start = self.docker.start_container(name, None::<StartContainerOptions>);
                tokio::pin!(write, start);
                let mut written = None;
                loop {
                    tokio::select! {
                        done = &mut write, if written.is_none() => written = Some(done),
                        started = &mut start => {
                            started?;
                            break;
                        }
                    }
                }
                if written.is_none() {
                    written = tokio::time::timeout(FEEDING, &mut write).await.ok();
                }
                written.unwrap_or(Ok(()))?;
            }
            Feeding::Only => drop(tokio::time::timeout(FEEDING, write).await),
        }
        // The connection is closed by the engine when all of it is passed on. Nobody has to wait for that.
        tokio::spawn(async move {
            let _ = tokio::time::timeout(FEEDING, async { while attached.output.next().await.is_some() {} }).await;
        });
        Ok(())
    }
}
