//! Statements that are handed to the database together: its thread is far away, and each way there and back takes longer
//! than most statements.

use buildit::store::StoreError;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Encode, Sqlite, SqliteConnection, Type};

use super::error::failed;

/// Statements with their values, which are either `?` and nothing else, or [numbered](Self::add_numbered).
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

    /// Adds a statement whose values are `$1`, `$2` and so on, with nothing else that begins like that; they come next.
    pub(super) fn add_numbered(&mut self, statement: &str) {
        let before = self.values.len();
        let mut parts = statement.split('$');
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let rest = part.trim_start_matches(|letter: char| letter.is_ascii_digit());
            let number: usize = part[..part.len() - rest.len()].parse().unwrap_or_default();
            text.push_str(&format!("${}{rest}", before + number));
        }
        self.add(&text);
    }

    /// Has them all done, one after the other.
    pub(super) async fn execute(self, to: &mut SqliteConnection) -> Result<(), StoreError> {
        self.fetch(to).await.map(drop)
    }

    /// The same; the first row that any of them gives.
    pub(super) async fn fetch(self, to: &mut SqliteConnection) -> Result<Option<SqliteRow>, StoreError> {
        // They are texts of this crate. To ask for one row would leave out what comes after it.
        let rows = sqlx::query_with(AssertSqlSafe(self.text), self.values).fetch_all(to).await.map_err(failed)?;
        Ok(rows.into_iter().next())
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, Row};

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
        for (text, number) in [("z", Some(2)), ("zz", Some(3))] {
            batch.add_numbered("INSERT INTO t (b, a) VALUES ($2, $1)");
            batch.bind(text).unwrap();
            batch.bind(number).unwrap();
        }
        batch.execute(&mut database).await.unwrap();
        let rows: Vec<(String, Option<i64>)> =
            sqlx::query_as("SELECT a, b FROM t ORDER BY a").fetch_all(&mut database).await.unwrap();
        let rows: Vec<(&str, Option<i64>)> = rows.iter().map(|(text, number)| (&**text, *number)).collect();
        assert_eq!(rows, [("x", Some(1)), ("y", None), ("z", Some(2)), ("zz", Some(3))]);

        let mut batch = Batch::default();
        batch.add("UPDATE t SET b = 4 WHERE a = 'x' RETURNING b");
        batch.add("DELETE FROM t WHERE a = 'y'");
        let row = batch.fetch(&mut database).await.unwrap().unwrap();
        assert_eq!(row.get::<i64, _>(0), 4);
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM t").fetch_one(&mut database).await.unwrap();
        assert_eq!(left, 3, "all were done");
    }
}
