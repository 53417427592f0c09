//! What the server stands on.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use buildit::account::Tenant;
use buildit::artifact::{BlobStore, EvictCaches, RemoveBlobs};
use buildit::engine::Engine;
use buildit::id::{OrganizationId, TenantId};
use buildit::store::{
    AuditStore, ChannelStore, CredentialStore, DeliveryStore, EnvironmentStore, ExportStore, IdentityStore, LogKeep,
    NotificationStore, PipelineStore, PolicyStore, QueueControl, ReferenceStore, RepositoryStore, RequestStore,
    ScheduleStore, SecretStore, StatusStore, Store, StoreError,
};
use buildit_storage::secrets::{Keyring, SealedSecrets};
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::access::{Limits, Passwords, SetupToken, is_loopback_name};
use crate::forge;
use crate::live::Fanout;
use crate::mail::{Mail, MailError};
use crate::meters::Meters;
use crate::mirrors::Mirrors;
use crate::notify::{Courier, Guard, Outbox};
#[cfg(feature = "oidc")]
use crate::oidc::Providers;
use crate::providers::{self, ProviderError};
use crate::reports::ReportCache;
use crate::secrets::Secrets;
use crate::settings::Settings;
use crate::statuses::Reporter;
use crate::traces::{Collector, CollectorError};

/// Everything that a server keeps in one place.
pub trait ServerStore:
    Store
    + QueueControl
    + RequestStore
    + ScheduleStore
    + PipelineStore
    + IdentityStore
    + CredentialStore
    + AuditStore
    + SecretStore
    + EnvironmentStore
    + ChannelStore
    + NotificationStore
    + ExportStore
    + PolicyStore
    + LogKeep
    + ReferenceStore
    + EvictCaches
    + RepositoryStore
    + DeliveryStore
    + StatusStore
{
}

impl<T> ServerStore for T where
    T: Store
        + QueueControl
        + RequestStore
        + ScheduleStore
        + PipelineStore
        + IdentityStore
        + CredentialStore
        + AuditStore
        + SecretStore
        + EnvironmentStore
        + ChannelStore
        + NotificationStore
        + ExportStore
        + PolicyStore
        + LogKeep
        + ReferenceStore
        + EvictCaches
        + RepositoryStore
        + DeliveryStore
        + StatusStore
{
}

