//! Ended runs run again.

use super::*;
use crate::store::RunFilter;

/// A pipeline whose second stage reads what the first one left.
fn with_version() -> PipelineSpec {
    PipelineBuilder::new("shop")
        .stage(StageBuilder::run("build", "true"))
        .stage(StageBuilder::run("test", "true").needs(["build"]).env("VERSION", "${stages.build.outputs.version}"))
        .stage(StageBuilder::run("ship", "true").needs(["test"]))
        .build()
}

fn engine(store: &MemoryStore, script: Script) -> (Engine, ScriptedExecutor) {
    let executor = scripted(script);
    let engine = Engine::builder().executor(executor.clone()).clock(clock()).store(Arc::new(store.clone()));
    (engine.build().unwrap(), executor)
}

fn built() -> Act {
    Act::succeed().output("version", "1.2")
}

#[tokio::test(start_paused = true)]
async fn what_failed_runs_again_from_what_is_stored() {
    let store = MemoryStore::new();
    let (first, executor) = engine(&store, Script::new().stage("build", [built()]).stage("test", [Act::fail(1)]));
    let mut options = options();
    options.context.params.insert("region".into(), "eu".into());
    let pipeline = PipelineSpec {
        params: vec![crate::pipeline::ParamSpec { name: "region".into(), ..Default::default() }],
        ..with_version()
    };
    let run = first.start(&pipeline, options).await.unwrap();
    assert_eq!(run.wait().await.unwrap().status, RunStatus::Failed);
    assert_eq!(executor.attempts("build"), 1);

    // Another engine, which never saw the pipeline.
    let (second, executor) = engine(&store, Script::new());
    let rerun = second.rerun(Rerun::from_failed(&store, run.id()).await.unwrap()).await.unwrap();
    let report = rerun.wait().await.unwrap();
    assert_eq!((report.status, report.number), (RunStatus::Succeeded, 2));
    let started: Vec<_> = executor.started().iter().map(|job| job.stage.to_string()).collect();
    assert_eq!(started, ["test", "ship"]);
    assert!(report.stage("build").unwrap().cached);
    replays(&rerun, &report).await;
    let kept = store.run(rerun.id()).await.unwrap().run;
    assert_eq!((kept.rerun_of, &*kept.context.params["region"]), (Some(run.id()), "eu"));

    let all = second.rerun(Rerun::all(&store, rerun.id()).await.unwrap()).await.unwrap();
    assert_eq!(all.wait().await.unwrap().status, RunStatus::Failed, "nobody set the version");
    assert_eq!(executor.attempts("build"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_run_again_is_refused() {
    let store = MemoryStore::new();
    let (engine, _) = engine(&store, Script::new().stage("build", [built(), built()]).stage("ship", [Act::hang()]));
    let run = engine.start(&with_version(), options()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(matches!(Rerun::all(&store, run.id()).await, Err(RerunError::NotEnded(_))));
    run.cancel("enough");
    run.wait().await.unwrap();
    let other = PipelineBuilder::new("fine").stage(StageBuilder::run("a", "true")).build();
    let fine = engine.start(&other, options()).await.unwrap();
    fine.wait().await.unwrap();
    assert!(matches!(Rerun::from_failed(&store, fine.id()).await, Err(RerunError::NothingFailed(_))));
    let unknown = RunId::new();
    assert!(matches!(Rerun::all(&store, unknown).await, Err(RerunError::Store(_))));
    assert_eq!(store.runs(&RunFilter::default(), 10).await.unwrap().len(), 2, "nothing was kept of what was refused");
}

#[tokio::test(start_paused = true)]
async fn g2_a_rerun_whose_engine_died_goes_on_from_what_it_was_given() {
    let store = MemoryStore::new();
    let (first, _) = engine(&store, Script::new().stage("build", [built()]).stage("test", [Act::fail(1)]));
    let run = first.start(&with_version(), options()).await.unwrap();
    run.wait().await.unwrap();
    for point in [CrashPoint::BeforeStartAppended, CrashPoint::StartAppended] {
        let executor = scripted(Script::new());
        let faults = Arc::new(KillAt::new(point, 1).with_death(Death::Panic));
        let dying = Engine::builder().executor(executor).clock(clock()).worker("one").store(Arc::new(store.clone()));
        let dying = dying.faults(faults).build().unwrap();
        let rerun = dying.rerun(Rerun::from_failed(&store, run.id()).await.unwrap()).await.unwrap();
        assert!(matches!(rerun.wait().await, Err(RunError::Broken)), "{point:?}");
        let executor = scripted(Script::new());
        let next = Engine::builder().executor(executor.clone()).clock(clock()).worker("one");
        let next = next.store(Arc::new(store.clone())).build().unwrap();
        let resumed = next.resume().await.unwrap();
        let report = resumed[0].wait().await.unwrap();
        assert_eq!(executor.attempts("build"), 0);
        assert!(report.stage("build").unwrap().cached);
        replays(&resumed[0], &report).await;
    }
}

#[tokio::test(start_paused = true)]
async fn g4_secrets_of_what_it_goes_on_from_are_masked_and_need_not_be_there() {
    let store = MemoryStore::new();
    let build = StageBuilder::run("build", "true").secrets(["TOKEN"]);
    let test = StageBuilder::run("test", "cat token").needs(["build"]);
    let pipeline = PipelineBuilder::new("shop").stage(build).stage(test).build();
    // What it prints is in the artifact that `build` left.
    let engine = |executor: ScriptedExecutor, secrets: MemorySecrets| {
        let engine = Engine::builder().executor(executor).clock(clock()).worker("one").secrets(secrets);
        engine.store(Arc::new(store.clone()))
    };
    let token = || MemorySecrets::new().with("TOKEN", "hunter22");
    let failing = scripted(Script::new().stage("test", [Act::fail(1)]));
    let first = engine(failing, token()).build().unwrap();
    let run = first.start(&pipeline, options()).await.unwrap();
    assert_eq!(run.wait().await.unwrap().status, RunStatus::Failed);
    let prints = || scripted(Script::new().stage("test", [Act::succeed().log("it is hunter22")]));
    let rerun =
        async |engine: &Engine| engine.rerun(Rerun::from_failed(&store, run.id()).await.unwrap()).await.unwrap();
    let printed = async |run: &RunHandle| {
        assert_eq!(run.wait().await.unwrap().status, RunStatus::Succeeded);
        let log: Vec<StageLog> = run.logs("test").try_collect().await.unwrap();
        log.into_iter().map(|log| String::from_utf8(log.chunk.text.to_vec()).unwrap()).collect::<String>()
    };
    let again = rerun(&engine(prints(), token()).build().unwrap()).await;
    assert_eq!(printed(&again).await, "it is ***\n");

    let faults = Arc::new(KillAt::new(CrashPoint::BeforeStartAppended, 1).with_death(Death::Panic));
    let dying = engine(prints(), token()).faults(faults).build().unwrap();
    assert!(matches!(rerun(&dying).await.wait().await, Err(RunError::Broken)));
    let next = engine(prints(), token()).build().unwrap();
    assert_eq!(printed(&next.resume().await.unwrap()[0]).await, "it is ***\n");

    let unknown = engine(prints(), MemorySecrets::new()).build().unwrap();
    assert_eq!(printed(&rerun(&unknown).await).await, "it is hunter22\n");
}
