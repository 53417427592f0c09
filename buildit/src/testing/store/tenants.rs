//! Clauses about whose a run is, and about lists of runs.

use std::sync::Arc;
use std::time::Duration;

use super::Clause;
use super::clause::{Broken, clauses, ensure, ensure_eq, ensure_refused};
use super::groups::{Newest, member_of, standing};
use super::samples::{FIRST, at, life, new_run};
use crate::event::RunStatus;
use crate::id::{RunId, TenantId};
use crate::pipeline::{GitContext, PullRequest, RunContext};
use crate::store::{NewRun, RunFilter, RunSummary, Store, StoreError};

pub(super) fn clauses() -> Vec<Clause<dyn Store>> {
    clauses![
        runs_of_other_tenants_are_numbered_and_listed_apart,
        groups_of_other_tenants_are_others,
        a_list_shows_what_a_run_is_of,
        a_list_is_narrowed_by_each_thing,
        a_list_goes_on_behind_a_run,
        a_run_is_found_by_its_number,
    ]
}

/// A run of this tenant and pipeline, of no group.
pub(super) fn of(tenant: TenantId, pipeline: &str, second: i64) -> NewRun {
    NewRun { tenant, group: None, ..new_run(pipeline, at(second)) }
}

async fn listed(store: &Arc<dyn Store>, filter: &RunFilter) -> Result<Vec<RunId>, Broken> {
    Ok(store.runs(filter, 99).await?.into_iter().map(|run| run.id).collect())
}

async fn runs_of_other_tenants_are_numbered_and_listed_apart(store: Arc<dyn Store>) -> Result<(), Broken> {
    let tenants = [TenantId::new(), TenantId::new(), TenantId::NONE];
    for number in [1, 2] {
        for tenant in tenants {
            let created = store.create_run(of(tenant, "sample", 0)).await?;
            ensure_eq!(created.number, number, "the number of a run");
            ensure_eq!(store.run(created.run.id).await?.run.tenant, tenant, "whose it is");
        }
    }
    for tenant in tenants {
        for pipeline in [None, Some("sample".to_owned())] {
            let runs = store.runs(&RunFilter { pipeline, ..RunFilter::of_tenant(tenant) }, 9).await?;
            let of: Vec<_> = runs.iter().map(|run| (run.tenant, run.number)).collect();
            ensure_eq!(of, [(tenant, 2), (tenant, 1)], "the runs of a tenant");
        }
    }
    ensure_eq!(store.runs(&RunFilter::of_pipeline("sample"), 9).await?.len(), 6, "how many of all tenants there are");
    Ok(())
}

async fn groups_of_other_tenants_are_others(store: Arc<dyn Store>) -> Result<(), Broken> {
    let (one, two) = (TenantId::new(), TenantId::new());
    let first = member_of(one, &store, "sample", "a", Newest::Waits).await?;
    let other = member_of(two, &store, "sample", "a", Newest::Cancels).await?;
    ensure_eq!(standing(&store, other).await?.waits_for, None, "whom the run of another tenant waits for");
    ensure_eq!(standing(&store, first).await?.cancel, None, "whether it asks the first to end");
    let next = member_of(one, &store, "sample", "a", Newest::Cancels).await?;
    ensure_eq!(standing(&store, next).await?.waits_for, Some(first), "whom the next one waits for");
    ensure!(standing(&store, first).await?.cancel.is_some(), "the first is not asked to end by its own tenant");
    ensure_eq!(standing(&store, other).await?.cancel, None, "whether that one is asked to end");
    Ok(())
}

/// The commit of a pull request.
fn commit(pull: u64) -> String {
    format!("{pull:040x}")
}

/// A context that uses every field of a line.
fn context(branch: &str, author: &str, pull: u64, event: &str) -> RunContext {
    let git = GitContext {
        sha: commit(pull),
        branch: branch.into(),
        message: format!("Fix \u{fc} it\n\nAt {branch}"),
        author: author.into(),
        ..GitContext::default()
    };
    let pull = PullRequest {
        number: pull,
        title: "Fix".into(),
        base: "main".into(),
        head: branch.into(),
        ..PullRequest::default()
    };
    RunContext { event: event.into(), git, pull_request: Some(pull), ..RunContext::default() }
}

async fn a_list_shows_what_a_run_is_of(store: Arc<dyn Store>) -> Result<(), Broken> {
    let tenant = TenantId::new();
    let context = Arc::new(context("fix/\u{fc}", "Ada \"the\" first", 7, "pull_request"));
    let run = NewRun { context, ..of(tenant, "sample", 3) };
    let bare = NewRun { context: Arc::default(), ..of(tenant, "sample", 2) };
    let mut expected = RunSummary::of_new(&run, 1);
    ensure_eq!(expected.message, "Fix \u{fc} it", "what is expected");
    store.create_run(run.clone()).await?;
    store.create_run(bare.clone()).await?;
    let filter = RunFilter::of_tenant(tenant);
    ensure_eq!(store.runs(&filter, 9).await?, [expected.clone(), RunSummary::of_new(&bare, 2)], "the list");
    store.append(run.id, 0, FIRST, life()[..6].into()).await?;
    ensure_eq!(store.runs(&filter, 1).await?[0].duration, None, "how long a run took that goes on");
    store.append(run.id, 6, FIRST, life()[6..].into()).await?;
    expected.status = RunStatus::Succeeded;
    (expected.started_at, expected.finished_at) = (Some(at(1)), Some(at(10)));
    expected.duration = Some(Duration::from_secs(4));
    ensure_eq!(store.runs(&filter, 1).await?, [expected.clone()], "the list when it has ended");
    ensure_eq!(store.run_by_number(tenant, "sample", 1).await?, expected, "the run by its number");
    Ok(())
}

