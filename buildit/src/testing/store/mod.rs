//! The conformance suite of stores: what an engine relies on, as clauses that each can fail.
//!
//! A store of your own is tested in one line; each clause gets a fresh, empty store:
//!
//! ```
//! use buildit::memory::MemoryStore;
//! use buildit::testing::store;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! store::assert_store(async || MemoryStore::new()).await;
//! store::assert_blobs(async || MemoryStore::new()).await;
//! store::assert_keep(async || MemoryStore::new()).await;
//! store::assert_results(async || MemoryStore::new()).await;
//! store::assert_accounts(async || MemoryStore::new()).await;
//! # }
//! ```
//!
//! A store that outlives its process also passes [`assert_durable`], which opens it anew between writing and reading.
//! [`assert_durable_accounts`] does so with accounts. What a store can do beyond that has clauses of its own
//! ([`control_clauses`], [`delivery_clauses`], [`environment_clauses`], [`export_clauses`], [`eviction_clauses`], [`notification_clauses`], [`pipeline_clauses`],
//! [`policy_clauses`], [`reference_clauses`], [`removal_clauses`], [`repository_clauses`], [`request_clauses`], [`schedule_clauses`],
//! [`secret_clauses`], [`status_clauses`], [`tenant_clauses`]), for
//! [`assert_clauses`].
//! Whoever wants the violations themselves calls [`check_store`] and its like.

mod accounts;
mod artifact;
mod asks;
mod clause;
mod control;
mod delivery;
mod durable;
mod environment;
mod export;
mod garbage;
mod groups;
mod keep;
mod log;
mod notification;
mod pipeline;
mod policy;
mod queue;
mod repository;
mod request;
mod result;
mod run;
mod samples;
mod schedule;
mod secret;
mod shares;
mod status;
mod tenants;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use clause::{Clause, Violation};
pub use keep::KeepStore;

use crate::artifact::{BlobStore, CacheStore, EvictCaches, RemoveBlobs};
use crate::cached::ResultStore;
use crate::store::{
    AccountStore, AuditStore, ChannelStore, DeliveryStore, EnvironmentStore, ExportStore, IdentityStore,
    NotificationStore, PipelineStore, PolicyStore, QueueControl, ReferenceStore, RepositoryStore, RequestStore,
    ScheduleStore, SecretStore, StatusStore, Store,
};

/// A store that refers to blobs, and says to which.
pub trait Referring: Store + CacheStore + ReferenceStore {}

impl<T: Store + CacheStore + ReferenceStore + ?Sized> Referring for T {}

/// A store with channels, and with what is to be sent to them.
pub trait Notifying: ChannelStore + NotificationStore {}

impl<T: ChannelStore + NotificationStore + ?Sized> Notifying for T {}

/// A store whose queue is seen and steered.
pub trait Controlled: Store + QueueControl {}

impl<T: Store + QueueControl + ?Sized> Controlled for T {}

/// Where tenants are, and where their runs and repositories are: in one store, as far as anybody can tell.
#[derive(Clone, Debug)]
pub struct TenantStores {
    /// Where tenants are.
    pub tenants: Arc<dyn IdentityStore>,
    /// Where their runs are.
    pub runs: Arc<dyn Store>,
    /// Where their repositories are.
    pub repositories: Arc<dyn RepositoryStore>,
}

impl TenantStores {
    /// One store for all.
    pub fn of<S: IdentityStore + Store + RepositoryStore + Clone>(store: S) -> Self {
        let (tenants, runs) = (Arc::new(store.clone()), Arc::new(store.clone()));
        Self { tenants, runs, repositories: Arc::new(store) }
    }
}

/// The clauses about runs, logs and the queue.
#[must_use]
pub fn store_clauses() -> Vec<Clause<dyn Store>> {
    let runs = [run::clauses(), tenants::clauses(), log::clauses()].concat();
    [runs, queue::clauses(), shares::clauses(), groups::clauses(), asks::clauses()].concat()
}

/// The clauses about seeing and steering the queue, and about workers.
#[must_use]
pub fn control_clauses() -> Vec<Clause<dyn Controlled>> {
    control::clauses()
}

/// The clauses about schedules.
#[must_use]
pub fn schedule_clauses() -> Vec<Clause<dyn ScheduleStore>> {
    schedule::clauses()
}

/// The clauses about channels, and about what is to be sent to them.
#[must_use]
pub fn notification_clauses() -> Vec<Clause<dyn Notifying>> {
    notification::clauses()
}

