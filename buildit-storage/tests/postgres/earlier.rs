//! Databases of earlier versions, as `pg_dump --inserts` writes them.

#[path = "../earlier/mod.rs"]
mod written;

use buildit::id::TenantId;
use buildit::store::{AuditFilter, AuditStore};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::Scratch;

#[tokio::test]
#[ignore = "needs postgres"]
async fn a_database_of_each_earlier_schema_goes_on() {
    for (name, bytes) in written::databases("sql") {
        let scratch = Scratch::new().await;
        let dump = String::from_utf8(bytes).unwrap();
        let loaded = sqlx::raw_sql(AssertSqlSafe(dump)).execute(&mut scratch.connection().await).await;
        loaded.unwrap_or_else(|error| panic!("{name}: {error}"));
        written::check(&scratch.store().await).await;
    }
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn what_the_audit_log_of_the_first_schema_holds_stays() {
    let scratch = Scratch::new().await;
    let (_, bytes) = written::databases("sql").swap_remove(0);
    let dump = String::from_utf8(bytes).unwrap();
    let mut database = scratch.connection().await;
    sqlx::raw_sql(AssertSqlSafe(dump)).execute(&mut database).await.unwrap();
    let tenant = TenantId::new();
    for (tenant, subject) in [(Uuid::nil(), "first"), (tenant.as_uuid(), "second")] {
        let insert = "INSERT INTO audit_log (time, tenant_id, actor, action, subject)
             VALUES (now(), $1, 'ada', 'made', $2)";
        sqlx::query(insert).bind(tenant).bind(subject).execute(&mut database).await.unwrap();
    }
    let found = scratch.store().await.audit_log(AuditFilter::default(), None, 9).await.unwrap();
    let found: Vec<_> = found.iter().map(|found| (found.place, found.entry.tenant, &*found.entry.subject)).collect();
    assert_eq!(found, [(2, Some(tenant), "second"), (1, None, "first")]);
}

#[tokio::test]
#[ignore = "needs postgres; writes the file that BUILDIT_WRITE_EARLIER names"]
async fn write() {
    let Some(target) = written::target() else { return };
    let scratch = Scratch::new().await;
    written::fill(&scratch.store().await).await;
    // Its own program does not know what the driver adds to it.
    let url = scratch.url();
    let url = url.split('?').next().unwrap();
    let dump = std::process::Command::new("pg_dump").args(["--inserts", "--no-owner", url]).output().unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    // What only its own shell understands, and what would hide the tables from the connection.
    let text = String::from_utf8(dump.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('\\') && !line.contains("search_path"));
    let kept: String = lines.flat_map(|line| [line, "\n"]).collect();
    std::fs::write(target, zstd::encode_all(kept.as_bytes(), 19).unwrap()).unwrap();
}
