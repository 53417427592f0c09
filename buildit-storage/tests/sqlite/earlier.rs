//! Databases of earlier versions.

#[path = "../earlier/mod.rs"]
mod written;

use std::fs;

use buildit::id::TenantId;
use buildit::store::{AuditFilter, AuditStore};
use buildit_storage::sqlite::SqliteStore;
use sqlx::{Connection, SqliteConnection};

#[tokio::test]
async fn a_database_of_each_earlier_schema_goes_on() {
    for (name, bytes) in written::databases("db") {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("runs.db");
        fs::write(&file, bytes).unwrap();
        let store = SqliteStore::open(&file).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        written::check(&store).await;
    }
}

#[tokio::test]
async fn what_the_audit_log_of_the_first_schema_holds_stays() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs.db");
    let (_, bytes) = written::databases("db").swap_remove(0);
    fs::write(&file, bytes).unwrap();
    let mut database = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    let tenant = TenantId::new();
    for (tenant, subject) in [(String::new(), "first"), (tenant.to_string(), "second")] {
        let insert = "INSERT INTO audit_log (time, tenant_id, actor, action, subject)
             VALUES ('2026-01-01T00:00:00.000000000Z', ?, 'ada', 'made', ?)";
        sqlx::query(insert).bind(tenant).bind(subject).execute(&mut database).await.unwrap();
    }
    database.close().await.unwrap();
    let store = SqliteStore::open(&file).await.unwrap();
    let found = store.audit_log(AuditFilter::default(), None, 9).await.unwrap();
    let found: Vec<_> = found.iter().map(|found| (found.place, found.entry.tenant, &*found.entry.subject)).collect();
    assert_eq!(found, [(2, Some(tenant), "second"), (1, None, "first")]);
}

#[tokio::test]
#[ignore = "writes the file that BUILDIT_WRITE_EARLIER names"]
async fn write() {
    let Some(target) = written::target() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs.db");
    let store = SqliteStore::open(&file).await.unwrap();
    written::fill(&store).await;
    drop(store);
    // Whole, without a log beside it.
    let whole = folder.path().join("whole.db");
    let mut database = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    sqlx::query("VACUUM INTO ?").bind(whole.to_str().unwrap()).execute(&mut database).await.unwrap();
    fs::write(target, zstd::encode_all(fs::File::open(whole).unwrap(), 19).unwrap()).unwrap();
}
