//! Statements that are handed to the database together: its thread is far away, and each way there and back takes longer
//! than most statements.

use buildit::store::StoreError;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, AssertSqlSafe, Encode, Sqlite, SqliteConnection, Type};

use super::error::failed;

/// Statements with their values, which are `?` and nothing else.
#[derive(Debug, Default)]
pub(super) struct Batch {
    text: String,
    values: SqliteArguments,
}

impl Batch {
    /// Adds a statement, whose values come next.
    pub(super) fn add(&mut self, statement: &str) {
        self.text.push_str(statement);
        self.text.push_str(";\n");
    }

    /// Adds the next value.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when there is no such value in a database.
    pub(super) fn bind<'v, T>(&mut self, value: T) -> Result<(), StoreError>
    where
        T: Encode<'v, Sqlite> + Type<Sqlite>,
    {
        self.values.add(value).map_err(|error| failed(sqlx::Error::Encode(error)))
    }

    /// Has them all done, one after the other.
    pub(super) async fn execute(self, to: &mut SqliteConnection) -> Result<(), StoreError> {
        // They are texts of this crate.
        sqlx::query_with(AssertSqlSafe(self.text), self.values).execute(to).await.map(drop).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Connection;

    use super::*;

    #[tokio::test]
    async fn each_statement_has_the_values_that_follow_it() {
        let mut database = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        let mut batch = Batch::default();
        batch.add("CREATE TABLE t (a TEXT, b INTEGER)");
        for (text, number) in [("x", Some(1)), ("y", None)] {
            batch.add("INSERT INTO t VALUES (?, ?)");
            batch.bind(text).unwrap();
            batch.bind(number).unwrap();
        }
        batch.execute(&mut database).await.unwrap();
        let rows: Vec<(String, Option<i64>)> =
            sqlx::query_as("SELECT a, b FROM t ORDER BY a").fetch_all(&mut database).await.unwrap();
        assert_eq!(rows, [("x".to_owned(), Some(1)), ("y".to_owned(), None)]);
    }
}
