//! Removing what is left of jobs and runs.

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, RemoveContainerOptionsBuilder,
    RemoveVolumeOptions,
};
use buildit::executor::ExecutorError;
use buildit::id::{JobId, RunId};

use super::backend::DockerBackend;
use super::error::{Trouble, trouble};
use super::names;

/// How often a removal that another one is in the way of is tried again, and how long it is waited for each time: a
/// minute in all, which is more than any removal takes.
const TRIES: u32 = 300;
const PAUSE: Duration = Duration::from_millis(200);

/// What the engine calls things by: a filter for each kind of thing.
type Filters = HashMap<String, Vec<String>>;

impl DockerBackend {
    /// Begins to remove all that is left of a job. [`reap_run`](Self::reap_run) waits for it, and does it again if it
    /// failed.
    pub(super) fn remove_job(&self, job: &JobId) {
        self.forget(&job.backend_name());
        let (docker, filters, job_id) = (self.docker.clone(), names::of_job(job), job.clone());
        self.removals.add(
            job.run,
            tokio::spawn(async move {
                if let Err(error) = remove_all(&docker, filters).await {
                    tracing::warn!(job = %job_id, %error, "a job's containers were not removed; the end of the run tries again");
                }
            }),
        );
    }

    pub(super) async fn reap_run(&self, run: RunId) -> Result<(), ExecutorError> {
        self.removals.finish(run).await;
        remove_all(&self.docker, names::of_run(run)).await.map_err(|error| self.failing.at("remove containers", error))
    }
}

/// Removes every container, network and volume that bears these labels.
async fn remove_all(docker: &Docker, filters: Filters) -> Result<(), Error> {
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let containers = docker.list_containers(Some(options)).await?;
    let removals = containers
        .into_iter()
        .filter_map(|container| container.id)
        .map(|id| async move { remove_container(docker, &id).await });
    futures_util::future::try_join_all(removals).await?;
    let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
    for network in docker.list_networks(Some(options)).await? {
        let Some(id) = network.id else { continue };
        again(|| docker.remove_network(&id)).await?;
    }
    let options = ListVolumesOptionsBuilder::new().filters(&filters).build();
    for volume in docker.list_volumes(Some(options)).await?.volumes.unwrap_or_default() {
        again(|| docker.remove_volume(&volume.name, None::<RemoveVolumeOptions>)).await?;
    }
    Ok(())
}

/// Removes a container with what it runs and with its own volumes.
pub(super) async fn remove_container(docker: &Docker, id: &str) -> Result<(), Error> {
    let options = RemoveContainerOptionsBuilder::new().v(true).force(true).build();
    again(|| docker.remove_container(id, Some(options.clone()))).await
}

/// Tries again while something else, mostly another removal, is in the way. What is gone is removed.
async fn again<F: Future<Output = Result<(), Error>>>(remove: impl Fn() -> F) -> Result<(), Error> {
    let mut tries = 0;
    loop {
        match remove().await {
            Ok(()) => return Ok(()),
            Err(error) => match trouble(&error) {
                Trouble::Gone => return Ok(()),
                // A network that still has an endpoint is refused, not in conflict.
                Trouble::Conflict | Trouble::Refused if tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                Trouble::Conflict | Trouble::Refused | Trouble::Broken => return Err(error),
            },
        }
    }
}
