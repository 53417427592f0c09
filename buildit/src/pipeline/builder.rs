//! A pipeline written in Rust.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::{
    Action, ApprovalSpec, ArtifactSpec, CacheSpec, CheckoutSpec, Command, ConcurrencySpec, ImageSpec, Matrix,
    ParamSpec, Pipeline, PipelineError, PipelineSpec, ReportsSpec, ResourceSpec, RetryCause, RetrySpec, RunAction,
    RunContext, ServiceSpec, Shell, StageSpec, Trigger, When, WhenProperties,
};
use crate::id::{ExecutorName, StageName};

/// Builds a [`PipelineSpec`]. It is a [`Pipeline`] itself, so [`build`](Self::build) is needed only to look at the
/// spec.
///
/// ```
/// use std::time::Duration;
/// use buildit::pipeline::{PipelineBuilder, StageBuilder};
///
/// let shop = PipelineBuilder::new("shop")
///     .param("region", "eu")
///     .env("RUST_BACKTRACE", "1")
///     .stage(StageBuilder::run("fmt", "cargo fmt --check").image("rust:1.90"))
///     .stage(
///         StageBuilder::run("test", "cargo test")
///             .needs(["fmt"])
///             .image("rust:1.90")
///             .matrix([("db", ["postgres", "sqlite"])])
///             .timeout(Duration::from_secs(20 * 60))
///             .retry(2, Duration::from_secs(10)),
///     )
///     .build();
/// assert_eq!(shop.stages.len(), 2);
/// ```
#[derive(Clone, Debug, Default)]
pub struct PipelineBuilder(PipelineSpec);

impl PipelineBuilder {
    /// A pipeline of this name, still without a stage.
    pub fn new(name: impl Into<String>) -> Self {
        Self(PipelineSpec { name: name.into(), ..PipelineSpec::default() })
    }

    /// One line about it.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.0.description = Some(description.into());
        self
    }

    /// The repository that it belongs to, as a URL.
    #[must_use]
    pub fn repository(mut self, url: impl Into<String>) -> Self {
        self.0.repository = Some(url.into());
        self
    }

    /// How many jobs of one run may run at once.
    #[must_use]
    pub fn max_parallel(mut self, jobs: NonZeroU32) -> Self {
        self.0.max_parallel = Some(jobs);
        self
    }

    /// The first failure that counts cancels what still runs.
    #[must_use]
    pub fn fail_fast(mut self) -> Self {
        self.0.fail_fast = true;
        self
    }

    /// Runs of this group run one after another.
    #[must_use]
    pub fn concurrency(mut self, group: impl Into<String>) -> Self {
        self.0.concurrency = Some(ConcurrencySpec { group: group.into(), cancel_in_progress: false });
        self
    }

    /// Of this group only the newest run goes on: it cancels the one before it.
    #[must_use]
    pub fn concurrency_newest(mut self, group: impl Into<String>) -> Self {
        self.0.concurrency = Some(ConcurrencySpec { group: group.into(), cancel_in_progress: true });
        self
    }

    /// How the source is checked out.
    #[must_use]
    pub fn checkout(mut self, checkout: CheckoutSpec) -> Self {
        self.0.checkout = checkout;
        self
    }

    /// Something that starts a run by itself.
    #[must_use]
    pub fn trigger(mut self, trigger: Trigger) -> Self {
        self.0.triggers.push(trigger);
        self
    }

    /// A parameter with its default.
    #[must_use]
    pub fn param(self, name: impl Into<String>, default: impl Into<String>) -> Self {
        self.param_spec(ParamSpec { name: name.into(), default: Some(default.into()), ..ParamSpec::default() })
    }

    /// A parameter that each run must be given.
    #[must_use]
    pub fn required_param(self, name: impl Into<String>) -> Self {
        self.param_spec(ParamSpec { name: name.into(), ..ParamSpec::default() })
    }

    /// A parameter with all that can be said about it.
    #[must_use]
    pub fn param_spec(mut self, param: ParamSpec) -> Self {
        self.0.params.push(param);
        self
    }

    /// An environment variable of every stage.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.env.insert(name.into(), value.into());
        self
    }

    /// A cache that stages can name.
    #[must_use]
    pub fn cache(mut self, cache: CacheSpec) -> Self {
        self.0.caches.push(cache);
        self
    }

    /// A stage.
    #[must_use]
    pub fn stage(mut self, stage: impl Into<StageSpec>) -> Self {
        self.0.stages.push(Arc::new(stage.into()));
        self
    }

    /// Several stages.
    #[must_use]
    pub fn stages(mut self, stages: impl IntoIterator<Item = impl Into<StageSpec>>) -> Self {
        self.0.stages.extend(stages.into_iter().map(|stage| Arc::new(stage.into())));
        self
    }

    /// The pipeline. Whether it is valid is said when it is compiled.
    #[must_use]
    pub fn build(self) -> PipelineSpec {
        self.0
    }
}

