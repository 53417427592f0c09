//! Clauses about pipelines that are kept.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Map, Value, json};

use super::Clause;
use super::clause::{Broken, clauses, ensure_eq, ensure_refused};
use super::samples::{FIRST, at, life};
use super::tenants::of;
use crate::id::{PipelineId, RepositoryId, RunId, TenantId};
use crate::pipeline::{PipelineBuilder, StageBuilder};
use crate::store::{
    NewPipeline, NewRun, PipelineChange, PipelineFilter, PipelineSource, PipelineStage, PipelineStore, RunFilter,
    StoreError, StoredPipeline,
};

pub(super) fn clauses() -> Vec<Clause<dyn PipelineStore>> {
    clauses![
        a_pipeline_is_kept_as_it_was_created,
        a_name_is_taken_once_by_each_tenant,
        a_pipeline_that_runs_have_made_becomes_one_that_is_kept,
        a_pipeline_is_changed_by_who_knows_its_version,
        one_of_two_changes_at_once_wins,
        a_renamed_pipeline_keeps_its_runs,
        pipelines_are_listed_in_order_and_in_pages,
        pipelines_are_searched_in_upper_and_lower_case,
        a_list_of_pipelines_shows_their_latest_runs,
        pipelines_of_a_repository_are_listed,
        a_deleted_pipeline_is_gone_with_its_runs,
        a_pipeline_with_an_open_run_is_not_deleted,
        the_stages_of_the_latest_run_are_told,
    ]
}

