//! Two engines on one store: concurrency groups and the limits of tenants hold among them.

use super::*;
use crate::clock::Clock;
use crate::id::{RunId, TenantId};
use crate::store::{Claim, QueueStore, Share};

fn engine(store: &Arc<MemoryStore>, clock: &Arc<SimulatedClock>, name: &str, executor: &ScriptedExecutor) -> Engine {
    let builder = Engine::builder().store(store.clone()).clock(clock.clone()).worker(name.to_owned());
    builder.executor(executor.clone()).build().unwrap()
}

fn at_work(engine: &Engine, runs: usize) -> tokio::task::JoinHandle<()> {
    let engine = engine.clone();
    tokio::spawn(async move { engine.work(WorkOptions { runs, ..WorkOptions::default() }).await })
}

/// Every run takes ten seconds.
fn slow() -> ScriptedExecutor {
    scripted(Script::new().stage("ship", [Act::succeed().after(Duration::from_secs(10))]))
}

fn grouped() -> PipelineSpec {
    PipelineBuilder::new("shop").concurrency("ship").stage(StageBuilder::run("ship", "true")).build()
}

fn newest() -> PipelineSpec {
    PipelineBuilder::new("web").concurrency_newest("ship").stage(StageBuilder::run("ship", "true")).build()
}

/// Waits until all of these runs have ended.
async fn ended(store: &MemoryStore, runs: &[RunId]) -> Vec<RunStatus> {
    let begun = tokio::time::Instant::now();
    let mut statuses = Vec::new();
    for run in runs {
        loop {
            let status = store.run(*run).await.unwrap().status;
            if status.is_final() {
                statuses.push(status);
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(3600), "run {run} goes on and on");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    statuses
}

#[tokio::test(start_paused = true)]
async fn runs_of_a_group_go_one_after_another_on_two_engines() {
    let (store, clock, executor) = (Arc::new(MemoryStore::new()), clock(), slow());
    let engines = [engine(&store, &clock, "one", &executor), engine(&store, &clock, "two", &executor)];
    let mut runs = Vec::new();
    for turn in 0..6 {
        let engine = &engines[turn % 2];
        runs.push(match turn {
            0 | 3 => engine.start(&grouped(), options()).await.unwrap().id(),
            _ => engine.enqueue(&grouped(), options(), QueueOptions::default()).await.unwrap().run.id,
        });
    }
    let _work = engines.each_ref().map(|engine| at_work(engine, 4));
    assert_eq!(ended(&store, &runs).await, [RunStatus::Succeeded; 6]);
    assert_eq!(executor.most_running(), 1);
    assert_eq!(executor.started().iter().map(|job| job.run).collect::<Vec<_>>(), runs);
}

#[tokio::test(start_paused = true)]
async fn the_newest_run_cancels_one_that_another_engine_drives() {
    let (store, clock, executor) = (Arc::new(MemoryStore::new()), clock(), slow());
    let engines = [engine(&store, &clock, "one", &executor), engine(&store, &clock, "two", &executor)];
    let first = engines[0].start(&newest(), options()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(executor.started().len(), 1);
    let second = engines[1].start(&newest(), options()).await.unwrap();
    let third = engines[1].enqueue(&newest(), options(), QueueOptions::default()).await.unwrap().run.id;
    let _work = at_work(&engines[0], 4);
    let statuses = ended(&store, &[first.id(), second.id(), third]).await;
    assert_eq!(statuses, [RunStatus::Cancelled, RunStatus::Cancelled, RunStatus::Succeeded]);
    assert_eq!(executor.started().iter().map(|job| job.run).collect::<Vec<_>>(), [first.id(), third]);
}

#[tokio::test(start_paused = true)]
async fn a_group_waits_for_the_run_of_an_engine_that_is_gone_and_a_takeover_hears_that_it_is_to_end() {
    let (store, clock, executor) = (Arc::new(MemoryStore::new()), clock(), slow());
    let living = engine(&store, &clock, "living", &executor);
    let first = living.enqueue(&newest(), options(), QueueOptions::default()).await.unwrap().run.id;
    let claim = Claim { worker: "gone".into(), limit: 1, lease: Duration::from_secs(30) };
    assert_eq!(store.claim(claim, clock.now()).await.unwrap().len(), 1);
    let second = living.enqueue(&newest(), options(), QueueOptions::default()).await.unwrap().run.id;
    let _work = at_work(&living, 4);
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert_eq!(store.run(second).await.unwrap().last_seq, 0, "it did not wait for the one before");
    assert_eq!(ended(&store, &[first, second]).await, [RunStatus::Cancelled, RunStatus::Succeeded]);
    assert_eq!(executor.started().iter().map(|job| job.run).collect::<Vec<_>>(), [second]);
}

#[tokio::test(start_paused = true)]
async fn two_engines_keep_the_limit_of_a_tenant_and_leave_no_slot_idle() {
    let (store, clock, executor) = (Arc::new(MemoryStore::new()), clock(), slow());
    let engines = [engine(&store, &clock, "one", &executor), engine(&store, &clock, "two", &executor)];
    let (limited, free) = (TenantId::new(), TenantId::new());
    store.set_share(limited, Share { max_running: NonZeroU32::new(2), ..Share::default() }).await.unwrap();
    let pipeline = PipelineBuilder::new("shop").stage(StageBuilder::run("ship", "true")).build();
    let mut runs = [Vec::new(), Vec::new()];
    for _ in 0..12 {
        for (tenant, runs) in [limited, free].into_iter().zip(&mut runs) {
            let started = engines[0].enqueue(&pipeline, options().tenant(tenant), QueueOptions::default()).await;
            runs.push(started.unwrap().run.id);
        }
    }
    let _work = engines.each_ref().map(|engine| at_work(engine, 4));
    let mut most = 0;
    for _ in 0..15 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut under_way = [0, 0];
        for (count, runs) in under_way.iter_mut().zip(&runs) {
            for run in runs {
                *count += usize::from(store.run(*run).await.unwrap().status == RunStatus::Running);
            }
        }
        assert!(under_way[0] <= 2, "{} runs of a tenant whose limit is 2", under_way[0]);
        most = most.max(under_way[0] + under_way[1]);
    }
    assert_eq!(most, 8, "a slot is idle");
    ended(&store, &runs.concat()).await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_its_turn_says_for_whom() {
    let (store, clock) = (Arc::new(MemoryStore::new()), clock());
    let engine = engine(&store, &clock, "one", &slow());
    let first = engine.start(&grouped(), options()).await.unwrap();
    let second = engine.start(&grouped(), options()).await.unwrap();
    let told = second.notices().next().await.unwrap();
    assert!(told.starts_with(&format!("waits for run {}", first.id())), "{told}");
    assert_eq!(second.wait().await.unwrap().status, RunStatus::Succeeded);
    assert_eq!(first.notices().next().await, None, "it did not wait");
}