async fn a_list_is_narrowed_by_each_thing(store: Arc<dyn Store>) -> Result<(), Broken> {
    let tenants = [TenantId::new(), TenantId::new()];
    let kinds = [("main", "ada", 1, "push"), ("fix", "bob", 2, "pull_request")];
    // All there is of two tenants, two pipelines and two kinds of runs.
    for second in 0..16_usize {
        let (branch, author, pull, event) = kinds[second % 2];
        let pipeline = ["a", "b"][second / 2 % 2];
        let context = Arc::new(context(branch, author, pull, event));
        let run = NewRun { context, ..of(tenants[second / 4 % 2], pipeline, 15 - second as i64) };
        let id = run.id;
        store.create_run(run).await?;
        if second >= 8 {
            store.append(id, 0, FIRST, life().into()).await?;
        }
    }
    let all = store.runs(&RunFilter::default(), 99).await?;
    ensure_eq!(all.len(), 16, "how many there are");
    let none = RunFilter::default;
    let narrowed = [
        (8, RunFilter { status: Some(RunStatus::Succeeded), ..none() }),
        (0, RunFilter { status: Some(RunStatus::Failed), ..none() }),
        (8, RunFilter { branch: Some("main".into()), ..none() }),
        (0, RunFilter { branch: Some("mai".into()), ..none() }),
        (0, RunFilter { branch: Some(String::new()), ..none() }),
        (8, RunFilter { author: Some("bob".into()), ..none() }),
        (8, RunFilter { commit: Some(commit(2)), ..none() }),
        (0, RunFilter { commit: Some("0".into()), ..none() }),
        (8, RunFilter { pull_request: Some(2), ..none() }),
        (0, RunFilter { pull_request: Some(u64::MAX), ..none() }),
        (8, RunFilter { event: Some("push".into()), ..none() }),
        (4, RunFilter { branch: Some("fix".into()), status: Some(RunStatus::Queued), ..none() }),
    ];
    for (count, filter) in narrowed {
        for (share, tenant, pipeline) in
            [(1, None, None), (2, Some(tenants[0]), None), (2, None, Some("b")), (4, Some(tenants[1]), Some("a"))]
        {
            let filter = RunFilter { tenant, pipeline: pipeline.map(str::to_owned), ..filter.clone() };
            let expected: Vec<RunId> = all.iter().filter(|run| filter.lets_through(run)).map(|run| run.id).collect();
            ensure_eq!(expected.len(), count / share, "how many are expected");
            ensure_eq!(listed(&store, &filter).await?, expected, format!("{filter:?}"));
        }
    }
    Ok(())
}

async fn a_list_goes_on_behind_a_run(store: Arc<dyn Store>) -> Result<(), Broken> {
    let tenants = [TenantId::new(), TenantId::new()];
    for (index, second) in [5, 3, 3, 9, 3, 1, 1].into_iter().enumerate() {
        store.create_run(of(tenants[index % 2], "sample", second)).await?;
    }
    for filter in [RunFilter::default(), RunFilter::of_pipeline("sample"), RunFilter::of_tenant(tenants[0])] {
        let all = listed(&store, &filter).await?;
        let mut paged = Vec::new();
        loop {
            let page = store.runs(&RunFilter { before: paged.last().copied(), ..filter.clone() }, 2).await?;
            ensure!(page.len() <= 2, "a page of {} runs", page.len());
            if page.is_empty() || paged.len() > all.len() {
                break;
            }
            paged.extend(page.iter().map(|run| run.id));
        }
        ensure_eq!(paged, all, "the pages together");
    }
    let unknown = RunFilter { before: Some(RunId::new()), ..RunFilter::default() };
    ensure_refused!(store.runs(&unknown, 9).await, StoreError::NoRun(_), "a list behind a run that is not there");
    Ok(())
}

async fn a_run_is_found_by_its_number(store: Arc<dyn Store>) -> Result<(), Broken> {
    let (tenant, other) = (TenantId::new(), TenantId::new());
    let mut ids = Vec::new();
    for (tenant, pipeline) in [(tenant, "a"), (tenant, "a"), (tenant, "b"), (other, "a")] {
        ids.push(store.create_run(of(tenant, pipeline, 0)).await?.run.id);
    }
    for (tenant, pipeline, number, id) in
        [(tenant, "a", 1, 0), (tenant, "a", 2, 1), (tenant, "b", 1, 2), (other, "a", 1, 3)]
    {
        ensure_eq!(store.run_by_number(tenant, pipeline, number).await?.id, ids[id], "the run of that number");
    }
    for (tenant, pipeline, number) in [(tenant, "a", 3), (tenant, "c", 1), (TenantId::NONE, "a", 1), (tenant, "a", 0)] {
        let found = store.run_by_number(tenant, pipeline, number).await;
        ensure_refused!(found, StoreError::NoSuchNumber { .. }, format!("run {number} of `{pipeline}`"));
    }
    Ok(())
}
