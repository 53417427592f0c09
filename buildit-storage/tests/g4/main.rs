//! G4: after a run that prints its secrets in every encoding, and accounts that are opened by one, nothing that is kept
//! holds a value of them.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod accounts;
mod run;
mod search;

use std::process::Command;
use std::sync::Arc;

use buildit::memory::MemoryStore;
use buildit_storage::ObjectBlobs;
use buildit_storage::sqlite::SqliteStore;
use search::Search;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_no_file_of_a_store_holds_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs.db");
    let store = Arc::new(SqliteStore::open(&file).await.unwrap());
    let blobs = Arc::new(ObjectBlobs::open(&folder.path().join("blobs")).unwrap());
    run::drive(store.clone(), blobs, &folder.path().join("state")).await;
    accounts::fill(&*store).await;

    let mut search = Search::default();
    // While it is open, so that there is a WAL.
    search.folder(folder.path());
    assert!(search.names.iter().any(|name| name.ends_with("runs.db-wal")), "{:?}", search.names);
    let mut database = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    // Row by row: in the file a value is spread over pages.
    let columns =
        "SELECT t.name, c.name FROM sqlite_schema AS t, pragma_table_info(t.name) AS c WHERE t.type = 'table'";
    let columns: Vec<(String, String)> = sqlx::query_as(columns).fetch_all(&mut database).await.unwrap();
    for (table, column) in columns {
        let values = format!("SELECT CAST(\"{column}\" AS BLOB) FROM \"{table}\" WHERE \"{column}\" IS NOT NULL");
        let values = sqlx::query_scalar(AssertSqlSafe(values)).fetch_all(&mut database).await;
        let values: Vec<Vec<u8>> = values.unwrap();
        values.iter().for_each(|value| search.bytes(&format!("{table}.{column}"), value));
    }
    search.requires(&["log_chunks.data", "blobs/", "api_keys.key_prefix", "audit_log.subject"]);
}

#[tokio::test]
async fn g4_no_file_of_a_journal_holds_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let store = MemoryStore::journaled(folder.path()).unwrap();
    accounts::fill(&store).await;
    let mut search = Search::default();
    search.folder(folder.path());
    search.requires(&["/accounts", "/audit"]);
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn g4_no_dump_holds_a_secret() {
    use buildit_storage::postgres::PostgresStore;
    use sqlx::ConnectOptions;
    use sqlx::postgres::PgConnectOptions;

    let admin: PgConnectOptions = std::env::var("BUILDIT_TEST_POSTGRES").unwrap().parse().unwrap();
    let name = format!("buildit_g4_{}", uuid::Uuid::now_v7().simple());
    let mut server = admin.connect().await.unwrap();
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut server).await.unwrap();
    let url = admin.clone().database(&name).to_url_lossy().to_string();
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(PostgresStore::connect(&url).await.unwrap());
    let blobs = Arc::new(ObjectBlobs::open(&folder.path().join("blobs")).unwrap());
    run::drive(store.clone(), blobs, &folder.path().join("state")).await;
    accounts::fill(&*store).await;

    let newest = "PATH=$PATH:$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1); exec pg_dump \"$DATABASE\"";
    // Without what only our driver understands.
    let plain = url.split('?').next().unwrap();
    let dump = Command::new("sh").args(["-c", newest]).env("DATABASE", plain).output().unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    let mut search = Search::default();
    search.folder(folder.path());
    search.bytes("dump", &dump.stdout);
    search::hexadecimal(&dump.stdout).iter().for_each(|value| search.bytes("column of bytes", value));
    search.requires(&["column of bytes", "blobs/"]);
    store.close().await;
    sqlx::query(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).execute(&mut server).await.unwrap();
}
