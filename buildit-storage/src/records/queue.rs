//! The queue as people see and steer it.

use buildit::id::{RunId, TenantId};
use buildit::store::{Intake, QueueFilter, QueueLine, QueueOf, QueuePlace, QueueStatus, QueuedRun, Share, StoreError};

use super::{News, Query, Records, Row, all, first, sql};
use crate::sql::{count, number, share};

/// A statement that reads runs in the queue, those that this clause lets through.
macro_rules! select {
    ($clause:literal) => {
        sql(concat!(
            "SELECT q.subject, q.tenant_id, p.name, r.number, q.status, q.priority, q.place, q.scheduled_for, q.attempts,
                 q.max_attempts, r.locked_by, r.locked_until
             FROM job_queue q JOIN pipeline_runs r ON r.id = q.subject JOIN pipelines p ON p.place = r.pipeline
             WHERE q.job_type = 'run' AND ",
            $clause
        ))
    };
}

fn read_queued(row: &mut Row) -> Result<QueuedRun, StoreError> {
    let (run, tenant, pipeline) = (row.take()?, row.take()?, row.take()?);
    let (number, status): (i64, QueueStatus) = (row.take()?, row.take()?);
    let (priority, place): (i64, i64) = (row.take()?, row.take()?);
    let scheduled_for = row.take()?;
    let times = |times: i64| u32::try_from(times).unwrap_or(u32::MAX);
    let (attempts, max_attempts) = (times(row.take()?), times(row.take()?));
    // A run may be leased by who does not take runs off the queue.
    let is_taken = status == QueueStatus::Taken;
    Ok(QueuedRun {
        run,
        tenant,
        pipeline,
        number: count(number)?,
        status,
        place: QueuePlace { priority: i32::try_from(priority).unwrap_or(i32::MAX), age: count(place)? },
        scheduled_for,
        attempts,
        max_attempts,
        worker: row.take::<Option<_>>()?.filter(|_| is_taken),
        leased_until: row.take::<Option<_>>()?.filter(|_| is_taken),
    })
}

pub(crate) async fn queued(
    store: &impl Records,
    filter: &QueueFilter,
    after: Option<QueuePlace>,
    limit: usize,
) -> Result<Vec<QueuedRun>, StoreError> {
    let tenant = match &filter.of {
        QueueOf::Tenant(tenant) => *tenant,
        // Few enough to be looked through: those that are under way.
        QueueOf::Worker(_) if filter.status != QueueStatus::Taken => return Ok(Vec::new()),
        QueueOf::Worker(worker) => {
            let theirs = select!(
                "q.status = 'taken' AND q.locked_by = $1 AND (q.priority < $2 OR (q.priority = $2 AND q.place > $3))
                 ORDER BY q.priority DESC, q.place LIMIT $4"
            );
            let after = after.unwrap_or(QueuePlace { priority: i32::MAX, age: 0 });
            let theirs = theirs.bind(worker.clone()).bind(i64::from(after.priority)).bind(number(after.age));
            return all(store.read(theirs.bind(number(limit as u64))).await?, read_queued);
        }
    };
    let read = async |query: Query, limit: usize| all(store.read(query.bind(number(limit as u64))).await?, read_queued);
    let of = |query: Query| query.bind(tenant).bind(filter.status);
    let Some(after) = after else {
        let these = select!("q.tenant_id = $1 AND q.status = $2 ORDER BY q.priority DESC, q.place LIMIT $3");
        return read(of(these), limit).await;
    };
    // One after the other, so that each is read along the index from where it begins.
    let same =
        select!("q.tenant_id = $1 AND q.status = $2 AND q.priority = $3 AND q.place > $4 ORDER BY q.place LIMIT $5");
    let mut found = read(of(same).bind(i64::from(after.priority)).bind(number(after.age)), limit).await?;
    if found.len() < limit {
        let lower = select!(
            "q.tenant_id = $1 AND q.status = $2 AND q.priority < $3 ORDER BY q.priority DESC, q.place LIMIT $4"
        );
        found.extend(read(of(lower).bind(i64::from(after.priority)), limit - found.len()).await?);
    }
    Ok(found)
}

pub(crate) async fn queued_run(store: &impl Records, run: RunId) -> Result<Option<QueuedRun>, StoreError> {
    first(store.read(select!("q.subject = $1").bind(run)).await?, read_queued)
}

pub(crate) async fn depths(store: &impl Records) -> Result<Vec<(QueueStatus, u64)>, StoreError> {
    let depths = sql("SELECT status, count(*) FROM job_queue WHERE job_type = 'run' GROUP BY status");
    all(store.read(depths).await?, |row| Ok((row.take()?, count(row.take()?)?)))
}

pub(crate) async fn line(store: &impl Records, tenant: TenantId) -> Result<QueueLine, StoreError> {
    let line = sql("SELECT CASE WHEN o.id IS NULL THEN t.weight ELSE o.weight END,
             CASE WHEN o.id IS NULL THEN t.max_running ELSE o.max_running END, t.paused, i.queue_paused,
             (SELECT count(*) FROM job_queue q WHERE q.tenant_id = $1 AND q.status = 'taken')
         FROM installation i LEFT JOIN queue_tenants t ON t.tenant_id = $1 LEFT JOIN tenants o ON o.id = $1
         WHERE i.place = 1");
    let found = first(store.read(line.bind(tenant)).await?, |row| {
        let (weight, most): (Option<i64>, Option<i64>) = (row.take()?, row.take()?);
        Ok(QueueLine {
            share: weight.map_or(Ok(Share::default()), |weight| share(weight, most))?,
            intake: row.take::<Option<Intake>>()?.unwrap_or_default(),
            everywhere: row.take()?,
            running: count(row.take()?)?,
        })
    })?;
    found.ok_or_else(|| StoreError::Corrupt("there is no installation".into()))
}

/// A tenant that is paused is not ready. One that is open again comes in where the others are, as
/// [`come_in`](buildit::store::come_in) says, and whether it has something to take is found out by whoever claims next.
pub(crate) async fn set_intake(
    store: &impl Records,
    tenant: Option<TenantId>,
    intake: Intake,
) -> Result<(), StoreError> {
    let set = match tenant {
        None => sql("UPDATE installation SET queue_paused = $1 WHERE place = 1").bind(intake),
        Some(tenant) => sql("INSERT INTO queue_tenants (tenant_id, turn, is_ready, paused)
             SELECT $1, coalesce((SELECT min(turn) FROM queue_tenants WHERE is_ready),
                 (SELECT max(turn) FROM queue_tenants), 0), $3, $2 FROM installation WHERE place = 1
             ON CONFLICT (tenant_id) DO UPDATE SET paused = excluded.paused,
                 turn = CASE WHEN queue_tenants.paused AND NOT excluded.paused AND queue_tenants.turn < excluded.turn
                     THEN excluded.turn ELSE queue_tenants.turn END,
                 is_ready = excluded.is_ready")
        .bind(tenant)
        .bind(intake)
        .bind(!intake.is_paused()),
    };
    store.run(set).await?;
    store.announce(News::Queue).await;
    Ok(())
}

pub(crate) async fn set_priority(store: &impl Records, run: RunId, priority: i32) -> Result<(), StoreError> {
    let set = sql("UPDATE job_queue SET priority = $2 WHERE subject = $1 AND job_type = 'run'");
    if store.run(set.bind(run).bind(i64::from(priority))).await? == 0 {
        return Err(StoreError::NoRun(run));
    }
    store.announce(News::Queue).await;
    Ok(())
}
