//! What forges are to say of commits.

use async_trait::async_trait;
use buildit::id::{RepositoryId, StatusId};
use buildit::store::{CommitStatus, Report, Settled, StoreError, check_status};
use jiff::Timestamp;
use uuid::Uuid;

use super::{Change, Records, Row, Statements, all, fit, sql};
use crate::sql::{count, number};

/// How many are forgotten at once.
const SWEPT: i64 = 500;

/// A statement that reads reports, those that this clause lets through.
macro_rules! select {
    ($clause:literal) => {
        sql(concat!(
            "SELECT id, repository_id, commit_sha, reference, context, pipeline_run_id, run_number, seq, state, description,
                 url, created_at, progress, tries, next_at, sending_id, error, ended_at FROM commit_statuses WHERE ",
            $clause
        ))
    };
}

fn read_report(row: &mut Row) -> Result<Report, StoreError> {
    let status = CommitStatus {
        id: row.take()?,
        repository: row.take()?,
        commit: row.take()?,
        reference: row.take()?,
        context: row.take()?,
        run: row.take()?,
        number: count(row.take()?)?,
        seq: count(row.take()?)?,
        state: row.take()?,
        description: row.take()?,
        url: row.take()?,
        created_at: row.take()?,
    };
    Ok(Report {
        status,
        progress: row.take()?,
        tries: u32::try_from(count(row.take()?)?).unwrap_or(u32::MAX),
        next_at: row.take()?,
        sending: row.take()?,
        error: row.take()?,
        ended_at: row.take()?,
    })
}

pub(crate) async fn report_status(store: &impl Records, status: CommitStatus) -> Result<bool, StoreError> {
    check_status(&status)?;
    let report = sql("INSERT INTO commit_statuses (id, repository_id, commit_sha, reference, context, pipeline_run_id,
             run_number, seq, state, description, url, created_at, progress, next_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'waiting', $12)
         ON CONFLICT (repository_id, commit_sha, context) DO UPDATE SET id = excluded.id, reference = excluded.reference,
             pipeline_run_id = excluded.pipeline_run_id, run_number = excluded.run_number, seq = excluded.seq,
             state = excluded.state, description = excluded.description, url = excluded.url,
             created_at = excluded.created_at, progress = excluded.progress, tries = 0, error = NULL, ended_at = NULL,
             next_at = CASE WHEN commit_statuses.sending_id IS NULL THEN excluded.next_at ELSE commit_statuses.next_at END
         WHERE (excluded.run_number, excluded.seq) > (commit_statuses.run_number, commit_statuses.seq)");
    let report = report.bind(status.id).bind(status.repository).bind(status.commit).bind(fit(status.reference));
    let report = report.bind(status.context).bind(status.run).bind(number(status.number)).bind(number(status.seq));
    let report = report.bind(status.state).bind(fit(status.description)).bind(fit(status.url));
    Ok(store.run(report.bind(status.created_at)).await? > 0)
}

/// One after the other: each is taken by whoever changes it first.
pub(crate) async fn take_statuses(
    store: &impl Records,
    now: Timestamp,
    until: Timestamp,
    limit: usize,
) -> Result<Vec<Report>, StoreError> {
    let due = select!("progress = 'waiting' AND next_at <= $1 ORDER BY next_at, id LIMIT $2");
    let due = all(store.read(due.bind(now).bind(number(limit as u64))).await?, read_report)?;
    let mut taken = Vec::with_capacity(due.len());
    for report in due {
        let take = sql("UPDATE commit_statuses SET tries = tries + 1, next_at = $3, sending_id = id
             WHERE id = $1 AND tries = $2 AND progress = 'waiting' AND next_at <= $4");
        let take = take.bind(report.status.id).bind(i64::from(report.tries)).bind(until).bind(now);
        if store.run(take).await? > 0 {
            let sending = Some(report.status.id);
            taken.push(Report { tries: report.tries + 1, next_at: until, sending, ..report });
        }
    }
    Ok(taken)
}

#[derive(Debug)]
struct Settle {
    id: StatusId,
    tries: u32,
    how: Settled,
}

#[async_trait]
impl Change for Settle {
    type Answer = bool;

    async fn change(&self, to: &mut dyn Statements) -> Result<bool, StoreError> {
        let settle = match &self.how {
            Settled::Sent { at } => {
                let sent =
                    sql("UPDATE commit_statuses SET sending_id = NULL, progress = 'sent', ended_at = $3, error = NULL
                     WHERE id = $1 AND sending_id = $1 AND tries = $2");
                sent.bind(self.id).bind(i64::from(self.tries)).bind(*at)
            }
            Settled::Later { at, error } => {
                let later = sql("UPDATE commit_statuses SET sending_id = NULL, next_at = $3, error = $4
                     WHERE id = $1 AND sending_id = $1 AND tries = $2");
                later.bind(self.id).bind(i64::from(self.tries)).bind(*at).bind(fit(error.clone()))
            }
            Settled::GivenUp { at, error } => {
                let gone = sql(
                    "UPDATE commit_statuses SET sending_id = NULL, progress = 'given_up', ended_at = $3, error = $4
                     WHERE id = $1 AND sending_id = $1 AND tries = $2",
                );
                gone.bind(self.id).bind(i64::from(self.tries)).bind(*at).bind(fit(error.clone()))
            }
        };
        if to.run(settle).await? > 0 {
            return Ok(true);
        }
        let replaced = sql("UPDATE commit_statuses SET sending_id = NULL, next_at = $2
             WHERE sending_id = $1 AND id <> $1");
        to.run(replaced.bind(self.id).bind(self.how.at())).await?;
        Ok(false)
    }
}

pub(crate) async fn settle_status(
    store: &impl Records,
    id: StatusId,
    tries: u32,
    how: Settled,
) -> Result<bool, StoreError> {
    store.change(Settle { id, tries, how }).await
}

pub(crate) async fn retry_status(
    store: &impl Records,
    repository: RepositoryId,
    id: StatusId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let retry = sql("UPDATE commit_statuses SET progress = 'waiting', tries = 0, next_at = $3, ended_at = NULL
         WHERE id = $1 AND repository_id = $2 AND progress <> 'sent' AND sending_id IS NULL");
    Ok(store.run(retry.bind(id).bind(repository).bind(now)).await? > 0)
}

pub(crate) async fn statuses(
    store: &impl Records,
    repository: RepositoryId,
    before: Option<StatusId>,
    limit: usize,
) -> Result<Vec<Report>, StoreError> {
    let query = select!("repository_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
    let last = Uuid::max().into();
    let query = query.bind(repository).bind(before.unwrap_or(last)).bind(number(limit as u64));
    all(store.read(query).await?, read_report)
}

pub(crate) async fn sweep_statuses(store: &impl Records, before: Timestamp) -> Result<u64, StoreError> {
    let sweep = sql("DELETE FROM commit_statuses WHERE id IN
         (SELECT id FROM commit_statuses WHERE ended_at < $1 ORDER BY ended_at LIMIT $2)");
    store.run(sweep.bind(before).bind(SWEPT)).await
}
