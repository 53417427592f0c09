//! Records, in this database: ids and times are text, and the writer makes all changes.

use async_trait::async_trait;
use buildit::store::StoreError;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::query::Query as Bound;
use sqlx::sqlite::{SqliteArguments, SqliteArgumentsBuffer, SqliteRow, SqliteTypeInfo};
use sqlx::{Column, Encode, Row as _, Sqlite, SqliteConnection, Type, TypeInfo, ValueRef};

use super::SqliteStore;
use super::error::failed;
use super::transaction::Transaction;
use super::writer::Write;
use crate::records::{Change, Kind, News, Query, Records, Row, Statements, Value};
use crate::sql::to_text;

#[async_trait]
impl Records for SqliteStore {
    async fn read(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        let rows = bound(&query).fetch_all(self.reads()).await.map_err(failed)?;
        rows.iter().map(row).collect()
    }

    async fn run(&self, query: Query) -> Result<u64, StoreError> {
        self.write(One(query)).await
    }

    async fn note(&self, query: Query) -> Result<(), StoreError> {
        self.write(Noted(query)).await
    }

    async fn change<C: Change>(&self, change: C) -> Result<C::Answer, StoreError> {
        self.write(Several(change)).await
    }

    async fn announce(&self, news: News) {
        match news {
            News::Queue => self.changed().notify_waiters(),
            News::Asks => self.asked().notify_waiters(),
        }
    }
}

/// One statement: when it is refused, it has changed nothing.
#[derive(Debug)]
struct One(Query);

#[async_trait]
impl Write for One {
    type Answer = u64;

    async fn write(&self, to: &mut Transaction<'_>) -> Result<u64, StoreError> {
        to.connection().await?.run(self.0.clone()).await
    }
}

/// One statement that nobody asks the answer of.
#[derive(Debug)]
struct Noted(Query);

#[async_trait]
impl Write for Noted {
    type Answer = ();

    async fn write(&self, to: &mut Transaction<'_>) -> Result<(), StoreError> {
        to.note_down(self.0.clone());
        Ok(())
    }
}

/// Several statements, of which none may stay when one is refused: others share the transaction.
#[derive(Debug)]
struct Several<C>(C);

#[async_trait]
impl<C: Change> Write for Several<C> {
    type Answer = C::Answer;

    async fn write(&self, to: &mut Transaction<'_>) -> Result<C::Answer, StoreError> {
        let connection = to.connection().await?;
        execute(connection, "SAVEPOINT change").await?;
        let made = self.0.change(connection).await;
        if made.is_err() {
            execute(connection, "ROLLBACK TO change").await?;
        }
        execute(connection, "RELEASE change").await?;
        made
    }
}

async fn execute(connection: &mut SqliteConnection, statement: &'static str) -> Result<(), StoreError> {
    sqlx::query(statement).execute(connection).await.map(drop).map_err(failed)
}

#[async_trait]
impl Statements for SqliteConnection {
    async fn rows(&mut self, query: Query) -> Result<Vec<Row>, StoreError> {
        let rows = bound(&query).fetch_all(self).await;
        rows.map_err(|error| refused(&query, error))?.iter().map(row).collect()
    }

    async fn run(&mut self, query: Query) -> Result<u64, StoreError> {
        let done = bound(&query).execute(self).await;
        Ok(done.map_err(|error| refused(&query, error))?.rows_affected())
    }
}

fn refused(query: &Query, error: sqlx::Error) -> StoreError {
    query.refusal(&error).unwrap_or_else(|| failed(error))
}

fn bound(query: &Query) -> Bound<'static, Sqlite, SqliteArguments> {
    query.values.iter().fold(sqlx::query(query.text), |bound, value| bound.bind(value.clone()))
}

impl Type<Sqlite> for Value {
    fn type_info() -> SqliteTypeInfo {
        <str as Type<Sqlite>>::type_info()
    }
}

/// As this database has it: ids and times are text.
impl Encode<'_, Sqlite> for Value {
    fn encode_by_ref(&self, to: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        match self {
            Self::Null(_) => Ok(IsNull::Yes),
            Self::Bool(value) => Encode::<Sqlite>::encode(*value, to),
            Self::Int(number) => Encode::<Sqlite>::encode(*number, to),
            Self::Text(text) => Encode::<Sqlite>::encode(text.clone(), to),
            Self::Bytes(bytes) => Encode::<Sqlite>::encode(bytes.clone(), to),
            Self::Uuid(uuid) => Encode::<Sqlite>::encode(uuid.to_string(), to),
            Self::Time(time) => Encode::<Sqlite>::encode(to_text(*time), to),
        }
    }
}

fn row(row: &SqliteRow) -> Result<Row, StoreError> {
    row.columns().iter().map(|column| value(row, column.ordinal())).collect()
}

fn value(row: &SqliteRow, index: usize) -> Result<Value, StoreError> {
    let raw = row.try_get_raw(index).map_err(failed)?;
    if raw.is_null() {
        return Ok(Value::Null(Kind::Text));
    }
    // What the value is, whatever the column is said to be.
    let value = match raw.type_info().name() {
        "INTEGER" => row.try_get_unchecked(index).map(Value::Int),
        "BLOB" => row.try_get_unchecked(index).map(Value::Bytes),
        _ => row.try_get_unchecked(index).map(Value::Text),
    };
    value.map_err(failed)
}
