//! Making a job's container, inert, with its inputs in it.

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{CreateContainerOptionsBuilder, RenameContainerOptionsBuilder};
use buildit::backend::{CreateError, Created};
use buildit::cancel::Stop;
use buildit::executor::JobContext;
use buildit::fault::CrashPoint;
use buildit::job::{JobOutcome, JobSpec};

use super::backend::{DockerBackend, Phase};
use super::config::job_container;
use super::entry::job_feed;
use super::error::{Trouble, said, trouble};
use super::files::Home;
use super::image::{ImageFacts, Owner, UserName};
use super::inputs::{self, InputError};
use super::pull::unstartable;
use super::remove::remove_container;
use crate::script::Marks;

impl DockerBackend {
    pub(super) async fn create_job(&self, job: &JobSpec, ctx: &JobContext) -> Result<Created, CreateError> {
        // The name stands for a job that is complete, whoever made it: nothing is looked at or pulled for it again.
        if self.phase(&job.id.backend_name()).await? != Phase::Gone {
            return Ok(Created::Existing);
        }
        tokio::select! {
            biased;
            created = self.make(job, ctx) => created,
            // A pull or a service may take minutes. What was begun bears the job's label and goes with it.
            () = ctx.cancel().raised(Stop::Gracefully) => Err(CreateError::Job(Box::new(JobOutcome::cancelled()))),
        }
    }

    async fn make(&self, job: &JobSpec, ctx: &JobContext) -> Result<Created, CreateError> {
        let Some(image) = job.stage.image.as_deref() else {
            return Err(unstartable(ctx, &format!("the {} executor needs an image", self.options.name)));
        };
        let marks = Marks::of(&job.id);
        if let Err(bad) = job_feed(job, ctx.secrets(), &marks) {
            return Err(unstartable(ctx, &format!("no variable can be named `{bad}`")));
        }
        let (facts, services) = tokio::join!(self.image(job, ctx, image), self.start_services(job, ctx));
        let facts = facts?;
        services?;
        if !job.stage.services.is_empty() {
            ctx.reach(CrashPoint::ServicesReady, &job.id);
        }
        let body = job_container(job, &facts, ctx.secrets(), &self.options, &marks);
        let platform = image.platform.clone().unwrap_or_default();
        let user = image.user.as_deref().unwrap_or(&facts.user);
        let user = UserName::parse(user);
        let name = job.id.backend_name();
        let created = if user.is_root() && !inputs::is_needed(ctx.inputs()) {
            // The engine itself makes the folder to work in, and root can write to it: nothing is to be uploaded.
            self.create_container(ctx, &name, body, &platform).await?
        } else {
            self.create_filled(job, ctx, body, &platform, user, &facts).await?
        };
        if created == Created::New {
            self.set_fresh(&name);
        }
        Ok(created)
    }

    /// Makes the container under a name of its own, fills it, and gives it the job's name when it is complete: an
    /// engine that dies or is paused in between leaves nothing that could be taken for the job, and never writes into
    /// a job that another engine has started.
    async fn create_filled(
        &self,
        job: &JobSpec,
        ctx: &JobContext,
        body: ContainerCreateBody,
        platform: &str,
        user: UserName<'_>,
        facts: &ImageFacts,
    ) -> Result<Created, CreateError> {
        let name = job.id.backend_name();
        let unique = blake3::hash(buildit::id::RunId::new().as_uuid().as_bytes()).to_hex();
        let draft = format!("{name}-n{}", &unique[..12]);
        self.create_container(ctx, &draft, body, platform).await?;
        ctx.reach(CrashPoint::Drafted, &job.id);
        let owner = self.owner(ctx, &draft, &user, facts).await?;
        let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(1);
        self.upload(&draft, ctx.inputs(), ctx.blobs(), &owner, now).await.map_err(|error| match error {
            InputError::Workspace(error) if error.is_of_the_job() => unstartable(ctx, &error.to_string()),
            InputError::Workspace(error) => self.failing.here("read the inputs", error).into(),
            InputError::Engine(error) => CreateError::from(self.failing.at("upload the inputs", error)),
        })?;
        ctx.reach(CrashPoint::Filled, &job.id);
        let options = RenameContainerOptionsBuilder::new().name(&name).build();
        match self.docker.rename_container(&draft, options).await {
            Ok(()) => Ok(Created::New),
            Err(error) if self.phase(&name).await? != Phase::Gone => {
                tracing::debug!(job = %job.id, %error, "another engine was quicker");
                let removed = remove_container(&self.docker, &draft).await;
                removed.map_err(|error| self.failing.at("remove a container", error))?;
                Ok(Created::Existing)
            }
            Err(error) => Err(self.failing.at("name a container", error).into()),
        }
    }

    async fn create_container(
        &self,
        ctx: &JobContext,
        name: &str,
        body: ContainerCreateBody,
        platform: &str,
    ) -> Result<Created, CreateError> {
        let options = CreateContainerOptionsBuilder::new().name(name).platform(platform).build();
        match self.docker.create_container(Some(options), body).await {
            Ok(_) => Ok(Created::New),
            Err(error) => match trouble(&error) {
                Trouble::Conflict => Ok(Created::Existing),
                // The engine has understood the configuration, and it will not do: that is the stage's.
                Trouble::Gone | Trouble::Refused => Err(unstartable(ctx, &said(&error))),
                Trouble::Broken => Err(self.failing.at("make a container", error).into()),
            },
        }
    }

    /// Who owns the job's files. Names are looked up in the image, and so are home folders when a cache needs one.
    async fn owner(
        &self,
        ctx: &JobContext,
        container: &str,
        user: &UserName<'_>,
        facts: &ImageFacts,
    ) -> Result<Owner, CreateError> {
        let owner = self.look_up(container, user, Home::of(ctx.inputs())).await;
        let owner = owner.map_err(|error| self.failing.here("read the image's users", error))?;
        match owner {
            Some(owner) => Ok(Owner { home: facts.home.clone().or(owner.home), ..owner }),
            None => Err(unstartable(ctx, "the image does not know the user that it is to run as")),
        }
    }
}