/// The clauses about runs that somebody elsewhere is to be told of.
#[must_use]
pub fn export_clauses() -> Vec<Clause<dyn ExportStore>> {
    export::clauses()
}

/// The clauses about requests that may come twice.
#[must_use]
pub fn request_clauses() -> Vec<Clause<dyn RequestStore>> {
    request::clauses()
}

/// The clauses about blobs.
#[must_use]
pub fn blob_clauses() -> Vec<Clause<dyn BlobStore>> {
    artifact::blob_clauses()
}

/// The clauses about caches.
#[must_use]
pub fn cache_clauses() -> Vec<Clause<dyn CacheStore>> {
    artifact::cache_clauses()
}

/// The clauses about forgetting caches that nobody uses.
#[must_use]
pub fn eviction_clauses() -> Vec<Clause<dyn EvictCaches>> {
    artifact::eviction_clauses()
}

/// The clauses about the blobs that a store refers to.
#[must_use]
pub fn reference_clauses() -> Vec<Clause<dyn Referring>> {
    garbage::reference_clauses()
}

/// The clauses about removing blobs.
#[must_use]
pub fn removal_clauses() -> Vec<Clause<dyn RemoveBlobs>> {
    garbage::removal_clauses()
}

/// The clauses about sealed secrets.
#[must_use]
pub fn secret_clauses() -> Vec<Clause<dyn SecretStore>> {
    secret::clauses()
}

/// The clauses about environments.
#[must_use]
pub fn environment_clauses() -> Vec<Clause<dyn EnvironmentStore>> {
    environment::clauses()
}

/// The clauses about policies of tenants, and turns.
#[must_use]
pub fn policy_clauses() -> Vec<Clause<dyn PolicyStore>> {
    policy::clauses()
}

/// The clauses about deliveries.
#[must_use]
pub fn delivery_clauses() -> Vec<Clause<dyn DeliveryStore>> {
    delivery::clauses()
}

/// The clauses about what forges are to say of commits.
#[must_use]
pub fn status_clauses() -> Vec<Clause<dyn StatusStore>> {
    status::clauses()
}

/// The clauses about repositories.
#[must_use]
pub fn repository_clauses() -> Vec<Clause<dyn RepositoryStore>> {
    repository::clauses()
}

/// The clauses about pipelines that are kept.
#[must_use]
pub fn pipeline_clauses() -> Vec<Clause<dyn PipelineStore>> {
    pipeline::clauses()
}

/// The clauses about users, accounts elsewhere that let them in, organizations, tenants and invitations.
#[must_use]
pub fn identity_clauses() -> Vec<Clause<dyn IdentityStore>> {
    use accounts::{identity, invitation, link, member, tenant};
    [identity::clauses(), link::clauses(), member::clauses(), tenant::clauses(), invitation::clauses()].concat()
}

/// The clauses about tenants that have runs.
#[must_use]
pub fn tenant_clauses() -> Vec<Clause<TenantStores>> {
    accounts::tenant::holding_clauses()
}

/// The clauses about keys, sessions and tokens.
#[must_use]
pub fn credential_clauses() -> Vec<Clause<dyn AccountStore>> {
    accounts::credential::clauses()
}

/// The clauses about the audit log.
#[must_use]
pub fn audit_clauses() -> Vec<Clause<dyn AuditStore>> {
    accounts::audit::clauses()
}

/// The clauses about the logs of closed runs.
#[must_use]
pub fn keep_clauses() -> Vec<Clause<dyn KeepStore>> {
    keep::clauses()
}

/// The clauses about kept results.
#[must_use]
pub fn result_clauses() -> Vec<Clause<dyn ResultStore>> {
    result::clauses()
}

/// Everything that the stores which `make` makes do against these clauses, each of which gets one.
pub async fn check_clauses<S: ?Sized>(clauses: Vec<Clause<S>>, make: impl AsyncFn() -> Arc<S>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for clause in clauses {
        violations.extend(clause.check(make().await).await.err());
    }
    violations
}

/// Requires [`check_clauses`] to find nothing.
///
/// # Panics
///
/// With all violations, when there are some.
pub async fn assert_clauses<S: ?Sized>(clauses: Vec<Clause<S>>, make: impl AsyncFn() -> Arc<S>) {
    report(&check_clauses(clauses, make).await);
}

