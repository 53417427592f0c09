//! No secret gets into what is kept.

use super::*;

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
