//! Records, in this database: times are in microseconds.

use async_trait::async_trait;
use buildit::store::StoreError;
use jiff_sqlx::Timestamp as Time;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query as Bound;
use sqlx::{Column, PgConnection, Postgres, Row as _, TypeInfo, ValueRef};
use uuid::Uuid;

use super::PostgresStore;
use super::column::down;
use super::error::failed;
use super::listen::channel;
use super::transaction::Write;
use crate::records::{Change, Kind, News, Query, Records, Row, Statements, Value};

#[async_trait]
impl Records for PostgresStore {
    async fn read(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        let rows = bound(&query).fetch_all(&mut *self.reads().await?).await.map_err(failed)?;
        rows.iter().map(row).collect()
    }

    async fn run(&self, query: Query) -> Result<u64, StoreError> {
        self.write_at_once(One(query)).await
    }

    async fn change<C: Change>(&self, change: C) -> Result<C::Answer, StoreError> {
        self.write(Several(change)).await
    }

    /// It is a hint: whoever waits looks by itself when it does not come.
    async fn announce(&self, news: News) {
        let announced = async {
            let notify = sqlx::query("SELECT pg_notify($1, '')").bind(channel(news));
            notify.execute(&mut *self.reads().await?).await.map_err(failed)
        };
        if let Err(error) = announced.await {
            tracing::debug!(%error, "news are not announced");
        }
    }
}

/// One statement, which is a transaction by itself.
#[derive(Debug)]
struct One(Query);

#[async_trait]
impl Write for One {
    type Answer = u64;

    async fn write(&self, to: &mut PgConnection) -> Result<u64, StoreError> {
        to.run(self.0.clone()).await
    }
}

/// Several statements.
#[derive(Debug)]
struct Several<C>(C);

#[async_trait]
impl<C: Change> Write for Several<C> {
    type Answer = C::Answer;

    async fn write(&self, to: &mut PgConnection) -> Result<C::Answer, StoreError> {
        self.0.change(to).await
    }
}

#[async_trait]
impl Statements for PgConnection {
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

fn bound(query: &Query) -> Bound<'static, Postgres, PgArguments> {
    let bind = |bound: Bound<'static, Postgres, PgArguments>, value: &Value| match value {
        Value::Null(kind) => nothing(bound, *kind),
        Value::Bool(value) => bound.bind(*value),
        Value::Int(number) => bound.bind(*number),
        Value::Text(text) => bound.bind(text.clone()),
        Value::Bytes(bytes) => bound.bind(bytes.clone()),
        Value::Uuid(uuid) => bound.bind(*uuid),
        Value::Time(time) => bound.bind(down(*time)),
    };
    query.values.iter().fold(sqlx::query(query.text), bind)
}

/// A null has a type here.
fn nothing(bound: Bound<'static, Postgres, PgArguments>, kind: Kind) -> Bound<'static, Postgres, PgArguments> {
    match kind {
        Kind::Bool => bound.bind(None::<bool>),
        Kind::Int => bound.bind(None::<i64>),
        Kind::Text => bound.bind(None::<String>),
        Kind::Bytes => bound.bind(None::<Vec<u8>>),
        Kind::Uuid => bound.bind(None::<Uuid>),
        Kind::Time => bound.bind(None::<Time>),
    }
}

fn row(row: &PgRow) -> Result<Row, StoreError> {
    row.columns().iter().map(|column| value(row, column.ordinal())).collect()
}

fn value(row: &PgRow, index: usize) -> Result<Value, StoreError> {
    let raw = row.try_get_raw(index).map_err(failed)?;
    if raw.is_null() {
        return Ok(Value::Null(Kind::Text));
    }
    let value = match raw.type_info().name() {
        "BOOL" => row.try_get(index).map(Value::Bool),
        "INT4" => row.try_get(index).map(|number: i32| Value::Int(number.into())),
        "INT8" => row.try_get(index).map(Value::Int),
        "BYTEA" => row.try_get(index).map(Value::Bytes),
        "UUID" => row.try_get(index).map(Value::Uuid),
        "TIMESTAMPTZ" => row.try_get(index).map(|time: Time| Value::Time(time.to_jiff())),
        _ => row.try_get(index).map(Value::Text),
    };
    value.map_err(failed)
}
