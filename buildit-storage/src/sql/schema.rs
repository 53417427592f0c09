//! The schema of a database.

use std::ops::Deref;
use std::pin::Pin;

use buildit::store::StoreError;
use sqlx::Acquire;
use sqlx::migrate::{Migrate, MigrateError, Migrator};

/// Brings a database up to date; `failed` says what one of its own errors means.
///
/// Boxed here, because a future that holds sqlx's own is not known to be `Send`.
pub(crate) fn migrate<'c, C>(
    schema: &'static Migrator,
    connection: C,
    failed: fn(sqlx::Error) -> StoreError,
) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'c>>
where
    C: Acquire<'c, Connection: Send + Deref<Target: Migrate + Send>> + Send + 'c,
{
    let run = schema.run(connection);
    Box::pin(async move { run.await.map_err(|error| migration_failed(error, schema, failed)) })
}

fn migration_failed(error: MigrateError, schema: &Migrator, failed: fn(sqlx::Error) -> StoreError) -> StoreError {
    let number = |version: i64| u32::try_from(version).unwrap_or(u32::MAX);
    match error {
        MigrateError::VersionMissing(found) => {
            let supported = schema.iter().map(|migration| migration.version).max().unwrap_or(0);
            StoreError::Newer { found: number(found), supported: number(supported) }
        }
        MigrateError::VersionMismatch(version) | MigrateError::Dirty(version) => {
            StoreError::Corrupt(format!("its schema {version} is not the one of that number"))
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => failed(error),
        error => failed(sqlx::Error::Migrate(Box::new(error))),
    }
}
