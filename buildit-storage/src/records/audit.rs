//! The audit log.

use buildit::account::{AuditEntry, AuditRecord};
use buildit::store::{AuditFilter, StoreError};

use super::{Records, Row, all, sql};
use crate::sql::{count, from_json, number, to_json};

fn read_record(row: &mut Row) -> Result<AuditRecord, StoreError> {
    let place = count(row.take()?)?;
    let entry = AuditEntry {
        time: row.take()?,
        organization: row.take()?,
        tenant: row.take()?,
        actor: row.take()?,
        action: row.take()?,
        subject: row.take()?,
        details: from_json(&row.take::<String>()?)?,
    };
    Ok(AuditRecord { place, entry })
}

/// A text for a column, which holds no NUL: what somebody did is noted whatever they typed.
fn shown(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

pub(crate) async fn audit(store: &impl Records, entry: AuditEntry) -> Result<(), StoreError> {
    let insert = sql("INSERT INTO audit_log (time, organization_id, tenant_id, actor, action, subject, details)
         VALUES ($1, $2, $3, $4, $5, $6, $7)");
    let insert = insert.bind(entry.time).bind(entry.organization).bind(entry.tenant).bind(shown(&entry.actor));
    let insert = insert.bind(shown(&entry.action)).bind(shown(&entry.subject)).bind(to_json(&entry.details)?);
    store.note(insert).await
}

/// A statement for each filter, so that each is read along its index.
pub(crate) async fn audit_log(
    store: &impl Records,
    filter: AuditFilter,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<AuditRecord>, StoreError> {
    macro_rules! select {
        ($which:literal) => {
            sql(concat!(
                "SELECT place, time, organization_id, tenant_id, actor, action, subject, details FROM audit_log
                 WHERE place < $1 ",
                $which,
                " ORDER BY place DESC LIMIT $2"
            ))
            .bind(before.map_or(i64::MAX, number))
            .bind(number(limit as u64))
        };
    }
    let query = match (filter.organization, filter.tenant) {
        (None, None) => select!(""),
        (Some(organization), None) => select!("AND organization_id = $3").bind(organization),
        (None, Some(tenant)) => select!("AND tenant_id = $3").bind(tenant),
        (Some(organization), Some(tenant)) => {
            select!("AND organization_id = $3 AND tenant_id = $4").bind(organization).bind(tenant)
        }
    };
    all(store.read(query).await?, read_record)
}
