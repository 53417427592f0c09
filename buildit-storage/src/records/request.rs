//! Requests that may come twice.

use async_trait::async_trait;
use buildit::store::{Request, StoreError};
use jiff::Timestamp;

use super::{Change, Records, Row, Statements, first, sql};

fn read_request(row: &mut Row) -> Result<Request, StoreError> {
    Ok(Request {
        tenant: row.take()?,
        key: row.take()?,
        content: row.take()?,
        run: row.take()?,
        expires_at: row.take()?,
    })
}

#[derive(Debug)]
struct Remember {
    request: Request,
    now: Timestamp,
}

#[async_trait]
impl Change for Remember {
    type Answer = Request;

    async fn change(&self, to: &mut dyn Statements) -> Result<Request, StoreError> {
        let Request { tenant, key, content, run, expires_at } = &self.request;
        let remember = sql("INSERT INTO requests (tenant_id, key, content, pipeline_run_id, expires_at)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (tenant_id, key) DO UPDATE SET content = excluded.content,
                 pipeline_run_id = excluded.pipeline_run_id, expires_at = excluded.expires_at
             WHERE requests.expires_at <= $6");
        let remember = remember.bind(*tenant).bind(key.clone()).bind(*content).bind(*run).bind(*expires_at);
        to.run(remember.bind(self.now)).await?;
        let known = sql("SELECT tenant_id, key, content, pipeline_run_id, expires_at FROM requests
             WHERE tenant_id = $1 AND key = $2");
        let known = first(to.rows(known.bind(*tenant).bind(key.clone())).await?, read_request)?;
        known.ok_or_else(|| StoreError::Corrupt("a request is not remembered".into()))
    }
}

pub(crate) async fn remember(store: &impl Records, request: Request, now: Timestamp) -> Result<Request, StoreError> {
    store.change(Remember { request, now }).await
}

pub(crate) async fn forget(store: &impl Records, request: &Request) -> Result<(), StoreError> {
    let forget = sql("DELETE FROM requests WHERE tenant_id = $1 AND key = $2 AND pipeline_run_id = $3");
    store.run(forget.bind(request.tenant).bind(request.key.clone()).bind(request.run)).await.map(drop)
}

pub(crate) async fn sweep(store: &impl Records, now: Timestamp) -> Result<u64, StoreError> {
    store.run(sql("DELETE FROM requests WHERE expires_at <= $1").bind(now)).await
}