/// The server's parts cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// Mail cannot be sent with these settings.
    #[error("mail cannot be sent")]
    Mail(#[from] MailError),
    /// Nobody can be asked over the network.
    #[error("nobody can be asked over the network")]
    Courier(#[source] reqwest::Error),
    /// Traces cannot be sent with these settings.
    #[error("traces cannot be sent")]
    Traces(#[from] CollectorError),
    /// People cannot sign in with the providers of these settings.
    #[error("nobody can sign in as the settings say")]
    Providers(#[from] ProviderError),
    /// The system has no randomness.
    #[error("the system has no randomness")]
    Randomness(#[from] getrandom::Error),
}

/// The server's parts. Clones are the same server.
#[derive(Clone, Debug)]
pub struct ServerState(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    base: String,
    engine: Engine,
    store: Arc<dyn ServerStore>,
    blobs: Arc<dyn BlobStore>,
    /// The same ones.
    removable_blobs: Arc<dyn RemoveBlobs>,
    secrets: Secrets,
    reports: ReportCache,
    mirrors: Mirrors,
    has_docker: bool,
    mail: Option<Mail>,
    meters: Meters,
    courier: Courier,
    #[cfg(feature = "oidc")]
    providers: Providers,
    outbox: Outbox,
    collector: Option<Collector>,
    forges: forge::Client,
    reporter: Reporter,
    limits: Limits,
    fanout: Fanout,
    passwords: Passwords,
    setup: SetupToken,
    /// Told when the server is about to stop, and when it does.
    leaving: CancellationToken,
    stopping: CancellationToken,
    /// Told when keys or logins have ended, or somebody was taken out.
    ended: Notify,
    since: Timestamp,
    /// Whether there is known to be one: there is from then on.
    has_owner: AtomicBool,
}

impl ServerState {
    /// A server whose runs this engine drives, on the store that the engine has, by way of
    /// [`store_of_engine`](crate::store_of_engine) with the same meters. The keys seal the secrets that
    /// it keeps; whether the engine has an executor `docker` is said, because jobs of other tenants than the first go there.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the settings of mail cannot be meant, or the system has no randomness.
    pub fn new(
        settings: Settings,
        engine: Engine,
        store: Arc<dyn ServerStore>,
        blobs: Arc<dyn RemoveBlobs>,
        keys: Keyring,
        has_docker: bool,
        meters: Meters,
    ) -> Result<Self, StateError> {
        providers::check(&settings.oidc)?;
        Ok(Self(Arc::new(Inner {
            #[cfg(feature = "oidc")]
            providers: Providers::new(&settings)?,
            mail: Mail::of(&settings)?,
            meters,
            courier: Courier::new(Guard { allows_private: settings.private_targets }).map_err(StateError::Courier)?,
            outbox: Outbox::new(Arc::clone(&store), &settings),
            collector: Collector::of(&settings)?,
            // Whoever may read repositories of this machine may ask for them too.
            forges: forge::Client::new(Guard {
                allows_private: settings.private_targets || settings.local_repositories,
            })
            .map_err(StateError::Courier)?,
            reporter: Reporter::new(Arc::clone(&store), settings.url()),
            limits: Limits::new(settings.requests_per_second),
            fanout: Fanout::default(),
            base: settings.base(),
            mirrors: Mirrors::new(&settings),
            settings,
            engine,
            reports: ReportCache::new(),
            secrets: SealedSecrets::new(Arc::clone(&store), keys),
            has_docker,
            store,
            blobs: Arc::clone(&blobs) as _,
            removable_blobs: blobs,
            passwords: Passwords::new(),
            setup: SetupToken::new()?,
            leaving: CancellationToken::new(),
            stopping: CancellationToken::new(),
            ended: Notify::new(),
            since: Timestamp::now(),
            has_owner: AtomicBool::new(false),
        })))
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The path that all of it is mounted below.
    pub(crate) fn base(&self) -> &str {
        &self.0.base
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    pub(crate) fn store(&self) -> &Arc<dyn ServerStore> {
        &self.0.store
    }

    pub(crate) fn identity(&self) -> &dyn IdentityStore {
        &*self.0.store
    }

    pub(crate) fn credentials(&self) -> &dyn CredentialStore {
        &*self.0.store
    }

    pub(crate) fn blobs(&self) -> &Arc<dyn BlobStore> {
        &self.0.blobs
    }

    pub(crate) fn removable_blobs(&self) -> &Arc<dyn RemoveBlobs> {
        &self.0.removable_blobs
    }

    pub(crate) fn reports(&self) -> &ReportCache {
        &self.0.reports
    }

    /// Whether the engine has the executor `docker`.
    pub(crate) fn has_docker(&self) -> bool {
        self.0.has_docker
    }

    pub(crate) fn secrets(&self) -> &Secrets {
        &self.0.secrets
    }

    /// How mail is sent, where it is.
    pub(crate) fn mail(&self) -> Option<&Mail> {
        self.0.mail.as_ref()
    }

    /// How channels are told.
    pub(crate) fn courier(&self) -> &Courier {
        &self.0.courier
    }

    /// With whom people may sign in.
    #[cfg(feature = "oidc")]
    pub(crate) fn providers(&self) -> &Providers {
        &self.0.providers
    }

    /// What channels are to be told.
    pub(crate) fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    /// How forges are asked.
    pub(crate) fn forges(&self) -> &forge::Client {
        &self.0.forges
    }

    /// What forges are to say of commits.
    pub(crate) fn reporter(&self) -> &Reporter {
        &self.0.reporter
    }

    /// Whom runs are told to as traces, if there is one.
    pub(crate) fn collector(&self) -> Option<&Collector> {
        self.0.collector.as_ref()
    }

    /// What is counted and measured.
    pub(crate) fn meters(&self) -> &Meters {
        &self.0.meters
    }

    /// The copies of repositories.
    pub(crate) fn mirrors(&self) -> &Mirrors {
        &self.0.mirrors
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// The logs that are being watched.
    pub(crate) fn fanout(&self) -> &Fanout {
        &self.0.fanout
    }

    pub(crate) fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    /// What somebody who is not at this machine needs to become the owner.
    pub(crate) fn setup(&self) -> &SetupToken {
        &self.0.setup
    }

    /// What tells whoever sends requests here that the server is about to stop: it is not ready from then on.
    pub(crate) fn leaving(&self) -> &CancellationToken {
        &self.0.leaving
    }

    /// What tells that keys or logins have ended, or somebody was taken out: who listens may not any more.
    pub(crate) fn ended(&self) -> &Notify {
        &self.0.ended
    }

    /// Since when it is there.
    pub(crate) fn since(&self) -> Timestamp {
        self.0.since
    }

    /// What tells live readers that the server stops: they come again, here or elsewhere, and miss nothing.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.0.stopping
    }

    /// The address at which the owner is made, with the token; `None` when there is one.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    pub async fn setup_url(&self) -> Result<Option<String>, StoreError> {
        let url = || format!("{}/setup?token={}", self.settings().url(), self.setup().expose());
        Ok((!self.has_owner().await?).then(url))
    }

    pub(crate) async fn has_owner(&self) -> Result<bool, StoreError> {
        if !self.0.has_owner.load(Ordering::Relaxed) && self.identity().has_users().await? {
            self.0.has_owner.store(true, Ordering::Relaxed);
        }
        Ok(self.0.has_owner.load(Ordering::Relaxed))
    }

    /// Whether the server is for this machine alone, as far as it is told: only then is somebody at the machine the
    /// owner-to-be without a token. A proxy in front of it may pass requests on as if they were made here.
    pub(crate) fn is_for_here(&self) -> bool {
        let url = self.settings().external_url.as_deref();
        let host =
            url.map(|url| url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next().unwrap_or_default());
        self.settings().listen.ip().is_loopback() && host.is_none_or(is_loopback_name)
    }

    /// The tenant of those who have none: of the time before there is an owner, who gets it.
    pub(crate) fn default_tenant(&self) -> TenantId {
        Uuid::nil().into()
    }

    /// What the owner-to-be acts in.
    pub(crate) fn founders_tenant(&self) -> Tenant {
        let (id, organization): (TenantId, OrganizationId) = (self.default_tenant(), Uuid::nil().into());
        Tenant { id, organization, name: "default".to_owned(), created_at: Timestamp::UNIX_EPOCH }
    }
}

/// The address that a request came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

impl FromRequestParts<ServerState> for Peer {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &ServerState) -> Result<Self, Self::Rejection> {
        // A program that mounts the router without telling the peers gets nobody who is trusted for it.
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map_or(unknown, |ConnectInfo(peer)| *peer);
        if !state.settings().trusted_proxies.contains(&peer.ip().to_canonical()) {
            return Ok(Self(peer));
        }
        let passed_on = parts.headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let addresses: Vec<&str> = passed_on.flat_map(|value| value.split(',')).map(str::trim).collect();
        let client = client(&addresses, &state.settings().trusted_proxies);
        Ok(Self(client.map_or(peer, |address| SocketAddr::new(address, 0))))
    }
}

/// The last address in `X-Forwarded-For` that is not one of our own proxies; whatever is before it, anybody may have
/// written.
fn client(addresses: &[&str], proxies: &[IpAddr]) -> Option<IpAddr> {
    let known = addresses.iter().rev().map_while(|address| address.parse::<IpAddr>().ok());
    let mut last = None;
    for address in known {
        last = Some(address);
        if !proxies.contains(&address.to_canonical()) {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_whom_our_own_proxies_name() {
        let proxies: Vec<IpAddr> = ["10.0.0.1", "10.0.0.2"].map(|address| address.parse().unwrap()).into();
        let found = |addresses: &[&str]| client(addresses, &proxies).map(|address| address.to_string());
        assert_eq!(found(&["192.0.2.7"]).as_deref(), Some("192.0.2.7"));
        assert_eq!(found(&["127.0.0.1", "192.0.2.7", "10.0.0.2"]).as_deref(), Some("192.0.2.7"));
        assert_eq!(found(&["127.0.0.1", "nonsense", "10.0.0.2"]).as_deref(), Some("10.0.0.2"));
        assert_eq!(found(&[]), None);
    }
}
