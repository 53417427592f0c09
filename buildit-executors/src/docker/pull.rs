//! Seeing to it that an image is there.

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::errors::Error;
use bollard::models::{CreateImageInfo, VolumeCreateRequest};
use bollard::query_parameters::{
    CreateImageOptionsBuilder, ListVolumesOptionsBuilder, RemoveImageOptions, RemoveVolumeOptions,
    TagImageOptionsBuilder,
};
use buildit::backend::CreateError;
use buildit::executor::{ExecutorError, JobContext};
use buildit::id::RunId;
use buildit::job::{Cause, JobOutcome, JobSpec, NOTICE, Stream};
use buildit::pipeline::{ImageSpec, PullPolicy};
use futures_util::StreamExt;
use secrecy::ExposeSecret;
use tokio::time::Instant;

use super::auth::{DockerConfig, of_user};
use super::backend::{DockerBackend, is_gone};
use super::error::said;
use super::fetched::{BEFORE, Fetch, Fetcher, LABEL, Left, MOST, normal};
use super::image::ImageFacts;

/// How often the progress of a pull is told.
const TELL: Duration = Duration::from_secs(2);

/// The job cannot be started, for this reason, and the job or its image is to blame.
pub(super) fn unstartable(ctx: &JobContext, reason: &str) -> CreateError {
    CreateError::Job(Box::new(JobOutcome::failed_because(Cause::Start, ctx.mask(reason))))
}

impl DockerBackend {
    /// What is to be known of an image, which is fetched when its policy says so.
    pub(super) async fn image(
        &self,
        job: &JobSpec,
        ctx: &JobContext,
        image: &ImageSpec,
    ) -> Result<ImageFacts, CreateError> {
        let reference = &image.reference;
        let fetcher = Fetcher::of(ctx, reference);
        let (here, in_doubt) = self.look(reference).await?;
        if image.pull != PullPolicy::Always {
            let may_use = |facts: &ImageFacts| {
                facts.names.admit(&fetcher, &facts.id, reference) && (facts.names.is_private() || !in_doubt)
            };
            match here {
                Some(facts) if may_use(&facts) => return Ok(facts),
                _ if image.pull != PullPolicy::Never => {}
                Some(_) => {
                    let reason =
                        format!("image `{reference}` may be private, and `pull` is `never`: nobody asks its registry");
                    return Err(unstartable(ctx, &reason));
                }
                None => {
                    return Err(unstartable(ctx, &format!("image `{reference}` is not there, and `pull` is `never`")));
                }
            }
        }
        let fetch = match fetcher {
            Fetcher::Own(_) => Some(self.begin(reference, here.as_ref()).await?),
            Fetcher::Anybody => None,
        };
        let id = |facts: Option<&ImageFacts>| facts.map(|facts| facts.id.clone());
        let fetched = self.fetch(job, ctx, image, here.as_ref()).await;
        let now = self.local_image(reference).await?;
        if let Err(refused @ CreateError::Job(_)) = fetched {
            // Nothing has come, so that nobody need be told whose it is.
            if let Some(fetch) = fetch.filter(|_| id(now.as_ref()) == id(here.as_ref())) {
                self.end(fetch.refused()).await;
            }
            return Err(refused);
        }
        fetched?;
        let Some(facts) = now else {
            return Err(unstartable(ctx, &format!("image `{reference}` could not be pulled")));
        };
        self.note(&fetcher, reference, here.as_ref(), &facts).await?;
        self.end(fetch.map_or_else(|| self.fetches.settle(reference), Fetch::noted)).await;
        Ok(facts)
    }

    /// Fetches an image as far as it is not here; its registry is asked in any case.
    async fn fetch(
        &self,
        job: &JobSpec,
        ctx: &JobContext,
        image: &ImageSpec,
        here: Option<&ImageFacts>,
    ) -> Result<(), CreateError> {
        let reference = &image.reference;
        // What a digest names is what is here, so that Docker asks nobody.
        if here.is_some() && reference.contains('@') && !self.is_podman() {
            let credentials = self.credentials(ctx, reference).await?;
            if let Err(error) = self.docker.inspect_registry_image(reference, credentials).await {
                let reason = format!("image `{reference}` cannot be pulled: {}", said(&error));
                return Err(unstartable(ctx, &reason));
            }
        }
        self.pull(job, ctx, image).await
    }

    /// What a reference names, and whether that may be somebody's alone without being noted.
    async fn look(&self, reference: &str) -> Result<(Option<ImageFacts>, bool), ExecutorError> {
        loop {
            let changes = self.fetches.changes();
            let here = self.local_image(reference).await?;
            let doubt = |facts: &ImageFacts| self.fetches.doubt(reference, &facts.id, &facts.names);
            let in_doubt = here.as_ref().is_some_and(doubt);
            // Or one may have begun, or been noted, while it was looked at.
            if self.fetches.changes() == changes {
                return Ok((here, in_doubt));
            }
        }
    }

