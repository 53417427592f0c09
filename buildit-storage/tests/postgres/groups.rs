//! Concurrency groups whose runs end at the same time.

use buildit::event::{Event, EventBody, RunStatus};
use buildit::id::{FencingToken, RunId};
use buildit::store::{Claim, NewRun, QueueStore, RunStore};
use buildit_storage::postgres::PostgresStore;
use tokio::task::JoinSet;

use crate::{Scratch, at, new_run, waiting};

const GROUPS: usize = 60;

async fn end(store: PostgresStore, run: RunId) {
    let end = Event { seq: 1, time: at(0), body: EventBody::RunFinished { status: RunStatus::Cancelled } };
    store.append(run, 0, FencingToken(1), [end].into()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn the_next_run_is_freed_when_those_before_it_end_at_once() {
    let scratch = Scratch::new().await;
    let stores = [scratch.store().await, scratch.store().await];
    let (mut ending, mut last) = (Vec::new(), Vec::new());
    for group in 0..GROUPS {
        let member = || NewRun { group: Some(format!("group {group}")), ..new_run("sample") };
        let runs = [member(), member(), member()];
        for run in &runs {
            stores[0].create_run(run.clone()).await.unwrap();
        }
        stores[0].enqueue(waiting(runs[2].id)).await.unwrap();
        ending.push([runs[0].id, runs[1].id]);
        last.push(runs[2].id);
    }
    for runs in ending {
        let mut ends = JoinSet::new();
        for (run, store) in runs.into_iter().zip(&stores) {
            ends.spawn(end(store.clone(), run));
        }
        ends.join_all().await;
    }
    let claim = Claim { worker: "one".into(), limit: GROUPS, lease: std::time::Duration::from_secs(30) };
    let taken = stores[0].claim(claim, at(0)).await.unwrap();
    assert_eq!(taken.iter().map(|job| job.run).collect::<Vec<_>>(), last, "the runs that are behind nobody now");
}
