//! What counts for a result, and what is told when it is another.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_changes_is_told_and_only_what_a_stage_sees_counts() {
    let world = World::new(Script::new());
    let pipeline = one(cacheable("build", "make").env("A", "1"));
    let source = async |text: &str| options().source(world.source(text).await);
    let before = "docs/a 1\nsrc/a 1\nsrc/b 1";
    assert_eq!(world.misses(&pipeline, source(before).await).await, ["build: no result of it is kept"]);
    assert!(world.misses(&pipeline, source("docs/a 2\nsrc/a 1\nsrc/b 1").await).await.is_empty());
    let told = world.misses(&pipeline, source("docs/a 1\nsrc/a 2\nsrc/c 1").await).await;
    assert_eq!(told, ["build: file `src/a` changed, file `src/b` is gone, file `src/c` is new"]);
    // Back again: what was kept then is there still.
    assert!(world.misses(&pipeline, source(before).await).await.is_empty());
    let told = world.misses(&one(cacheable("build", "make all").env("A", "2")), source(before).await).await;
    assert_eq!(
        told,
        [
            "build: command `1` changed, variable `A` changed, file `src/a` changed, file `src/b` is new, file `src/c` is gone"
        ]
    );
    // Another pipeline's results are its own.
    let other = PipelineBuilder::new("other").stage(cacheable("build", "make").env("A", "1")).build();
    assert_eq!(world.runs(&other, source(before).await).await, 1);
}

#[tokio::test(start_paused = true)]
async fn what_differs_from_run_to_run_counts_where_a_command_names_it() {
    let sha = |sha: &str| {
        let git = GitContext { sha: sha.into(), ..GitContext::default() };
        StartOptions::new(RunContext { git, ..RunContext::manual() })
    };
    for (command, runs) in [
        ("make", 0),
        ("make ${git.sha}", 1),
        ("sh -c 'make \"$BUILDIT_GIT_SHA\"'", 1),
        ("make ${git.branch}", 0),
        ("make ${run.number}", 1),
        ("make $BUILDIT_JOB_ID", 1),
        ("make ${stage.attempt}", 0),
    ] {
        let world = World::new(Script::new());
        let pipeline = one(cacheable("build", command));
        assert_eq!(world.runs(&pipeline, sha("a")).await, 1);
        assert_eq!(world.runs(&pipeline, sha("b")).await, runs, "{command}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_counts_by_its_value() {
    let world = World::new(Script::new());
    let pipeline = one(cacheable("build", "make").secrets(["TOKEN"]));
    for (value, attempts) in [("hunter22", 1), ("hunter22", 1), ("hunter33", 2)] {
        let secrets = MemorySecrets::new().with("TOKEN", value);
        let engine = world.builder().secrets(secrets).build().unwrap();
        engine.start(&pipeline, options()).await.unwrap().wait().await.unwrap();
        assert_eq!(world.executor.attempts("build"), attempts);
    }
    let (_, made_of) = world.store.last_ingredients("shop", &"build".into()).await.unwrap().unwrap();
    assert!(!made_of.is_empty());
    assert!(made_of.iter().all(|one| one.kind != IngredientKind::Secret));
}

#[tokio::test(start_paused = true)]
async fn g4_a_result_that_holds_a_secret_of_another_stage_is_not_taken() {
    let word = "hunter22";
    let left = |products| Act::end(JobOutcome::succeeded().with_products(products));
    let artifact = Artifact { name: word.into(), ..products(Digest::of(b"bin")).artifacts.remove(0) };
    let output = [("version".to_owned(), word.to_owned())].into_iter().collect();
    let long = (0..2000).fold(Act::succeed(), |act, number| act.log(format!("line {number}")));
    for (what, act) in [
        ("output", left(JobProducts { outputs: output, ..JobProducts::default() })),
        ("summary", left(JobProducts { summary: Some(word.into()), ..JobProducts::default() })),
        ("artifact", left(JobProducts { artifacts: vec![artifact], ..JobProducts::default() })),
        ("log", Act::succeed().log("it is hunter22")),
        ("long log", long.log("it is hunter22")),
    ] {
        let world = World::new(Script::new().stage("build", [act]));
        world.store.put(blob_of("bin")).await.unwrap();
        assert_eq!(world.runs(&one(cacheable("build", "make")), options()).await, 1, "{what}");
        let ship = StageBuilder::run("ship", "true").secrets(["TOKEN"]);
        let pipeline = PipelineBuilder::new("shop").stage(cacheable("build", "make")).stage(ship).build();
        let engine = world.builder().secrets(MemorySecrets::new().with("TOKEN", word)).build().unwrap();
        for _ in 0..2 {
            let run = engine.start(&pipeline, options()).await.unwrap();
            run.wait().await.unwrap();
            let told = serde_json::to_string(&events(&run).await).unwrap();
            let log = log_of(&run, "build").await;
            assert!(!told.contains(word) && log.iter().all(|(_, line)| !line.contains(word)), "{what}: {told} {log:?}");
        }
        assert!(world.executor.attempts("build") >= 2, "{what}");
        // What was masked is kept in its place.
        let is_masked = matches!(what, "summary" | "log" | "long log");
        assert_eq!(world.executor.attempts("build") == 2, is_masked, "{what}");
    }
}
