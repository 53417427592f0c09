//! What is known of pipelines when a folder is opened again, and what format 2 said of them.

use std::path::Path;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::super::MemoryStore;
use super::file::FrameReader;
use super::folder::write_whole;
use super::frame::frame;
use crate::event::{Event, EventBody, RunStatus};
use crate::id::{FencingToken, RunId, TenantId};
use crate::pipeline::{PipelineSpec, RunContext};
use crate::store::{
    NewPipeline, NewRun, PipelineChange, PipelineFilter, PipelineSource, PipelineStore, RunFilter, RunStore, StoreError,
};

const TOKEN: FencingToken = FencingToken(1);

fn new_run(tenant: TenantId, pipeline: &str) -> NewRun {
    let plan = PipelineSpec { name: pipeline.into(), ..PipelineSpec::default() };
    NewRun { tenant, ..NewRun::new(plan, RunContext::manual(), Timestamp::UNIX_EPOCH) }
}

fn new_pipeline(tenant: TenantId, name: &str) -> NewPipeline {
    let source = PipelineSource::Text { kdl: String::new() };
    NewPipeline { tenant, name: name.into(), source, settings: Map::new(), created_at: Timestamp::UNIX_EPOCH }
}

async fn ended(store: &MemoryStore, run: NewRun) -> RunId {
    let id = run.id;
    store.create_run(run).await.unwrap();
    let body = EventBody::RunFinished { status: RunStatus::Succeeded };
    store.append(id, 0, TOKEN, [Event { seq: 1, time: Timestamp::UNIX_EPOCH, body }].into()).await.unwrap();
    store.close_run(id, TOKEN).await.unwrap();
    id
}

fn renamed(name: &str) -> PipelineChange {
    PipelineChange { name: Some(name.into()), ..PipelineChange::default() }
}

#[tokio::test]
async fn pipelines_and_their_runs_stay_together() {
    let folder = tempfile::tempdir().unwrap();
    let open = || MemoryStore::journaled(folder.path()).unwrap();
    let tenant = TenantId::new();
    let store = open();
    let gone = store.create_pipeline(new_pipeline(tenant, "gone")).await.unwrap();
    ended(&store, new_run(tenant, "gone")).await;
    let first = ended(&store, new_run(tenant, "shop")).await;
    let shop = store.create_pipeline(new_pipeline(tenant, "shop")).await.unwrap();
    store.update_pipeline(shop.id, 1, renamed("store"), Timestamp::UNIX_EPOCH).await.unwrap();
    let other = ended(&store, new_run(tenant, "shop")).await;
    let last = ended(&store, new_run(tenant, "store")).await;
    store.delete_run(last).await.unwrap();
    store.delete_pipeline(gone.id).await.unwrap();
    let lines = store.pipelines(&PipelineFilter::of_tenant(tenant), 9).await.unwrap();
    let runs = store.runs(&RunFilter::default(), 9).await.unwrap();
    drop(store);

    for _ in 0..2 {
        let store = open();
        assert_eq!(store.pipelines(&PipelineFilter::of_tenant(tenant), 9).await.unwrap(), lines);
        assert_eq!(store.runs(&RunFilter::default(), 9).await.unwrap(), runs);
        assert_eq!(store.run_by_number(tenant, "store", 1).await.unwrap().id, first);
        assert_eq!(store.run_by_number(tenant, "shop", 1).await.unwrap().id, other);
        assert!(matches!(store.pipeline(gone.id).await, Err(StoreError::NotFound(_))));
    }
    let store = open();
    for (name, number) in [("store", 3), ("shop", 2), ("gone", 1)] {
        assert_eq!(store.create_run(new_run(tenant, name)).await.unwrap().number, number, "{name}");
    }
}

/// Rewrites the frames of a file.
fn rewrite(path: &Path, change: impl Fn(&mut Value)) {
    let mut content = Vec::new();
    let mut reader = FrameReader::open(path, 0, None).unwrap();
    while let Some(payload) = reader.next().unwrap() {
        let mut value: Value = serde_json::from_slice(&payload).unwrap();
        change(&mut value);
        content.extend(frame(&serde_json::to_vec(&value).unwrap()).unwrap());
    }
    write_whole(path, &content).unwrap();
}

#[tokio::test]
async fn runs_of_format_2_belong_to_the_pipelines_of_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let open = || MemoryStore::journaled(folder.path()).unwrap();
    let store = open();
    let first = ended(&store, new_run(TenantId::NONE, "shop")).await;
    let second = ended(&store, new_run(TenantId::NONE, "shop")).await;
    let deleted = ended(&store, new_run(TenantId::NONE, "shop")).await;
    store.delete_run(deleted).await.unwrap();
    drop(store);
    // As format 2 had it.
    let without = |value: &mut Value, names: &[&str]| {
        names.iter().for_each(|name| drop(value.as_object_mut().unwrap().remove(*name)))
    };
    for run in [first, second] {
        let change =
            |value: &mut Value| value.get_mut("created").into_iter().for_each(|run| without(run, &["pipeline"]));
        rewrite(&folder.path().join("runs").join(run.to_string()), change);
    }
    rewrite(&folder.path().join("numbers"), |value| without(value, &["tenant", "id"]));
    let new = ["tenant", "event", "branch", "commit", "message", "author", "pull_request", "duration"];
    rewrite(&folder.path().join("index"), |value| {
        without(value, &["pipeline"]);
        without(&mut value["summary"], &new);
    });
    std::fs::remove_file(folder.path().join("pipelines")).unwrap();
    std::fs::write(folder.path().join("FORMAT"), "buildit-journal 2\n").unwrap();

    let store = open();
    let shop = store.create_pipeline(new_pipeline(TenantId::NONE, "shop")).await.unwrap();
    store.update_pipeline(shop.id, 1, renamed("store"), Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(store.create_run(new_run(TenantId::NONE, "store")).await.unwrap().number, 4);
    assert_eq!(store.create_run(new_run(TenantId::NONE, "shop")).await.unwrap().number, 1);
    drop(store);
    let store = open();
    let runs = store.runs(&RunFilter::of_pipeline("store"), 9).await.unwrap();
    assert_eq!(runs.iter().map(|run| run.number).collect::<Vec<_>>(), [4, 2, 1]);
    assert_eq!((runs[1].id, runs[1].event.as_str()), (second, "manual"));
    assert_eq!(store.runs(&RunFilter::of_pipeline("shop"), 9).await.unwrap().len(), 1);
}
