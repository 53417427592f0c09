//! Databases of earlier versions, as `pg_dump --inserts` writes them.

#[path = "../earlier/mod.rs"]
mod written;

use sqlx::AssertSqlSafe;

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
