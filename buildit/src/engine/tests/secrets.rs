//! No secret gets into what is kept.

use std::sync::Mutex;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};

use super::*;
use crate::executor::{Executor, ExecutorError, JobContext, Unsupported};
use crate::job::{JobSpec, Stream};
use crate::pipeline::{ImageSpec, PullRequest, RegistryCredentials};
use crate::secret::{RegistryLogin, SecretError, SecretReader, SecretSource};

#[tokio::test(start_paused = true)]
async fn g4_a_context_that_holds_a_secret_is_refused_before_it_is_kept() {
    let secrets = MemorySecrets::new().with("TOKEN", "hunter22");
    let engine = Engine::builder().executor(scripted(Script::new())).clock(clock()).secrets(secrets).build().unwrap();
    let pipeline = PipelineBuilder::new("shop")
        .param("word", "x")
        .stage(StageBuilder::run("a", "true").secrets(["TOKEN"]))
        .build();
    let text = |text: &str| indexmap::IndexMap::from([("word".to_owned(), text.to_owned())]);
    let clear = "see hunter22";
    // In another of its forms: base64.
    let coded = "aHVudGVyMjI=";
    let cases = [
        (RunContext { params: text(clear), ..RunContext::manual() }, "the parameter `word` holds a secret"),
        (RunContext { env: text(coded), ..RunContext::manual() }, "the environment variable `word` holds a secret"),
        (RunContext { custom: text(clear), ..RunContext::manual() }, "the custom value `word` holds a secret"),
        (
            RunContext { git: GitContext { message: clear.into(), ..GitContext::default() }, ..RunContext::manual() },
            "the commit message holds a secret",
        ),
    ];
    for (context, message) in cases {
        let error = engine.start(&pipeline, StartOptions::new(context)).await.unwrap_err();
        let StartError::Diagnostics(findings) = error else { panic!("{error}") };
        assert_eq!(findings.0.iter().map(|finding| &*finding.message).collect::<Vec<_>>(), [message]);
        assert_eq!(findings.0[0].code, "secret-in-clear");
    }
    assert!(engine.store().open_runs().await.unwrap().is_empty());
    let context = RunContext { params: text("else"), ..RunContext::manual() };
    let run = engine.start(&pipeline, StartOptions::new(context)).await.unwrap();
    assert_eq!(run.wait().await.unwrap().status, RunStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn g4_a_secret_in_an_output_is_refused_and_masked_in_the_log() {
    let script = Script::new().stage("a", [Act::succeed().output("x", "hunter22").log("it is hunter22")]);
    let secrets = MemorySecrets::new().with("TOKEN", "hunter22");
    let engine = Engine::builder().executor(scripted(script)).clock(clock()).secrets(secrets).build().unwrap();
    let pipeline = PipelineBuilder::new("shop").stage(StageBuilder::run("a", "true").secrets(["TOKEN"])).build();
    let run = engine.start(&pipeline, options()).await.unwrap();
    let report = run.wait().await.unwrap();
    assert_eq!(report.stage("a").unwrap().status, Status::Failed);
    assert!(report.products("a").is_none_or(|products| products.outputs.is_empty()));
    let log: Vec<_> = run.logs("a").try_collect().await.unwrap();
    assert_eq!(log.len(), 1);
    assert_eq!(&log[0].chunk.text[..], b"it is ***\n");
    let stored = serde_json::to_string(&events(&run).await).unwrap();
    assert!(!stored.contains("hunter22") && stored.contains("holds a secret"), "{stored}");
}

/// Notes who fetches the images of its jobs, and prints the passwords.
#[derive(Clone, Debug, Default)]
struct Fetching(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl Executor for Fetching {
    fn name(&self) -> &str {
        "docker"
    }

    fn supports(&self, _: &JobSpec) -> Result<(), Unsupported> {
        Ok(())
    }

    async fn run(&self, job: &JobSpec, ctx: JobContext) -> Result<JobOutcome, ExecutorError> {
        for (image, (user, password)) in &ctx.secrets().registries {
            self.0.lock().unwrap().push(format!("{image} {user} {}", password.expose_secret()));
            ctx.log_line(&job.id, Stream::Stdout, password.expose_secret()).await.unwrap();
        }
        Ok(JobOutcome::succeeded())
    }
}

/// One secret, and one registry for whoever is no fork.
#[derive(Debug)]
struct Registries;

#[async_trait]
impl SecretSource for Registries {
    async fn secret(&self, _: &str) -> Result<Option<SecretString>, SecretError> {
        Ok(Some("of-the-stage".into()))
    }

    async fn registries_for(&self, run: SecretReader<'_>) -> Result<Vec<RegistryLogin>, SecretError> {
        let login = |registry: &str| RegistryLogin {
            registry: registry.to_owned(),
            username: "ann".to_owned(),
            password: "of-the-tenant".into(),
        };
        Ok(if run.is_trusted() { vec![login("r.example"), login("docker.io")] } else { Vec::new() })
    }
}

#[tokio::test(start_paused = true)]
async fn g4_images_that_name_nobody_are_fetched_by_whom_the_source_knows() {
    let own = RegistryCredentials { username: "bob".into(), password: "${secrets.PASSWORD}".into() };
    let own = ImageSpec { credentials: Some(own), ..ImageSpec::new("r.example/own") };
    let pipeline = PipelineBuilder::new("shop")
        .param("tag", "1")
        .stage(StageBuilder::run("plain", "true").image("R.Example/plain"))
        .stage(StageBuilder::run("found", "true").image("r.example/found:${params.tag}").needs(["plain"]))
        .stage(StageBuilder::run("own", "true").image_spec(own).needs(["found"]))
        .stage(StageBuilder::run("hub", "true").image("busybox").needs(["own"]))
        .stage(StageBuilder::run("other", "true").image("other.example/x").needs(["hub"]))
        .stage(StageBuilder::run("none", "true").needs(["other"]))
        .build();
    let executor = Fetching::default();
    let engine = Engine::builder().executor(executor.clone()).clock(clock()).secrets(Registries).build().unwrap();
    let run = engine.start(&pipeline, options()).await.unwrap();
    assert_eq!(run.wait().await.unwrap().status, RunStatus::Succeeded);
    let found = std::mem::take(&mut *executor.0.lock().unwrap());
    assert_eq!(
        found,
        [
            "R.Example/plain ann of-the-tenant",
            "r.example/found:1 ann of-the-tenant",
            "r.example/own bob of-the-stage",
            "busybox ann of-the-tenant",
        ]
    );
    for stage in ["plain", "own"] {
        let log: Vec<_> = run.logs(stage).try_collect().await.unwrap();
        assert_eq!(&log[0].chunk.text[..], b"***\n");
    }

    let pull_request = Some(PullRequest { fork: true, ..PullRequest::default() });
    let fork = StartOptions::new(RunContext { pull_request, ..RunContext::manual() });
    let run = engine.start(&pipeline, fork).await.unwrap();
    run.wait().await.unwrap();
    assert_eq!(std::mem::take(&mut *executor.0.lock().unwrap()), ["r.example/own bob of-the-stage"]);
}
