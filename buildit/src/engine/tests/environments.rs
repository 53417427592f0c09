//! What a stage's environment gives it and demands of it, under an engine.

use std::sync::Mutex;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};

use super::*;
use crate::environment::MemoryEnvironments;
use crate::executor::{Executor, ExecutorError, JobContext, Unsupported};
use crate::job::JobSpec;
use crate::pipeline::{EnvironmentSpec, Protection, PullRequest};
use crate::secret::{SecretError, SecretReader, SecretSource};

/// Notes what its jobs get.
#[derive(Clone, Debug, Default)]
struct Noting(Arc<Mutex<Vec<(String, String)>>>);

impl Noting {
    fn got(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[async_trait]
impl Executor for Noting {
    fn name(&self) -> &str {
        "local"
    }

    fn supports(&self, _: &JobSpec) -> Result<(), Unsupported> {
        Ok(())
    }

    async fn run(&self, job: &JobSpec, ctx: JobContext) -> Result<JobOutcome, ExecutorError> {
        let (env, secrets) = (job.environment(), &ctx.secrets().env);
        let word = |name: &str| env.get(name).cloned().unwrap_or_default();
        let token = secrets.get("TOKEN").map(|token| token.expose_secret().to_owned()).unwrap_or_default();
        let told = format!("{} {} {} {token}", word("REGION"), word("SIZE"), word("BUILDIT_ENVIRONMENT_REGION"));
        self.0.lock().unwrap().push((job.id.stage.to_string(), told));
        Ok(JobOutcome::succeeded())
    }
}

/// A token for each environment, and one for what has none.
#[derive(Debug)]
struct Tokens;

#[async_trait]
impl SecretSource for Tokens {
    async fn secret(&self, _: &str) -> Result<Option<SecretString>, SecretError> {
        Ok(None)
    }

    async fn secret_for(&self, run: SecretReader<'_>, _: &str) -> Result<Option<SecretString>, SecretError> {
        Ok(Some(format!("token-of-{}", run.trusted_environment().unwrap_or("all")).into()))
    }
}

fn environment(region: &str, protection: Protection) -> EnvironmentSpec {
    let variables = [("REGION", region), ("SIZE", "environment")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
    EnvironmentSpec { variables, protection }
}

fn environments(protection: Protection) -> MemoryEnvironments {
    let staging = environment("us", Protection::default());
    MemoryEnvironments::new().with("production", environment("${git.sha}", protection)).with("staging", staging)
}

fn engine(executor: &Noting, environments: MemoryEnvironments) -> Engine {
    let builder = Engine::builder().executor(executor.clone()).clock(clock()).secrets(Tokens);
    builder.environments(environments).build().unwrap()
}

fn pipeline() -> PipelineSpec {
    let stage = |name: &str| StageBuilder::run(name, "true").secrets(["TOKEN"]);
    PipelineBuilder::new("shop")
        .env("REGION", "pipeline")
        .stage(stage("test"))
        .stage(stage("try").needs(["test"]).environment("staging"))
        .stage(stage("ship").needs(["try"]).environment("production").env("SIZE", "stage"))
        .build()
}

fn pairs(told: &[(&str, &str)]) -> Vec<(String, String)> {
    told.iter().map(|(stage, told)| ((*stage).to_owned(), (*told).to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn each_stage_gets_the_variables_and_secrets_of_its_environment() {
    let executor = Noting::default();
    let run = engine(&executor, environments(Protection::default())).start(&pipeline(), options()).await.unwrap();
    let report = run.wait().await.unwrap();
    assert_eq!(report.status, RunStatus::Succeeded);
    let told = pairs(&[
        ("test", "pipeline   token-of-all"),
        ("try", "us environment us token-of-staging"),
        ("ship", "${git.sha} stage ${git.sha} token-of-production"),
    ]);
    assert_eq!(executor.got(), told);
    replays(&run, &report).await;
}

#[tokio::test(start_paused = true)]
async fn a_pull_request_from_a_fork_gets_no_secret_of_an_environment() {
    let executor = Noting::default();
    let pull_request = Some(PullRequest { fork: true, ..PullRequest::default() });
    let context = RunContext { pull_request, ..RunContext::manual() };
    let engine = engine(&executor, environments(Protection::default()));
    let run = engine.start(&pipeline(), StartOptions::new(context)).await.unwrap();
    run.wait().await.unwrap();
    assert!(executor.got().iter().all(|(_, told)| told.ends_with("token-of-all")));
}

#[tokio::test(start_paused = true)]
async fn a_run_keeps_its_environments_as_they_were() {
    let (executor, store) = (Noting::default(), MemoryStore::new());
    let before = Engine::builder().executor(executor.clone()).clock(clock()).secrets(Tokens).worker("one");
    let rules = Protection { approvals: 1, ..Protection::default() };
    let before = before.store(Arc::new(store.clone())).environments(environments(rules)).build().unwrap();
    let run = before.start(&pipeline(), options()).await.unwrap();
    run.events()
        .try_skip_while(|event| std::future::ready(Ok(!matches!(event.body, EventBody::ApprovalRequested { .. }))))
        .try_next()
        .await
        .unwrap();
    before.shutdown().await;
    // The next engine's source knows other values and no rules; the run has those of its start.
    let changed = MemoryEnvironments::new().with("production", environment("changed", Protection::default()));
    let after = Engine::builder().executor(executor.clone()).clock(clock()).secrets(Tokens).worker("one");
    let after = after.store(Arc::new(store)).environments(changed).build().unwrap();
    let run = after.resume().await.unwrap().remove(0);
    run.approve("ship", Approval::yes("ann")).await.unwrap();
    assert_eq!(run.wait().await.unwrap().status, RunStatus::Succeeded);
    let last = executor.got().pop().unwrap();
    assert_eq!(last, ("ship".into(), "${git.sha} stage ${git.sha} token-of-production".into()));
}

#[tokio::test(start_paused = true)]
async fn a_rerun_keeps_to_the_rules_of_today() {
    let (executor, store) = (Noting::default(), MemoryStore::new());
    let build = |environments| {
        let builder = Engine::builder().executor(executor.clone()).clock(clock()).secrets(Tokens);
        builder.store(Arc::new(store.clone())).environments(environments).build().unwrap()
    };
    let first = build(environments(Protection::default())).start(&pipeline(), options()).await.unwrap();
    assert_eq!(first.wait().await.unwrap().status, RunStatus::Succeeded);
    let only_main = Protection { branches: vec!["main".into()], ..Protection::default() };
    let rerun = Rerun::all(&store, first.id()).await.unwrap();
    let again = build(environments(only_main)).rerun(rerun).await.unwrap();
    let report = again.wait().await.unwrap();
    let reason = report.stage("ship").unwrap().reason.as_ref().unwrap().to_string();
    assert_eq!(reason, "environment `production` is only for the branches main");
}

#[tokio::test(start_paused = true)]
async fn an_environment_that_is_not_there_or_cannot_be_set_is_refused() {
    let refused = async |engine: Engine| match engine.start(&pipeline(), options()).await {
        Err(StartError::Diagnostics(findings)) => {
            findings.0.into_iter().map(|finding| (finding.code, finding.message)).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    let executor = Noting::default();
    let found = refused(engine(&executor, MemoryEnvironments::new().with("staging", EnvironmentSpec::default()))).await;
    assert_eq!(found, [("unknown-environment", "there is no environment `production`".to_owned())]);
    let variables = [("BUILDIT_JOB_ID".to_owned(), "x".to_owned())].into_iter().collect();
    let bad = EnvironmentSpec { variables, ..EnvironmentSpec::default() };
    let found = refused(engine(&executor, environments(Protection::default()).with("production", bad))).await;
    assert_eq!(found, [("reserved-env", "`BUILDIT_JOB_ID` is set by BuildIt itself".to_owned())]);
    let leaking = environment("token-of-staging", Protection::default());
    let found = refused(engine(&executor, environments(Protection::default()).with("staging", leaking))).await;
    let held = "the variable `REGION` of environment `staging` holds a secret";
    assert_eq!(found, [("secret-in-clear", held.to_owned())]);
    let none = Engine::builder().executor(executor.clone()).clock(clock()).secrets(Tokens).build().unwrap();
    let found = refused(none).await;
    let message = |stage: &str, name: &str| {
        ("unsupported", format!("stage `{stage}`: this engine has no environments, so no `{name}`"))
    };
    assert_eq!(found, [message("try", "staging"), message("ship", "production")]);
    assert!(executor.got().is_empty());
}
