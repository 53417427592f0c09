//! Databases of earlier versions.

#[path = "../earlier/mod.rs"]
mod written;

use std::fs;

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
