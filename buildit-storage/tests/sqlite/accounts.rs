//! Accounts that people read with SQL of their own.

#[path = "../shared/people.rs"]
mod people;

use buildit_storage::sqlite::SqliteStore;
use sqlx::{Connection, SqliteConnection};

#[tokio::test]
async fn columns_of_accounts_have_the_names_that_people_use() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs.db");
    people::fill(&SqliteStore::open(&file).await.unwrap()).await;
    let mut database = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    let found: people::Found = sqlx::query_as(people::COLUMNS).fetch_one(&mut database).await.unwrap();
    assert_eq!(found, people::expected());
}
