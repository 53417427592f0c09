//! What runs beside a job, on a private network with it.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::query_parameters::{CreateContainerOptionsBuilder, ListNetworksOptionsBuilder, LogsOptionsBuilder};
use buildit::backend::CreateError;
use buildit::executor::{ExecutorError, JobContext};
use buildit::job::JobSpec;
use buildit::pipeline::{ReadySpec, ServiceSpec};
use futures_util::StreamExt;
use tokio::time::Instant;

use super::backend::{DockerBackend, Phase};
use super::config::{private_network, service_container};
use super::entry::service_feed;
use super::error::{Trouble, is_answer, said, trouble};
use super::image::ImageFacts;
use super::names;
use super::pull::unstartable;
use super::start::Feeding;
use crate::script::Marks;

/// How long to wait between two looks at whether a service is ready.
const LOOK: Duration = Duration::from_millis(200);
/// How many lines of a service that did not get ready are shown.
const SHOWN: &str = "20";

impl DockerBackend {
    /// Starts the services of a job and waits until they are ready. What an earlier engine began is taken over.
    pub(super) async fn start_services(&self, job: &JobSpec, ctx: &JobContext) -> Result<(), CreateError> {
        let services = &job.stage.services;
        if services.is_empty() {
            return Ok(());
        }
        let images = services.iter().map(|service| self.image(job, ctx, &service.image));
        let (images, network) = tokio::join!(futures_util::future::try_join_all(images), self.make_network(job));
        let images = images?;
        network?;
        let starts = services.iter().zip(&images).enumerate().map(|(index, (service, image))| async move {
            let name = names::service(&job.id, index);
            self.start_service(job, ctx, &name, service, image).await?;
            match &service.ready {
                Some(ready) => self.await_ready(job, ctx, &name, service, ready).await,
                None => Ok(()),
            }
        });
        futures_util::future::try_join_all(starts).await?;
        Ok(())
    }

    /// The network is looked for by its label: an engine makes a second one of the same name without complaint.
    async fn make_network(&self, job: &JobSpec) -> Result<(), ExecutorError> {
        let filters = names::of_job(&job.id);
        let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
        let found = self.docker.list_networks(Some(options)).await;
        let found = found.map_err(|error| self.failing.at("look for a network", error))?;
        if !found.is_empty() {
            return Ok(());
        }
        match self.docker.create_network(private_network(job)).await {
            Ok(_) => Ok(()),
            Err(error) if trouble(&error) == Trouble::Conflict => Ok(()),
            Err(error) => Err(self.failing.at("make a network", error)),
        }
    }

    async fn start_service(
        &self,
        job: &JobSpec,
        ctx: &JobContext,
        name: &str,
        service: &ServiceSpec,
        image: &ImageFacts,
    ) -> Result<(), CreateError> {
        let marks = Marks::of(&job.id);
        let body = service_container(job, service, image, ctx.secrets(), &marks);
        let platform = service.image.platform.as_deref().unwrap_or_default();
        let options = CreateContainerOptionsBuilder::new().name(name).platform(platform).build();
        let phase = match self.docker.create_container(Some(options), body).await {
            Ok(_) => Phase::Created,
            Err(error) => match trouble(&error) {
                Trouble::Conflict => self.phase(name).await?,
                Trouble::Gone | Trouble::Refused => {
                    return Err(unstartable(ctx, &format!("service `{}`: {}", service.name, said(&error))));
                }
                Trouble::Broken => return Err(self.failing.at("make a service", error).into()),
            },
        };
        let secrets = ctx.secrets().services.get(&service.name).filter(|secrets| !secrets.is_empty());
        let done = match (phase, secrets) {
            (Phase::Created | Phase::Running, Some(secrets)) => {
                let feed = service_feed(secrets, &marks).map_err(|bad| {
                    unstartable(ctx, &format!("service `{}`: no variable can be named `{bad}`", service.name))
                })?;
                let feeding = if phase == Phase::Created { Feeding::AndStart } else { Feeding::Only };
                self.feed(name, feed, feeding).await
            }
            (Phase::Created, None) => {
                self.docker.start_container(name, None::<bollard::query_parameters::StartContainerOptions>).await
            }
            _ => Ok(()),
        };
        match done {
            Ok(()) => Ok(()),
            Err(error) if is_answer(&error) => {
                Err(unstartable(ctx, &format!("service `{}` cannot be started: {}", service.name, said(&error))))
            }
            Err(error) => Err(self.failing.at("start a service", error).into()),
        }
    }

    async fn await_ready(
        &self,
        job: &JobSpec,
        ctx: &JobContext,
        name: &str,
        service: &ServiceSpec,
        ready: &ReadySpec,
    ) -> Result<(), CreateError> {
        let until = Instant::now() + ready.timeout;
        loop {
            let looked = tokio::time::timeout_at(until, self.exec(name, &ready.command, None)).await;
            match looked {
                Ok(Ok(0)) => return Ok(()),
                // An answer that it cannot be looked at is one: it has ended, most likely.
                Ok(Err(error)) if !is_answer(&error) => {
                    return Err(self.failing.at("look whether a service is ready", error).into());
                }
                Ok(_) | Err(_) => {}
            }
            let reason = match self.phase(name).await? {
                Phase::Running if Instant::now() < until => {
                    tokio::time::sleep(LOOK).await;
                    continue;
                }
                Phase::Running => format!("was not ready within {} s", ready.timeout.as_secs_f64()),
                Phase::Gone | Phase::Created | Phase::Unstartable | Phase::Ended => {
                    "ended before it was ready".to_owned()
                }
            };
            self.show_end(job, ctx, name, service).await?;
            return Err(unstartable(ctx, &format!("service `{}` {reason}", service.name)));
        }
    }

    /// Shows the last lines of a service in the log of the job, for whoever has to find out why.
    async fn show_end(
        &self,
        job: &JobSpec,
        ctx: &JobContext,
        name: &str,
        service: &ServiceSpec,
    ) -> Result<(), ExecutorError> {
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(SHOWN).build();
        let mut frames = Box::pin(self.docker.logs(name, Some(options)));
        while let Some(Ok(frame)) = frames.next().await {
            let (LogOutput::StdOut { message } | LogOutput::StdErr { message }) = frame else { continue };
            for line in String::from_utf8_lossy(&message).lines() {
                self.tell(job, ctx, &format!("{}: {line}", service.name)).await?;
            }
        }
        Ok(())
    }
}
