//! What is refused before anything starts.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_cannot_run_is_refused_with_all_reasons_before_anything_starts() {
    let engine = Engine::builder().executor(scripted(Script::new())).clock(clock()).build().unwrap();
    let pipeline = PipelineBuilder::new("shop")
        .required_param("region")
        .stage(StageBuilder::run("a", "true").executor("moon"))
        .stage(StageBuilder::run("b", "true").secrets(["TOKEN"]))
        .stage(StageBuilder::run("c", "true").environment("production").runs_on(["gpu"]))
        .build();
    let error = engine.start(&pipeline, options()).await.unwrap_err();
    let StartError::Diagnostics(findings) = error else { panic!("{error}") };
    let codes: Vec<_> = findings.0.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["missing-param", "unknown-executor", "unsupported", "unsupported", "missing-secret"]);
    assert!(engine.store().open_runs().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_what_can_run_must_be_able_to() {
    let engine = Engine::builder().executor(scripted(Script::new())).clock(clock()).build().unwrap();
    let pipeline = PipelineBuilder::new("shop")
        .stage(StageBuilder::run("a", "true").executor("moon"))
        .stage(StageBuilder::run("b", "true").secrets(["TOKEN"]).runs_on(["gpu"]))
        .stage(StageBuilder::run("c", "true"))
        .stage(StageBuilder::run("d", "true").needs(["c"]))
        .build();
    let only = |stage: &str| {
        let context = RunContext { only: vec![stage.into()], ..RunContext::manual() };
        engine.start(&pipeline, StartOptions::new(context))
    };
    let run = only("d").await.unwrap();
    assert_eq!(run.wait().await.unwrap().status, RunStatus::Succeeded);
    let StartError::Diagnostics(findings) = only("b").await.unwrap_err() else { panic!("another error") };
    let codes: Vec<_> = findings.0.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["unsupported", "missing-secret"]);
    let place = findings.0[1].part.as_ref().unwrap();
    assert_eq!((place.stage.as_deref(), &*place.path), (Some("b"), "secrets[0]"));
}

#[tokio::test(start_paused = true)]
async fn a_group_that_depends_on_the_number_of_its_run_is_refused() {
    let engine = Engine::builder().executor(scripted(Script::new())).clock(clock()).build().unwrap();
    let direct = PipelineBuilder::new("shop").concurrency("deploy-${run.number}");
    let through_env = PipelineBuilder::new("shop").env("N", "${run.number}").concurrency("deploy-${env.N}");
    for pipeline in [direct, through_env] {
        let pipeline = pipeline.stage(StageBuilder::run("ship", "true")).build();
        let refused = engine.start(&pipeline, options()).await.unwrap_err();
        assert!(format!("{refused}").contains("before it has its number"), "{refused}");
    }
}
