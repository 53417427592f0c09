//! A database of its own for each test.

use buildit_storage::postgres::PostgresStore;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use uuid::Uuid;

/// An empty database, which is dropped with it.
#[derive(Debug)]
pub(crate) struct Scratch {
    admin: PgConnectOptions,
    name: String,
}

impl Scratch {
    pub(crate) async fn new() -> Self {
        Self::made_as("").await
    }

    /// One that is made with these words behind its name.
    pub(crate) async fn made_as(how: &str) -> Self {
        let admin = std::env::var("BUILDIT_TEST_POSTGRES").expect("BUILDIT_TEST_POSTGRES has the URL of a server");
        let (admin, name) = (admin.parse().unwrap(), format!("buildit_test_{}", Uuid::now_v7().simple()));
        execute(&admin, format!("CREATE DATABASE {name} {how}")).await;
        Self { admin, name }
    }

    pub(crate) fn options(&self) -> PgConnectOptions {
        self.admin.clone().database(&self.name)
    }

    pub(crate) fn url(&self) -> String {
        self.options().to_url_lossy().to_string()
    }

    pub(crate) async fn store(&self) -> PostgresStore {
        PostgresStore::connect(&self.url()).await.unwrap()
    }

    /// A connection of somebody else.
    pub(crate) async fn connection(&self) -> PgConnection {
        self.options().connect().await.unwrap()
    }

    /// A connection of somebody else to another database of the server.
    pub(crate) async fn outside(&self) -> PgConnection {
        self.admin.connect().await.unwrap()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let (admin, drop) = (self.admin.clone(), format!("DROP DATABASE {} WITH (FORCE)", self.name));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(execute(&admin, drop));
        });
        // A test that has failed already is not to fail twice.
        let _ = thread.join();
    }
}

async fn execute(admin: &PgConnectOptions, statement: String) {
    let mut connection = admin.connect().await.unwrap();
    sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}
