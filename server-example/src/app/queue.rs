//! The queue of a tenant: what waits and why, what runs and where, what died; and its steering.

use std::collections::HashMap;

use buildit::id::{RunId, WorkerId};
use buildit::store::{
    Intake, QueueFilter, QueueLine, QueueOf, QueuePlace, QueueStatus, QueuedRun, RunRecord, StoreError,
};
use jiff::Timestamp;

use super::audit;
use crate::access::Access;
use crate::list::List;
use crate::problem::Problem;
use crate::state::ServerState;

/// Beyond this no priority means more.
const LARGEST: i32 = 1_000_000;

/// How many workers are known by their names; others by their ids.
const WORKERS: usize = 200;

/// A run in the queue, and what people are told of it.
#[derive(Clone, Debug)]
pub(crate) struct Queued {
    pub(crate) of: QueuedRun,
    /// Why it waits, or where it runs.
    pub(crate) why: String,
    /// The run of its concurrency group that it waits for.
    pub(crate) holder: Option<RunId>,
    /// What its worker is called.
    pub(crate) worker: Option<String>,
}

/// The status of this word.
pub(crate) fn status(word: &str) -> Result<QueueStatus, Problem> {
    let status = QueueStatus::of_word(word);
    status.ok_or_else(|| Problem::invalid(format!("`{word}` is no status in the queue")))
}

/// A place as a cursor, and back.
pub(crate) fn cursor(place: QueuePlace) -> String {
    format!("{}.{}", place.priority, place.age)
}

pub(crate) fn place(cursor: &str) -> Result<QueuePlace, Problem> {
    let place = cursor
        .split_once('.')
        .and_then(|(priority, age)| Some(QueuePlace { priority: priority.parse().ok()?, age: age.parse().ok()? }));
    place.ok_or_else(|| Problem::invalid("`cursor` is not one of this list"))
}

/// What holds for all runs of the tenant.
pub(crate) async fn line(state: &ServerState, access: &Access) -> Result<QueueLine, Problem> {
    Ok(state.store().queue_line(access.tenant.id).await?)
}

/// A page of the tenant's runs in the queue that stand like this.
pub(crate) async fn list(
    state: &ServerState,
    access: &Access,
    status: QueueStatus,
    after: Option<QueuePlace>,
    limit: usize,
) -> Result<List<Queued>, Problem> {
    let filter = QueueFilter { status, of: QueueOf::Tenant(access.tenant.id) };
    let found = state.store().queued(&filter, after, limit + 1).await?;
    let found = List::cut(found, limit, |run| cursor(run.place));
    let (line, holders) = (line(state, access).await?, holders(state, &found.items).await?);
    let names: HashMap<WorkerId, String> = match status {
        QueueStatus::Taken => {
            let workers = state.store().workers(None, WORKERS).await?;
            workers.into_iter().map(|worker| (worker.id, worker.name)).collect()
        }
        _ => HashMap::new(),
    };
    Ok(found.map(|of| {
        let holder = holders.get(&of.run).copied();
        let name = |id: &WorkerId| names.get(id).cloned().unwrap_or_else(|| id.to_string());
        let worker = of.worker.as_ref().map(name);
        let why = why(&of, &line, holder.map(|(_, number)| number), worker.as_deref());
        Queued { why, holder: holder.map(|(run, _)| run), worker, of }
    }))
}

/// For those behind others of their groups, which run they wait for, and its number.
async fn holders(state: &ServerState, runs: &[QueuedRun]) -> Result<HashMap<RunId, (RunId, u64)>, StoreError> {
    let behind: Vec<RunId> = runs.iter().filter(|run| run.status == QueueStatus::Behind).map(|run| run.run).collect();
    if behind.is_empty() {
        return Ok(HashMap::new());
    }
    let mut numbers: HashMap<RunId, u64> = HashMap::new();
    let mut holders = HashMap::new();
    for standing in state.store().standings(&behind).await? {
        let Some(holder) = standing.waits_for else { continue };
        let number = match numbers.get(&holder) {
            Some(number) => *number,
            None => state.store().run(holder).await?.number,
        };
        numbers.insert(holder, number);
        holders.insert(standing.run, (holder, number));
    }
    Ok(holders)
}

/// Why a run waits, or where it runs, for people.
fn why(of: &QueuedRun, line: &QueueLine, holder: Option<u64>, worker: Option<&str>) -> String {
    match of.status {
        QueueStatus::Dead => format!("taken {} times and never driven to its end", of.attempts),
        QueueStatus::Taken => format!("on {}", worker.unwrap_or("a worker")),
        QueueStatus::Behind => match holder {
            Some(number) => format!("behind run #{number} of its concurrency group"),
            None => "its concurrency group was free a moment ago".to_owned(),
        },
        QueueStatus::Scheduled if of.scheduled_for > Timestamp::now() => {
            format!("not before {}", of.scheduled_for.strftime("%Y-%m-%d %H:%M:%S UTC"))
        }
        QueueStatus::Scheduled | QueueStatus::Waiting => {
            let most = line.share.max_running.map(|most| u64::from(most.get()));
            match most {
                _ if line.everywhere.is_paused() => "all queues are paused".to_owned(),
                _ if line.intake.is_paused() => "the queue is paused".to_owned(),
                Some(most) if line.running >= most => format!("{most} runs are under way, and no more may be"),
                _ => "for a worker that is free".to_owned(),
            }
        }
    }
}

/// Pauses the tenant's queue, or opens it again.
pub(crate) async fn set_intake(state: &ServerState, access: &Access, intake: Intake) -> Result<(), Problem> {
    state.store().set_intake(Some(access.tenant.id), intake).await?;
    let action = if intake.is_paused() { "queue.pause" } else { "queue.resume" };
    audit::of_tenant(state, access, action, &access.tenant.name, &[]).await;
    Ok(())
}

/// Pauses the queues of all tenants, or opens them again. The access is the installation's.
pub(crate) async fn set_intake_of_all(state: &ServerState, access: &Access, intake: Intake) -> Result<(), Problem> {
    state.store().set_intake(None, intake).await?;
    let action = if intake.is_paused() { "queue.pause_all" } else { "queue.resume_all" };
    audit::of_tenant(state, access, action, "all", &[]).await;
    Ok(())
}

/// Gives a run in the queue another priority.
pub(crate) async fn set_priority(
    state: &ServerState,
    access: &Access,
    record: &RunRecord,
    priority: i32,
) -> Result<(), Problem> {
    if !(-LARGEST..=LARGEST).contains(&priority) {
        return Err(Problem::invalid(format!("a priority is a number from -{LARGEST} to {LARGEST}")));
    }
    match state.store().set_priority(record.run.id, priority).await {
        Err(StoreError::NoRun(_)) => return Err(Problem::conflict("the run is not in the queue")),
        set => set?,
    }
    let details = [("run", record.run.id.to_string().into()), ("priority", priority.into())];
    audit::of_tenant(state, access, "run.prioritise", &record.run.plan.name, &details).await;
    Ok(())
}

/// Makes a dead letter wait again.
pub(crate) async fn requeue(state: &ServerState, access: &Access, record: &RunRecord) -> Result<(), Problem> {
    match state.store().requeue(record.run.id, Timestamp::now()).await {
        Err(StoreError::NoRun(_)) => return Err(Problem::conflict("the run is no dead letter")),
        requeued => requeued?,
    }
    let details = [("run", record.run.id.to_string().into()), ("number", record.number.into())];
    audit::of_tenant(state, access, "run.requeue", &record.run.plan.name, &details).await;
    Ok(())
}
