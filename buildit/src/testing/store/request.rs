//! Clauses about requests that may come twice.

use std::sync::Arc;

use futures_util::future::join_all;

use super::Clause;
use super::clause::{Broken, clauses, ensure, ensure_eq};
use super::samples::{at, tenant};
use crate::id::{Digest, RunId, TenantId};
use crate::store::{Request, RequestStore};

pub(super) fn clauses() -> Vec<Clause<dyn RequestStore>> {
    clauses![
        a_request_is_remembered_until_it_expires,
        requests_at_once_under_one_key_are_one,
        keys_of_requests_are_a_tenants_own,
        a_request_that_made_nothing_is_forgotten,
        requests_that_have_expired_are_swept_away,
    ]
}

fn request(tenant: TenantId, key: &str, until: i64) -> Request {
    Request { tenant, key: key.into(), content: Digest::of(key.as_bytes()), run: RunId::new(), expires_at: at(until) }
}

async fn a_request_is_remembered_until_it_expires(store: Arc<dyn RequestStore>) -> Result<(), Broken> {
    let first = request(tenant(), "it's a \"key\"", 10);
    ensure_eq!(store.remember(first.clone(), at(0)).await?, first, "what is remembered");
    let again = Request { content: Digest::of(b"other"), run: RunId::new(), ..first.clone() };
    ensure_eq!(store.remember(again.clone(), at(9)).await?, first, "what is remembered when it comes again");
    let again = Request { expires_at: at(30), ..again };
    ensure_eq!(store.remember(again.clone(), at(10)).await?, again, "what is remembered when the first has expired");
    Ok(())
}

async fn requests_at_once_under_one_key_are_one(store: Arc<dyn RequestStore>) -> Result<(), Broken> {
    let all = (0..8).map(|_| store.remember(request(tenant(), "key", 10), at(0)));
    let all: Vec<Request> = join_all(all).await.into_iter().collect::<Result<_, _>>()?;
    ensure!(all.iter().all(|one| one.run == all[0].run), "requests at once are remembered as different ones");
    Ok(())
}

async fn keys_of_requests_are_a_tenants_own(store: Arc<dyn RequestStore>) -> Result<(), Broken> {
    let (mine, yours) = (request(tenant(), "key", 10), request(TenantId::new(), "key", 10));
    store.remember(mine.clone(), at(0)).await?;
    ensure_eq!(store.remember(yours.clone(), at(0)).await?, yours, "what is remembered of another tenant");
    ensure_eq!(store.remember(request(tenant(), "key", 10), at(0)).await?, mine, "what is remembered of the first");
    Ok(())
}

async fn a_request_that_made_nothing_is_forgotten(store: Arc<dyn RequestStore>) -> Result<(), Broken> {
    let first = request(tenant(), "key", 10);
    store.remember(first.clone(), at(0)).await?;
    store.forget_request(&Request { run: RunId::new(), ..first.clone() }).await?;
    let second = request(tenant(), "key", 10);
    ensure_eq!(store.remember(second.clone(), at(0)).await?, first, "what is remembered when another is forgotten");
    store.forget_request(&first).await?;
    ensure_eq!(store.remember(second.clone(), at(0)).await?, second, "what is remembered when it is forgotten");
    Ok(())
}

async fn requests_that_have_expired_are_swept_away(store: Arc<dyn RequestStore>) -> Result<(), Broken> {
    let (short, long) = (request(tenant(), "short", 10), request(tenant(), "long", 20));
    store.remember(short, at(0)).await?;
    store.remember(long.clone(), at(0)).await?;
    ensure_eq!(store.sweep_requests(at(10)).await?, 1, "how many are swept away");
    ensure_eq!(store.sweep_requests(at(10)).await?, 0, "how many are swept away again");
    ensure_eq!(store.remember(request(tenant(), "long", 20), at(10)).await?, long, "what is left");
    Ok(())
}
