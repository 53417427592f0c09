//! What runs, stages and executors share: limits, turns and groups.

use super::*;

#[tokio::test(start_paused = true)]
async fn limits_of_engine_executor_and_run_hold() {
    let wide = || {
        let stages = (0..20).map(|index| StageBuilder::run(format!("s{index}"), "true"));
        PipelineBuilder::new("wide").stages(stages).build()
    };
    let slow = || {
        (0..20).fold(Script::new(), |script, index| {
            script.stage(format!("s{index}"), [Act::succeed().after(Duration::from_secs(1))])
        })
    };
    for (engine_limit, executor_limit, run_limit, most) in [(3, 9, 9, 3), (9, 4, 9, 4), (9, 9, 2, 2), (64, 64, 64, 20)]
    {
        let executor = scripted(slow());
        let engine = Engine::builder()
            .executor(executor.clone())
            .clock(clock())
            .max_jobs(engine_limit)
            .executor_limit("local", executor_limit)
            .build()
            .unwrap();
        let run_limit = NonZeroU32::new(run_limit).unwrap();
        let run = engine.start(&wide(), options().max_parallel(run_limit)).await.unwrap();
        assert_eq!(run.wait().await.unwrap().status, RunStatus::Succeeded);
        assert_eq!((executor.most_running(), executor.started().len()), (most, 20));
    }
}

#[tokio::test(start_paused = true)]
async fn many_runs_share_an_engine_and_each_gets_its_turn() {
    let wide = |name: &str| {
        let stages = (0..50).map(|index| StageBuilder::run(format!("s{index}"), "true"));
        PipelineBuilder::new(name).stages(stages).build()
    };
    let script = (0..50).fold(Script::new(), |script, index| {
        script.stage(format!("s{index}"), [Act::succeed().after(Duration::from_secs(1))])
    });
    let executor = scripted(script);
    let engine = Engine::builder().executor(executor.clone()).clock(clock()).max_jobs(2).build().unwrap();
    let long = engine.start(&wide("long"), options()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let short = PipelineBuilder::new("late").stage(StageBuilder::run("s0", "true")).build();
    let late = engine.start(&short, options()).await.unwrap();
    late.wait().await.unwrap();
    let before = executor.started().iter().filter(|job| job.run == long.id()).count();
    assert!(before < 12, "the late run waited for {before} jobs of the long one");
    long.wait().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn runs_of_a_group_go_one_after_another_and_the_newest_cancels() {
    let script = || Script::new().stage("ship", [Act::succeed().after(Duration::from_secs(10))]);
    let executor = scripted(script());
    let engine = Engine::builder().executor(executor.clone()).clock(clock()).build().unwrap();
    let one = PipelineBuilder::new("shop").concurrency("ship").stage(StageBuilder::run("ship", "true")).build();
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(engine.start(&one, options()).await.unwrap());
    }
    for run in &runs {
        assert_eq!(run.wait().await.unwrap().status, RunStatus::Succeeded);
    }
    assert_eq!(executor.most_running(), 1);
    let order: Vec<_> = executor.started().iter().map(|job| job.run).collect();
    assert_eq!(order, runs.iter().map(RunHandle::id).collect::<Vec<_>>());

    let newest =
        PipelineBuilder::new("web").concurrency_newest("ship").stage(StageBuilder::run("ship", "true")).build();
    let mut ends = Vec::new();
    for _ in 0..3 {
        ends.push(engine.start(&newest, options()).await.unwrap());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let mut statuses = Vec::new();
    for run in &ends {
        statuses.push(run.wait().await.unwrap().status);
    }
    assert_eq!(statuses, [RunStatus::Cancelled, RunStatus::Cancelled, RunStatus::Succeeded]);
}

#[tokio::test(start_paused = true)]
async fn a_full_executor_holds_nobody_up_however_many_wait_for_it() {
    let slow = ScriptedExecutor::new("slow", Script::new().stage("slow-0", [Act::hang()]));
    let quick = ScriptedExecutor::new("quick", Script::new());
    let builder = Engine::builder().executor(slow).executor_limit("slow", 1).executor(quick.clone());
    let engine = builder.clock(clock()).build().unwrap();
    let many = (0..10_000).map(|at| StageBuilder::run(format!("slow-{at}"), "true").executor("slow"));
    let last = StageBuilder::run("quick", "true").executor("quick");
    let pipeline = many.chain([last]).fold(PipelineBuilder::new("shop"), PipelineBuilder::stage).build();
    let run = engine.start(&pipeline, options()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(quick.attempts("quick"), 1);
    run.cancel("enough");
    replays(&run, &run.wait().await.unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn stages_of_many_executors_get_their_turn_whatever_the_limits() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    for round in 0..60 {
        let stages = 5 + draw(60);
        let mut builder = Engine::builder().clock(clock());
        for executor in 0..3 {
            let script = (0..stages).fold(Script::new(), |script, stage| {
                let acts = [0; 3].map(|_| {
                    let act = if draw(4) == 0 { Act::fail(1) } else { Act::succeed() };
                    if draw(2) == 0 { act } else { act.after(Duration::from_millis(draw(3) * 500)) }
                });
                script.stage(format!("s{stage}"), acts)
            });
            builder = builder.executor(ScriptedExecutor::new(format!("e{executor}"), script));
            if draw(2) == 0 {
                builder = builder.executor_limit(format!("e{executor}"), 1 + draw(3) as usize);
            }
        }
        if draw(2) == 0 {
            builder = builder.max_jobs(1 + draw(4) as usize);
        }
        let engine = builder.build().unwrap();
        let mut runs = Vec::new();
        for _ in 0..3 {
            let mut pipeline = PipelineBuilder::new("p");
            if draw(2) == 0 {
                pipeline = pipeline.max_parallel(NonZeroU32::new(1 + draw(4) as u32).unwrap());
            }
            for at in 0..stages {
                let stage = StageBuilder::run(format!("s{at}"), "true").executor(format!("e{}", draw(3)));
                let mut stage = stage.allow_failure();
                if at > 0 && draw(2) == 0 {
                    stage = stage.needs([format!("s{}", draw(at))]);
                }
                if draw(2) == 0 {
                    stage = stage.retry(1 + draw(2) as u32, Duration::from_millis(draw(3) * 250));
                }
                pipeline = pipeline.stage(stage);
            }
            let mut options = options();
            if draw(2) == 0 {
                options.max_parallel = NonZeroU32::new(1 + draw(3) as u32);
            }
            runs.push(engine.start(&pipeline.build(), options).await.unwrap());
        }
        for run in &runs {
            let report = tokio::time::timeout(Duration::from_secs(100_000), run.wait()).await;
            let report = report.unwrap_or_else(|_| panic!("a run of round {round} hangs")).unwrap();
            assert_eq!(report.status, RunStatus::Succeeded);
            replays(run, &report).await;
        }
    }
}
