//! Databases that are not what they should be: said clearly, and left as they are.

use buildit::store::{RunFilter, RunStore, StoreError};
use buildit_storage::postgres::PostgresStore;
use sqlx::ConnectOptions;
use sqlx::postgres::PgSslMode;

use crate::{Scratch, new_run};

async fn change(scratch: &Scratch, statement: &'static str) {
    sqlx::query(statement).execute(&mut scratch.connection().await).await.unwrap();
}

/// An error with all that caused it, as people and logs see it.
fn whole(error: &StoreError) -> String {
    let mut text = format!("{error:?}: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn a_database_of_something_else_stays_what_it_is() {
    let scratch = Scratch::new().await;
    change(&scratch, "CREATE TABLE users (name TEXT)").await;
    let refused = PostgresStore::connect(&scratch.url()).await.unwrap_err();
    assert!(refused.to_string().contains("a database of something else"), "{refused}");
    let tables = sqlx::query_scalar("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'");
    let tables: i64 = tables.fetch_one(&mut scratch.connection().await).await.unwrap();
    assert_eq!(tables, 1);
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn a_database_that_cannot_hold_every_text_is_refused() {
    let scratch = Scratch::made_as("ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0").await;
    let refused = PostgresStore::connect(&scratch.url()).await.unwrap_err();
    assert!(refused.to_string().contains("LATIN1"), "{refused}");
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn a_newer_schema_is_refused() {
    let scratch = Scratch::new().await;
    scratch.store().await.create_run(new_run("sample")).await.unwrap();
    change(
        &scratch,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9000, 'later', true, '\\x00', 1)",
    )
    .await;
    let refused = PostgresStore::connect(&scratch.url()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Newer { found: 9000, .. }), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn an_empty_database_is_made_ours_once_by_many_at_once() {
    let scratch = Scratch::new().await;
    let connecting: Vec<_> = (0..8)
        .map(|_| {
            let url = scratch.url();
            tokio::spawn(async move { PostgresStore::connect(&url).await.map(drop) })
        })
        .collect();
    for connected in connecting {
        connected.await.unwrap().unwrap();
    }
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn no_error_holds_the_password() {
    let scratch = Scratch::new().await;
    let options = scratch.options().username("nobody_of_this_name").password("hunter2/@:");
    let url = options.to_url_lossy().to_string();
    let host = url.rsplit_once('@').unwrap().1;
    for url in [
        url.clone(),
        url.replacen(scratch.name(), "no_such_database", 1),
        "postgres://ada:hunter2@127.0.0.1:1/none".into(),
        "postgres://ada:hunter2@127.0.0.1:port/none".into(),
        "postgres://ada:hunter2@127.0.0.1/none?sslmode=perhaps".into(),
        // Written as they are: what follows is taken for a database.
        format!("postgres://{}/hunter2@{host}", host.split('/').next().unwrap()),
    ] {
        let refused = PostgresStore::connect(&url).await.unwrap_err();
        assert!(matches!(refused, StoreError::Backend { name: "postgres", .. }), "{refused:?}");
        let said = whole(&refused);
        assert!(!said.contains("hunter2"), "{url}: {said}");
    }
    let url = scratch.options().to_url_lossy();
    let password = url.password().expect("the server asks for one");
    let store = scratch.store().await;
    assert!(!format!("{store:?}").contains(password), "{store:?}");
}

#[tokio::test]
#[ignore = "needs postgres"]
async fn the_url_says_how_it_is_encrypted() {
    let scratch = Scratch::new().await;
    for (mode, is_encrypted) in [(PgSslMode::Require, true), (PgSslMode::Disable, false)] {
        let url = scratch.options().ssl_mode(mode).to_url_lossy().to_string();
        let store = PostgresStore::connect(&url).await.unwrap();
        store.runs(&RunFilter::default(), 1).await.unwrap();
        let lines = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
             WHERE datname = $1 AND application_name = 'buildit'";
        let lines = sqlx::query_scalar(lines).bind(scratch.name());
        let ssl: Option<bool> = lines.fetch_one(&mut scratch.outside().await).await.unwrap();
        assert_eq!(ssl, Some(is_encrypted), "{mode:?}");
        store.close().await;
    }
    // Nobody whom we know vouches for the server of a test.
    let url = scratch.options().ssl_mode(PgSslMode::VerifyFull).to_url_lossy().to_string();
    let refused = PostgresStore::connect(&url).await.unwrap_err();
    assert!(whole(&refused).contains("certificate"), "{refused:?}");
}