impl Pipeline for PipelineBuilder {
    fn spec(&self, _: &RunContext) -> Result<Arc<PipelineSpec>, PipelineError> {
        Ok(Arc::new(self.0.clone()))
    }
}

impl From<PipelineBuilder> for PipelineSpec {
    fn from(builder: PipelineBuilder) -> Self {
        builder.0
    }
}

/// Builds a [`StageSpec`]; see [`PipelineBuilder`].
#[derive(Clone, Debug)]
pub struct StageBuilder(StageSpec);

impl StageBuilder {
    /// A stage that runs this command.
    pub fn run(name: impl Into<StageName>, command: impl Into<String>) -> Self {
        let run = RunAction { commands: vec![Command::new(command)], shell: Shell::default() };
        Self::new(name, Action::Run(run))
    }

    /// A stage that does this.
    pub fn new(name: impl Into<StageName>, action: Action) -> Self {
        Self(StageSpec::new(name, action))
    }

    /// A further command in the same shell; nothing when the stage does something else than run commands.
    #[must_use]
    pub fn then(mut self, command: impl Into<String>) -> Self {
        if let Action::Run(run) = &mut self.0.action {
            run.commands.push(Command::new(command));
        }
        self
    }

    /// The shell that reads the commands; nothing when the stage does something else than run commands.
    #[must_use]
    pub fn shell(mut self, program: impl Into<String>) -> Self {
        if let Action::Run(run) = &mut self.0.action {
            run.shell = Shell::new(program);
        }
        self
    }

    /// What must have ended before it; adds up.
    #[must_use]
    pub fn needs(mut self, stages: impl IntoIterator<Item = impl Into<StageName>>) -> Self {
        self.0.needs.extend(stages.into_iter().map(Into::into));
        self
    }

    /// One stage for each combination of these values.
    #[must_use]
    pub fn matrix<A, V>(mut self, axes: impl IntoIterator<Item = (A, V)>) -> Self
    where
        A: Into<String>,
        V: IntoIterator<Item: Into<String>>,
    {
        let matrix = self.0.matrix.get_or_insert_default();
        for (axis, values) in axes {
            matrix.axes.entry(axis.into()).or_default().extend(values.into_iter().map(Into::into));
        }
        self
    }

    /// Leaves out the cells of the matrix that agree with all of these values.
    #[must_use]
    pub fn exclude(mut self, values: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Self {
        let matrix: &mut Matrix = self.0.matrix.get_or_insert_default();
        matrix.exclude.push(values.into_iter().map(|(axis, value)| (axis.into(), value.into())).collect());
        self
    }

    /// When it runs at all: a CEL expression.
    #[must_use]
    pub fn when(mut self, expression: impl Into<String>) -> Self {
        self.0.when = Some(Box::new(When::Expression(expression.into())));
        self
    }

    /// When it runs at all: properties of the run, all of which must hold.
    #[must_use]
    pub fn when_properties(mut self, properties: WhenProperties) -> Self {
        self.0.when = Some(Box::new(When::Properties(properties)));
        self
    }

    /// The image whose container it runs in.
    #[must_use]
    pub fn image(self, reference: impl Into<String>) -> Self {
        self.image_spec(ImageSpec::new(reference))
    }

    /// The image with all that can be said about it.
    #[must_use]
    pub fn image_spec(mut self, image: ImageSpec) -> Self {
        self.0.image = Some(Box::new(image));
        self
    }

    /// An environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.env.insert(name.into(), value.into());
        self
    }

