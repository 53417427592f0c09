//! A database for the bench.

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

pub(crate) struct Scratch {
    admin: PgConnectOptions,
    name: String,
    url: String,
}

impl Scratch {
    pub(crate) async fn new(server: &str) -> Self {
        let admin: PgConnectOptions = server.parse().expect("a URL");
        let name = format!("buildit_bench_{}", std::process::id());
        execute(&admin, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
        execute(&admin, format!("CREATE DATABASE {name}")).await;
        let url = admin.clone().database(&name).to_url_lossy().to_string();
        Self { admin, name, url }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) async fn drop(self) {
        execute(&self.admin, format!("DROP DATABASE {} WITH (FORCE)", self.name)).await;
    }
}

async fn execute(admin: &PgConnectOptions, statement: String) {
    let mut connection = admin.connect().await.expect("a server");
    sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.expect("a database");
    connection.close().await.expect("a connection");
}