fn settings(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn new(tenant: TenantId, name: &str) -> NewPipeline {
    NewPipeline {
        tenant,
        name: name.into(),
        source: PipelineSource::Text { kdl: "pipeline \"it's\" {\n}\n".into() },
        settings: settings(&json!({ "keep": { "latest": 3 }, "notify": ["a@b.c", "\u{fc}\u{0}"], "none": null })),
        created_at: at(1),
    }
}

async fn ended(store: &Arc<dyn PipelineStore>, run: NewRun) -> Result<RunId, Broken> {
    let id = run.id;
    store.create_run(run).await?;
    store.append(id, 0, FIRST, life().into()).await?;
    store.close_run(id, FIRST).await?;
    Ok(id)
}

async fn names(store: &Arc<dyn PipelineStore>, filter: &PipelineFilter, limit: usize) -> Result<Vec<String>, Broken> {
    Ok(store.pipelines(filter, limit).await?.into_iter().map(|line| line.pipeline.name).collect())
}

fn renamed(name: &str) -> PipelineChange {
    PipelineChange { name: Some(name.into()), ..PipelineChange::default() }
}

async fn a_pipeline_is_kept_as_it_was_created(store: Arc<dyn PipelineStore>) -> Result<(), Broken> {
    let wanted = new(TenantId::new(), "Sh\u{f6}p \"one\"");
    let created = store.create_pipeline(wanted.clone()).await?;
    ensure_eq!(created, StoredPipeline::of_new(wanted.clone(), created.id), "the pipeline");
    ensure_eq!(store.pipeline(created.id).await?, created, "the pipeline by its id");
    ensure_eq!(store.pipeline_named(wanted.tenant, &wanted.name).await?, created, "the pipeline by its name");
    for (tenant, name) in [(wanted.tenant, "shop"), (TenantId::NONE, &*wanted.name)] {
        ensure_refused!(store.pipeline_named(tenant, name).await, StoreError::NotFound(_), "a pipeline of nobody");
    }
    let id = PipelineId::new();
    ensure_refused!(store.pipeline(id).await, StoreError::NotFound(_), "a pipeline that is not there");
    ensure_refused!(store.delete_pipeline(id).await, StoreError::NotFound(_), "deleting it");
    ensure_refused!(store.pipeline_stages(id, None, 9).await, StoreError::NotFound(_), "its stages");
    let changed = store.update_pipeline(id, 1, renamed("b"), at(2)).await;
    ensure_refused!(changed, StoreError::NotFound(_), "changing it");
    Ok(())
}

async fn a_name_is_taken_once_by_each_tenant(store: Arc<dyn PipelineStore>) -> Result<(), Broken> {
    let (one, two) = (TenantId::new(), TenantId::new());
    let first = store.create_pipeline(new(one, "shop")).await?;
    ensure_refused!(store.create_pipeline(new(one, "shop")).await, StoreError::Taken(_), "a second of that name");
    let other = store.create_pipeline(new(two, "shop")).await?;
    ensure_eq!(store.pipeline_named(one, "shop").await?.id, first.id, "the one");
    ensure_eq!(store.pipeline_named(two, "shop").await?.id, other.id, "the other's");
    store.create_pipeline(new(one, "Shop")).await?;
    ensure_eq!(store.pipelines(&PipelineFilter::of_tenant(one), 9).await?.len(), 2, "how many the one has");
    Ok(())
}

async fn a_pipeline_that_runs_have_made_becomes_one_that_is_kept(store: Arc<dyn PipelineStore>) -> Result<(), Broken> {
    let tenant = TenantId::new();
    let run = store.create_run(of(tenant, "shop", 0)).await?;
    ensure_refused!(store.pipeline_named(tenant, "shop").await, StoreError::NotFound(_), "one that nobody has kept");
    ensure_eq!(names(&store, &PipelineFilter::of_tenant(tenant), 9).await?, [""; 0], "the list");
    let kept = store.create_pipeline(new(tenant, "shop")).await?;
    ensure_eq!((kept.version, kept.created_at), (1, at(1)), "the pipeline");
    ensure_eq!(store.run_by_number(tenant, "shop", 1).await?.id, run.run.id, "its first run");
    ensure_eq!(store.create_run(of(tenant, "shop", 1)).await?.number, 2, "the next number");
    ensure_refused!(store.create_pipeline(new(tenant, "shop")).await, StoreError::Taken(_), "a second of that name");
    Ok(())
}

async fn a_pipeline_is_changed_by_who_knows_its_version(store: Arc<dyn PipelineStore>) -> Result<(), Broken> {
    let tenant = TenantId::new();
    let first = store.create_pipeline(new(tenant, "shop")).await?;
    store.create_pipeline(new(tenant, "taken")).await?;
    store.create_run(of(tenant, "bare", 0)).await?;
    let source = PipelineSource::Repository { repository: RepositoryId::new(), path: ".buildit.kdl".into() };
    let change = PipelineChange { source: Some(source.clone()), ..PipelineChange::default() };
    let second = store.update_pipeline(first.id, 1, change, at(2)).await?;
    let expected = StoredPipeline { source, version: 2, updated_at: at(2), ..first.clone() };
    ensure_eq!(second, expected, "what it is then");
    let late = store.update_pipeline(first.id, 1, renamed("late"), at(3)).await;
    ensure_refused!(late, StoreError::Conflict { expected: 1, actual: 2 }, "a change of the version before");
    for name in ["taken", "bare"] {
        let taken = store.update_pipeline(first.id, 2, renamed(name), at(3)).await;
        ensure_refused!(taken, StoreError::Taken(_), format!("the name `{name}`"));
    }
    ensure_eq!(store.pipeline(first.id).await?, expected, "what it is after that");
    let change = PipelineChange { settings: Some(settings(&json!({ "a": 1 }))), ..renamed("shop") };
    let third = store.update_pipeline(first.id, 2, change, at(4)).await?;
    ensure_eq!((third.version, &third.settings), (3, &settings(&json!({ "a": 1 }))), "the third version");
    ensure_eq!(store.pipeline(first.id).await?, third, "what it is in the end");
    Ok(())
}

async fn one_of_two_changes_at_once_wins(store: Arc<dyn PipelineStore>) -> Result<(), Broken> {
    let pipeline = store.create_pipeline(new(TenantId::new(), "shop")).await?;
    let change = |who: usize| store.update_pipeline(pipeline.id, 1, renamed(&format!("shop {who}")), at(2));
    let changed = join_all((0..8).map(change)).await;
    let won: Vec<_> = changed.into_iter().filter_map(Result::ok).collect();
    ensure_eq!(won.len(), 1, "how many of 8 changed it");
    ensure_eq!(won.first(), Some(&store.pipeline(pipeline.id).await?), "what it is then");
    Ok(())
}

async fn a_renamed_pipeline_keeps_its_runs(store: Arc<dyn PipelineStore>) -> Result<(), Broken> {
    let tenant = TenantId::new();
    let pipeline = store.create_pipeline(new(tenant, "shop")).await?;
    let first = store.create_run(of(tenant, "shop", 0)).await?.run.id;
    store.update_pipeline(pipeline.id, 1, renamed("store"), at(2)).await?;
    ensure_refused!(store.pipeline_named(tenant, "shop").await, StoreError::NotFound(_), "the old name");
    let of_name = async |name: &str| {
        let filter = RunFilter { tenant: Some(tenant), ..RunFilter::of_pipeline(name) };
        let runs = store.runs(&filter, 9).await?;
        Ok::<_, Broken>(runs.into_iter().map(|run| (run.pipeline, run.number, run.id)).collect::<Vec<_>>())
    };
    ensure_eq!(of_name("store").await?, [("store".to_owned(), 1, first)], "its runs");
    ensure_eq!(of_name("shop").await?, [], "the runs under the old name");
    let second = store.create_run(of(tenant, "store", 1)).await?;
    ensure_eq!(second.number, 2, "the next number");
    let other = store.create_run(of(tenant, "shop", 2)).await?;
    ensure_eq!(other.number, 1, "the number of a run under the old name");
    ensure_eq!(of_name("shop").await?, [("shop".to_owned(), 1, other.run.id)], "the runs of another pipeline");
    ensure_eq!(store.run_by_number(tenant, "store", 1).await?.id, first, "its first run");
    Ok(())
}

async fn pipelines_are_listed_in_order_and_in_pages(store: Arc<dyn PipelineStore>) -> Result<(), Broken> {
    let tenant = TenantId::new();
    for name in ["b", "a", "\u{e4}", "B", "a b", "a-b", "a/b"] {
        store.create_pipeline(new(tenant, name)).await?;
    }
    store.create_pipeline(new(TenantId::new(), "c")).await?;
    let all = ["B", "a", "a b", "a-b", "a/b", "b", "\u{e4}"];
    let mut filter = PipelineFilter::of_tenant(tenant);
    ensure_eq!(names(&store, &filter, 99).await?, all, "all of them");
    let mut paged: Vec<String> = Vec::new();
    while paged.len() < all.len() {
        let page = names(&store, &filter, 3).await?;
        ensure_eq!(page.len(), (all.len() - paged.len()).min(3), "the length of a page");
        paged.extend(page);
        filter.after = paged.last().cloned();
    }
    ensure_eq!(paged, all, "the pages together");
    ensure_eq!(names(&store, &filter, 3).await?, [""; 0], "the page behind the last");
    Ok(())
}

async fn pipelines_are_searched_in_upper_and_lower_case(store: Arc<dyn PipelineStore>) -> Result<(), Broken> {
    let tenant = TenantId::new();
    for name in ["Shop", "workshop", "sh%p", "\u{dc}bung", "store"] {
        store.create_pipeline(new(tenant, name)).await?;
    }
    let found = async |search: &str, after: Option<&str>| {
        let (search, after) = (Some(search.to_owned()), after.map(str::to_owned));
        names(&store, &PipelineFilter { search, after, ..PipelineFilter::of_tenant(tenant) }, 9).await
    };
    ensure_eq!(found("SHOP", None).await?, ["Shop", "workshop"], "those with `SHOP`");
    ensure_eq!(found("SHOP", Some("Shop")).await?, ["workshop"], "those with `SHOP` behind the first");
    ensure_eq!(found("\u{fc}B", None).await?, ["\u{dc}bung"], "those with an umlaut");
    ensure_eq!(found("h%", None).await?, ["sh%p"], "those with a `%`");
    ensure_eq!(found("_", None).await?, [""; 0], "those with a `_`");
    let first = store.pipeline_named(tenant, "store").await?;
    store.update_pipeline(first.id, 1, renamed("Bishop"), at(2)).await?;
    ensure_eq!(found("sHop", None).await?, ["Bishop", "Shop", "workshop"], "those with `sHop` then");
    Ok(())
}

async fn a_list_of_pipelines_shows_their_latest_runs(store: Arc<dyn PipelineStore>) -> Result<(), Broken> {
    let tenant = TenantId::new();
    for name in ["a", "b", "c"] {
        store.create_pipeline(new(tenant, name)).await?;
    }
    let mut last = Vec::new();
    for (pipeline, second) in [("a", 5), ("b", 1), ("b", 9), ("a", 3)] {
        last.push(ended(&store, of(tenant, pipeline, second)).await?);
    }
    store.create_run(of(TenantId::new(), "c", 1)).await?;
    let lines = store.pipelines(&PipelineFilter::of_tenant(tenant), 9).await?;
    let shown: Vec<_> = lines.iter().map(|line| line.last_run.as_ref().map(|run| run.id)).collect();
    ensure_eq!(shown, [Some(last[0]), Some(last[2]), None], "the latest runs");
    let listed = store.runs(&RunFilter { tenant: Some(tenant), ..RunFilter::of_pipeline("b") }, 1).await?;
    ensure_eq!(lines[1].last_run, listed.into_iter().next(), "what is shown of one");
    Ok(())
}

async fn pipelines_of_a_repository_are_listed(store: Arc<dyn PipelineStore>) -> Result<(), Broken> {
    let (tenant, one, two) = (TenantId::new(), RepositoryId::new(), RepositoryId::new());
    let from = |repository| PipelineSource::Repository { repository, path: ".buildit.kdl".into() };
    store.create_pipeline(new(tenant, "text")).await?;
    for (name, repository) in [("b", one), ("c", two), ("a", one)] {
        store.create_pipeline(NewPipeline { source: from(repository), ..new(tenant, name) }).await?;
    }
    let of = async |repository| {
        names(&store, &PipelineFilter { repository: Some(repository), ..PipelineFilter::of_tenant(tenant) }, 9).await
    };
    ensure_eq!(of(one).await?, ["a", "b"], "those of the one");
    let moved = store.pipeline_named(tenant, "a").await?;
    let change = PipelineChange { source: Some(from(two)), ..PipelineChange::default() };
    store.update_pipeline(moved.id, 1, change, at(2)).await?;
    ensure_eq!(
        (of(one).await?, of(two).await?),
        (vec!["b".into()], vec!["a".into(), "c".into()]),
        "those of each then"
    );
    Ok(())
}

async fn a_deleted_pipeline_is_gone_with_its_runs(store: Arc<dyn PipelineStore>) -> Result<(), Broken> {
    let tenant = TenantId::new();
    let pipeline = store.create_pipeline(new(tenant, "shop")).await?;
    let mut runs = Vec::new();
    for second in 0..40 {
        runs.push(ended(&store, of(tenant, "shop", second)).await?);
    }
    let others = [of(tenant, "other", 0), of(TenantId::new(), "shop", 0)];
    for other in &others {
        store.create_run(other.clone()).await?;
    }
    store.delete_pipeline(pipeline.id).await?;
    ensure_refused!(store.pipeline(pipeline.id).await, StoreError::NotFound(_), "the pipeline");
    ensure_refused!(store.delete_pipeline(pipeline.id).await, StoreError::NotFound(_), "deleting it again");
    for run in runs {
        ensure_refused!(store.run(run).await, StoreError::NoRun(_), "a run of it");
    }
    for other in others {
        ensure_eq!(store.run(other.id).await?.run, other, "a run of another one");
    }
    ensure_eq!(store.create_run(of(tenant, "shop", 0)).await?.number, 1, "the number of a run of that name");
    store.create_pipeline(new(tenant, "shop")).await?;
    Ok(())
}

async fn a_pipeline_with_an_open_run_is_not_deleted(store: Arc<dyn PipelineStore>) -> Result<(), Broken> {
    let tenant = TenantId::new();
    let pipeline = store.create_pipeline(new(tenant, "shop")).await?;
    let first = ended(&store, of(tenant, "shop", 0)).await?;
    let open = store.create_run(of(tenant, "shop", 1)).await?.run.id;
    store.append(open, 0, FIRST, life().into()).await?;
    ensure_refused!(store.delete_pipeline(pipeline.id).await, StoreError::NotEnded(_), "deleting it");
    ensure_eq!(store.pipeline(pipeline.id).await?, pipeline, "the pipeline");
    ensure_eq!(store.run(first).await?.number, 1, "its run that is closed");
    store.close_run(open, FIRST).await?;
    store.delete_pipeline(pipeline.id).await?;
    ensure_refused!(store.run(first).await, StoreError::NoRun(_), "its run in the end");
    Ok(())
}

async fn the_stages_of_the_latest_run_are_told(store: Arc<dyn PipelineStore>) -> Result<(), Broken> {
    let tenant = TenantId::new();
    let with = |stages: &[&str]| {
        let mut pipeline = PipelineBuilder::new("shop");
        for (index, name) in stages.iter().enumerate() {
            pipeline = pipeline.stage(StageBuilder::run(*name, "true").needs(stages[..index].iter().copied()));
        }
        NewRun { plan: Arc::new(pipeline.build()), ..of(tenant, "shop", 0) }
    };
    store.create_run(with(&["fmt", "build"])).await?;
    let id = store.create_pipeline(new(tenant, "shop")).await?.id;
    let told = async |after, limit| store.pipeline_stages(id, after, limit).await;
    ensure_eq!(
        told(None, 9).await?,
        PipelineStage::all_of(&with(&["fmt", "build"]).plan),
        "the stages of the first run"
    );
    let latest = with(&["build", "test", "ship/\u{fc} \"it's\""]);
    store.create_run(latest.clone()).await?;
    let all = PipelineStage::all_of(&latest.plan);
    ensure_eq!(told(None, 9).await?, all, "the stages of the second run");
    ensure_eq!((told(None, 2).await?, told(Some(1), 2).await?), (all[..2].to_vec(), all[2..].to_vec()), "in pages");
    Ok(())
}