/// Everything that the stores which `make` makes do wrong with runs, logs and the queue.
pub async fn check_store<S: Store>(make: impl AsyncFn() -> S) -> Vec<Violation> {
    let mut violations = Vec::new();
    for clause in store_clauses() {
        violations.extend(clause.check(Arc::new(make().await)).await.err());
    }
    violations
}

/// Everything that the stores which `make` makes do wrong with blobs and caches.
pub async fn check_blobs<S: BlobStore + CacheStore>(make: impl AsyncFn() -> S) -> Vec<Violation> {
    let mut violations = Vec::new();
    for clause in blob_clauses() {
        violations.extend(clause.check(Arc::new(make().await)).await.err());
    }
    for clause in cache_clauses() {
        violations.extend(clause.check(Arc::new(make().await)).await.err());
    }
    violations
}

/// Everything that the stores which `make` makes do wrong with the logs of closed runs.
pub async fn check_keep<S: KeepStore>(make: impl AsyncFn() -> S) -> Vec<Violation> {
    let mut violations = Vec::new();
    for clause in keep_clauses() {
        violations.extend(clause.check(Arc::new(make().await)).await.err());
    }
    violations
}

/// Everything that the stores which `make` makes do wrong with kept results.
pub async fn check_results<S: ResultStore>(make: impl AsyncFn() -> S) -> Vec<Violation> {
    let mut violations = Vec::new();
    for clause in result_clauses() {
        violations.extend(clause.check(Arc::new(make().await)).await.err());
    }
    violations
}

/// Everything that the stores which `make` makes do wrong with accounts.
pub async fn check_accounts<S: AccountStore>(make: impl AsyncFn() -> S) -> Vec<Violation> {
    let mut violations = check_clauses(identity_clauses(), async || Arc::new(make().await) as _).await;
    violations.extend(check_clauses(credential_clauses(), async || Arc::new(make().await) as _).await);
    violations.extend(check_clauses(audit_clauses(), async || Arc::new(make().await) as _).await);
    violations
}

/// Everything that a store loses or changes of accounts when it is opened again. `open` opens the same store each time;
/// the one before is dropped first.
pub async fn check_durable_accounts<S: AccountStore>(open: impl AsyncFn() -> S) -> Vec<Violation> {
    accounts::durable::check(async || Arc::new(open().await) as _).await.err().into_iter().collect()
}

/// Everything that a store loses or changes when it is opened again. `open` opens the same store each time; the one
/// before is dropped first.
pub async fn check_durable<S: Store>(open: impl AsyncFn() -> S) -> Vec<Violation> {
    durable::check(async || Arc::new(open().await) as Arc<dyn Store>).await.err().into_iter().collect()
}

/// Requires [`check_store`] to find nothing.
///
/// # Panics
///
/// With all violations, when there are some.
pub async fn assert_store<S: Store>(make: impl AsyncFn() -> S) {
    report(&check_store(make).await);
}

/// Requires [`check_blobs`] to find nothing.
///
/// # Panics
///
/// With all violations, when there are some.
pub async fn assert_blobs<S: BlobStore + CacheStore>(make: impl AsyncFn() -> S) {
    report(&check_blobs(make).await);
}

/// Requires [`check_keep`] to find nothing.
///
/// # Panics
///
/// With all violations, when there are some.
pub async fn assert_keep<S: KeepStore>(make: impl AsyncFn() -> S) {
    report(&check_keep(make).await);
}

/// Requires [`check_results`] to find nothing.
///
/// # Panics
///
/// With all violations, when there are some.
pub async fn assert_results<S: ResultStore>(make: impl AsyncFn() -> S) {
    report(&check_results(make).await);
}

/// Requires [`check_accounts`] to find nothing.
///
/// # Panics
///
/// With all violations, when there are some.
pub async fn assert_accounts<S: AccountStore>(make: impl AsyncFn() -> S) {
    report(&check_accounts(make).await);
}

/// Requires [`check_durable_accounts`] to find nothing.
///
/// # Panics
///
/// With all violations, when there are some.
pub async fn assert_durable_accounts<S: AccountStore>(open: impl AsyncFn() -> S) {
    report(&check_durable_accounts(open).await);
}

/// Requires [`check_durable`] to find nothing.
///
/// # Panics
///
/// With all violations, when there are some.
pub async fn assert_durable<S: Store>(open: impl AsyncFn() -> S) {
    report(&check_durable(open).await);
}

fn report(violations: &[Violation]) {
    let lines: Vec<String> = violations.iter().map(|violation| format!("\n  {violation}")).collect();
    assert!(violations.is_empty(), "the store does not conform:{}", lines.concat());
}