    /// Secrets that it gets, each as an environment variable of its name; adds up.
    #[must_use]
    pub fn secrets(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.0.secrets.extend(names.into_iter().map(Into::into));
        self
    }

    /// Something that runs beside it.
    #[must_use]
    pub fn service(mut self, service: ServiceSpec) -> Self {
        self.0.services.push(service);
        self
    }

    /// A cache of the pipeline that it uses.
    #[must_use]
    pub fn cache(mut self, name: impl Into<String>) -> Self {
        self.0.caches.push(name.into());
        self
    }

    /// Files that it leaves: a path or glob.
    #[must_use]
    pub fn artifact(self, path: impl Into<String>) -> Self {
        self.artifact_spec(ArtifactSpec { path: path.into(), ..ArtifactSpec::default() })
    }

    /// Files that it leaves, with all that can be said about them.
    #[must_use]
    pub fn artifact_spec(mut self, artifact: ArtifactSpec) -> Self {
        self.0.artifacts.push(artifact);
        self
    }

    /// Globs of JUnit reports that it writes; adds up.
    #[must_use]
    pub fn junit(mut self, glob: impl Into<String>) -> Self {
        self.0.reports.get_or_insert_with(ReportsSpec::default).junit.push(glob.into());
        self
    }

    /// How long an attempt may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout = Some(timeout);
        self
    }

    /// How many more attempts there may be after any failure, and how long to wait before the first of them; the
    /// wait doubles each time.
    #[must_use]
    pub fn retry(self, limit: u32, backoff: Duration) -> Self {
        self.retry_on(limit, backoff, [])
    }

    /// The same after these causes only.
    #[must_use]
    pub fn retry_on(mut self, limit: u32, backoff: Duration, on: impl IntoIterator<Item = RetryCause>) -> Self {
        self.0.retry = Some(Box::new(RetrySpec { limit, backoff, on: on.into_iter().collect() }));
        self
    }

    /// What it may use of the machine.
    #[must_use]
    pub fn resources(mut self, resources: ResourceSpec) -> Self {
        self.0.resources = resources;
        self
    }

    /// Labels of the machine that it must run on; adds up.
    #[must_use]
    pub fn runs_on(mut self, labels: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.0.runs_on.extend(labels.into_iter().map(Into::into));
        self
    }

    /// An earlier result of the same inputs may be taken; these globs are the inputs.
    #[must_use]
    pub fn cacheable(mut self, inputs: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.0.cacheable = true;
        self.0.inputs.extend(inputs.into_iter().map(Into::into));
        self
    }

    /// The environment whose variables, secrets and protection it uses.
    #[must_use]
    pub fn environment(mut self, name: impl Into<String>) -> Self {
        self.0.environment = Some(name.into());
        self
    }

    /// A gate that a person opens.
    #[must_use]
    pub fn approval(mut self, approval: ApprovalSpec) -> Self {
        self.0.approval = Some(Box::new(approval));
        self
    }

    /// The executor that it must run on.
    #[must_use]
    pub fn executor(mut self, name: impl Into<ExecutorName>) -> Self {
        self.0.executor = Some(name.into());
        self
    }

    /// Its failure does not count.
    #[must_use]
    pub fn allow_failure(mut self) -> Self {
        self.0.allow_failure = true;
        self
    }

    /// The folder that its commands start in, relative to the workspace.
    #[must_use]
    pub fn workdir(mut self, path: impl Into<String>) -> Self {
        self.0.workdir = Some(path.into());
        self
    }

    /// The words that replace the image's entry point.
    #[must_use]
    pub fn entrypoint(mut self, words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.0.entrypoint = words.into_iter().map(Into::into).collect();
        self
    }

    /// Its container gets all rights over the host, where the engine permits it.
    #[must_use]
    pub fn privileged(mut self) -> Self {
        self.0.privileged = true;
        self
    }

    /// The stage.
    #[must_use]
    pub fn build(self) -> StageSpec {
        self.0
    }
}

impl From<StageBuilder> for StageSpec {
    fn from(builder: StageBuilder) -> Self {
        builder.0
    }
}