    /// Begins to fetch in a name of one's own: whoever starts an engine after this one was killed hears of it.
    async fn begin(&self, reference: &str, here: Option<&ImageFacts>) -> Result<Fetch<'_>, ExecutorError> {
        let before = here.map(|facts| facts.id.as_str());
        let name = format!("buildit-fetching-{}", RunId::new());
        let mut labels = HashMap::from([(LABEL.to_owned(), normal(reference))]);
        labels.extend(before.map(|id| (BEFORE.to_owned(), id.to_owned())));
        let volume = VolumeCreateRequest { name: Some(name.clone()), labels: Some(labels), ..Default::default() };
        match self.docker.create_volume(volume).await {
            // One without volumes keeps no such notes.
            Err(error) if !is_gone(&error) => Err(self.failing.at("note that an image is fetched", error)),
            _ => Ok(self.fetches.begin(reference, before, name)),
        }
    }

    /// Removes what told of a fetch.
    async fn end(&self, volumes: Vec<String>) {
        for volume in volumes {
            if let Err(error) = self.docker.remove_volume(&volume, None::<RemoveVolumeOptions>).await
                && !is_gone(&error)
            {
                // Whoever starts an engine later fetches the image once more.
                tracing::debug!(volume, %error, "the note of a fetch stays");
            }
        }
    }

    /// Notes that whoever fetches in this name may use the image, where not everybody may.
    async fn note(
        &self,
        fetcher: &Fetcher,
        reference: &str,
        here: Option<&ImageFacts>,
        now: &ImageFacts,
    ) -> Result<(), ExecutorError> {
        let was = self.fetches.before(reference).unwrap_or_else(|| here.map(|here| here.id.clone()));
        // What was here may be what was in doubt, and its tag has moved on.
        for image in here.filter(|here| here.id != now.id).into_iter().chain([now]) {
            let is_open = |name: &str| self.fetches.is_open(name);
            if image.names.need(fetcher, &image.id, reference, was.as_deref(), is_open) {
                let (name, tag) = fetcher.name(&image.id, reference);
                let options = TagImageOptionsBuilder::new().repo(&name).tag(&tag).build();
                let noted = self.docker.tag_image(&image.id, Some(options)).await;
                noted.map_err(|error| self.failing.at("note who has fetched an image", error))?;
                // Whose proof is forgotten shows it once more. Never without a new one: the image would be for all.
                let forgotten = if image.names.further.len() < MOST { &[][..] } else { &image.names.further };
                for name in forgotten {
                    if let Err(error) = self.docker.remove_image(name, None::<RemoveImageOptions>, None).await {
                        tracing::debug!(name, %error, "a name of an image stays");
                    }
                }
            }
        }
        Ok(())
    }

    async fn local_image(&self, reference: &str) -> Result<Option<ImageFacts>, ExecutorError> {
        match self.docker.inspect_image(reference).await {
            Ok(image) => Ok(Some(image.into())),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(self.failing.at("look at an image", error)),
        }
    }

    /// The container engine answered and has not got the image: the image, its name or its credentials are to blame,
    /// or a registry that no retry of ours brings back.
    async fn pull(&self, job: &JobSpec, ctx: &JobContext, image: &ImageSpec) -> Result<(), CreateError> {
        let credentials = self.credentials(ctx, &image.reference).await?;
        let (name, tag) = name_and_tag(&image.reference);
        let options = CreateImageOptionsBuilder::new().from_image(name).tag(tag);
        let options = options.platform(image.platform.as_deref().unwrap_or_default()).build();
        self.tell(job, ctx, &format!("pulling {}", image.reference)).await?;
        let mut messages = self.docker.create_image(Some(options), None, credentials);
        let mut progress = Progress::default();
        while let Some(message) = messages.next().await {
            match message {
                Ok(message) => {
                    if let Some(line) = progress.take(message, Instant::now()) {
                        self.tell(job, ctx, &line).await?;
                    }
                }
                Err(error @ (Error::DockerStreamError { .. } | Error::DockerResponseServerError { .. })) => {
                    let reason = format!("image `{}` cannot be pulled: {}", image.reference, said(&error));
                    return Err(unstartable(ctx, &reason));
                }
                Err(error) => return Err(self.failing.at("pull an image", error).into()),
            }
        }
        Ok(())
    }

    /// A secret of the pipeline for this image goes before the configuration of this host.
    async fn credentials(&self, ctx: &JobContext, image: &str) -> Result<Option<DockerCredentials>, CreateError> {
        if let Some((username, password)) = ctx.secrets().registries.get(image) {
            return Ok(Some(of_user(image, username, password.expose_secret())));
        }
        let config = DockerConfig::read().await;
        let found = match config {
            Ok(config) => config.credentials(image).await,
            Err(error) => Err(error),
        };
        found.map_err(|error| unstartable(ctx, &format!("no credentials for image `{image}`: {error}")))
    }

    /// Tells something of the engine itself in the job's log.
    pub(super) async fn tell(&self, job: &JobSpec, ctx: &JobContext, line: &str) -> Result<(), ExecutorError> {
        Ok(ctx.log_line(&job.id, Stream::Command, &format!("{NOTICE}{line}")).await?)
    }
}

/// What earlier engines have begun to fetch in somebody's name, and have not noted.
pub(super) async fn in_doubt(docker: &Docker) -> Result<Vec<Left>, Error> {
    let filters = HashMap::from([("label".to_owned(), vec![LABEL.to_owned()])]);
    let options = ListVolumesOptionsBuilder::new().filters(&filters).build();
    let volumes = match docker.list_volumes(Some(options)).await {
        Err(error) if is_gone(&error) => return Ok(Vec::new()),
        listed => listed?.volumes.unwrap_or_default(),
    };
    let left = volumes.into_iter().filter_map(|mut volume| {
        let (reference, before) = (volume.labels.remove(LABEL)?, volume.labels.remove(BEFORE));
        Some(Left { volume: volume.name, reference, before })
    });
    Ok(left.collect())
}

/// The name and the tag or digest of a reference. Without a tag an engine would fetch all of them.
fn name_and_tag(reference: &str) -> (&str, &str) {
    if let Some((name, digest)) = reference.split_once('@') {
        return (name, digest);
    }
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (reference, "latest"),
    }
}

/// Sums up what an engine says of each layer, many times a second, into a line now and then.
#[derive(Debug, Default)]
struct Progress {
    layers: HashMap<String, (i64, i64)>,
    told: Option<Instant>,
}

impl Progress {
    fn take(&mut self, message: CreateImageInfo, now: Instant) -> Option<String> {
        let status = message.status?;
        match (message.id, message.progress_detail) {
            (Some(layer), Some(detail)) if status == "Downloading" => {
                self.layers.insert(layer, (detail.current.unwrap_or(0), detail.total.unwrap_or(0)));
                let due = self.told.is_none_or(|told| now.duration_since(told) >= TELL);
                due.then(|| {
                    self.told = Some(now);
                    self.line()
                })
            }
            (None, _) if status.starts_with("Status:") || status.starts_with("Digest:") => Some(status),
            _ => None,
        }
    }

    fn line(&self) -> String {
        let (got, of) = self.layers.values().fold((0, 0), |(got, of), (current, total)| (got + current, of + total));
        let mebi = |bytes: i64| format!("{:.1}", bytes as f64 / f64::from(1 << 20));
        format!("pulled {} of {} MiB in {} layers", mebi(got), mebi(of), self.layers.len())
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::ProgressDetail;

    use super::*;

    #[test]
    fn references_are_cut_at_their_tag() {
        assert_eq!(name_and_tag("busybox"), ("busybox", "latest"));
        assert_eq!(name_and_tag("r.example:5000/a/b"), ("r.example:5000/a/b", "latest"));
        assert_eq!(name_and_tag("r.example:5000/a/b:1.2"), ("r.example:5000/a/b", "1.2"));
        assert_eq!(name_and_tag("a@sha256:00"), ("a", "sha256:00"));
    }

    #[tokio::test(start_paused = true)]
    async fn progress_is_told_now_and_then() {
        let mut progress = Progress::default();
        let message = |layer: &str, current| CreateImageInfo {
            id: Some(layer.to_owned()),
            status: Some("Downloading".to_owned()),
            progress_detail: Some(ProgressDetail { current: Some(current), total: Some(2 << 20) }),
            ..Default::default()
        };
        let start = Instant::now();
        assert_eq!(progress.take(message("a", 1 << 20), start).unwrap(), "pulled 1.0 of 2.0 MiB in 1 layers");
        assert_eq!(progress.take(message("b", 1 << 20), start + TELL / 2), None);
        assert_eq!(progress.take(message("a", 2 << 20), start + TELL).unwrap(), "pulled 3.0 of 4.0 MiB in 2 layers");
        let status = CreateImageInfo { status: Some("Status: Image is up to date".to_owned()), ..Default::default() };
        assert!(progress.take(status, start).is_some());
    }
}
