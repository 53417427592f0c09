//! A server with everything that it stands on.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use axum::serve::ListenerExt;
use buildit::artifact::BlobStore;
use buildit::durable::Durable;
use buildit::engine::{BuildError, Engine, EngineBuilder, WorkOptions};
use buildit::event::RunStatus;
use buildit::store::{RunFilter, Store, StoreError};
use buildit_executors::local::LocalBackend;
use buildit_storage::ObjectBlobs;
use buildit_storage::secrets::SealedSecrets;
use buildit_storage::sqlite::SqliteStore;
use jiff::{SignedDuration, Timestamp};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::upkeep::{self, Tidied, TidyError};
use crate::app::{deliveries, schedules, workers};
use crate::backup::is_unfinished;
use crate::environments::OfTenants;
use crate::health;
use crate::meters::Meters;
use crate::mirrors;
use crate::notify::{self, Outbox};
use crate::router::{LEAVE, router};
use crate::secrets::{OfRuns, SecretKeyError, key_of_environment, keyring};
use crate::settings::Settings;
use crate::state::{ServerState, ServerStore, StateError};
use crate::statuses::{self, Reporter};
use crate::traces;
use crate::watched::Watched;

/// What is in the data folder: blobs, and the key of the secrets.
pub(crate) const BLOBS: &str = "blobs";
pub(crate) const KEY: &str = "secret.key";

/// How many runs are looked at together.
const PAGE: usize = 100;

/// How long people see that a worker was lost.
const LOST: SignedDuration = SignedDuration::from_hours(24);

/// How long it is known what people and forges were told.
const TOLD: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How often what has ended is swept away.
const SWEEP: Duration = Duration::from_secs(60);

/// A server that is open: its stores and its engine.
#[derive(Debug)]
pub struct Server {
    state: ServerState,
}

/// A server cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The data folder cannot be used.
    #[error("the data folder cannot be used")]
    Data(#[source] io::Error),
    /// A backup is being restored to the data folder, or was until that was broken off.
    #[error(
        "{0} holds a part of a backup: its restore is under way, or was broken off; then empty it and restore again"
    )]
    Unfinished(PathBuf),
    /// The store has secrets, and what they were sealed with is not there.
    #[error(
        "the secrets in the store were sealed with a key that is not at {0}: put it back, or set BUILDIT_SECRET_KEY; where it \
         is lost, a new one there opens none of them"
    )]
    KeyGone(PathBuf),
    /// The store cannot be opened.
    #[error("the store cannot be opened")]
    Store(#[from] StoreError),
    /// The blob store cannot be opened.
    #[error("the blob store cannot be opened")]
    Blobs(#[source] buildit::artifact::BlobError),
    /// The URL names no store that this server was built with.
    #[error("`{0}` is no store of this server: sqlite:PATH or, where it was built with it, postgres://…")]
    UnknownStore(String),
    /// The engine's parts do not fit.
    #[error("the engine cannot be made")]
    Engine(#[from] BuildError),
    /// There is no key to seal secrets with.
    #[error("secrets cannot be sealed")]
    Keys(#[from] SecretKeyError),
    /// Its parts cannot be made.
    #[error("the server cannot be made")]
    State(#[from] StateError),
}

impl OpenError {
    /// No store has this URL.
    pub(crate) fn unknown(url: &str) -> Self {
        // Without what stands behind the scheme, which may be a password.
        Self::UnknownStore(url.split(':').next().unwrap_or_default().to_owned())
    }
}

impl Server {
    /// Brings the schema of the store up to date and does nothing else: for a step before servers of a new version start.
    /// They do it themselves too, if nobody did. An empty store gets its schema.
    ///
    /// # Errors
    ///
    /// [`OpenError`] when the store cannot be opened, or is of a newer version.
    pub async fn migrate(settings: &Settings) -> Result<(), OpenError> {
        let data = data_folder(settings)?;
        Database::open(settings, &data).await.map(drop)
    }

    /// Opens the stores and makes the engine.
    ///
    /// # Errors
    ///
    /// [`OpenError`] when something of it cannot be opened; nothing is served then.
    pub async fn open(settings: Settings) -> Result<Self, OpenError> {
        let data = data_folder(&settings)?;
        let kept = Arc::new(ObjectBlobs::open(&data.join(BLOBS)).map_err(OpenError::Blobs)?);
        let blobs: Arc<dyn BlobStore> = Arc::clone(&kept) as _;
        let key = data.join(KEY);
        let keys = || keyring(key_of_environment(), &key);
        let builder = Engine::builder()
            .executor(Durable::new(Arc::new(LocalBackend::new(data.join("local")))))
            .max_jobs(settings.jobs)
            .log_limit(settings.log_mebibytes.saturating_mul(1024 * 1024))
            .blobs(Arc::clone(&blobs));
        let (builder, has_docker) = with_docker(builder, &settings).await;
        let (builder, store): (_, Arc<dyn ServerStore>) = match Database::open(&settings, &data).await? {
            Database::Sqlite(store) => {
                let store = Arc::new(store.with_blobs(Arc::clone(&blobs)));
                (builder.caches(store.clone()).results(store.clone()), store)
            }
            #[cfg(feature = "postgres")]
            Database::Postgres(store) => {
                let store = Arc::new(store.with_blobs(Arc::clone(&blobs)));
                (builder.caches(store.clone()).results(store.clone()), store)
            }
        };
        if !key.exists() && key_of_environment().is_none() && !store.secrets(None, 1).await?.is_empty() {
            return Err(OpenError::KeyGone(key));
        }
        let meters = Meters::new();
        let builder = builder.store(store_of_engine(Arc::clone(&store), &settings, &meters));
        let builder = builder.secrets(OfRuns(SealedSecrets::new(Arc::clone(&store), keys()?)));
        let builder = builder.environments(OfTenants(Arc::clone(&store)));
        let state = ServerState::new(settings, builder.build()?, store, kept, keys()?, has_docker, meters)?;
        Ok(Self { state })
    }

    /// What it stands on, for [`router`](crate::router()).
    #[must_use]
    pub fn state(&self) -> &ServerState {
        &self.state
    }

    /// Its routes below the path that [`Settings::external_url`](crate::Settings::external_url) says, if it says one.
    pub fn routes(&self) -> Router {
        mounted(&self.state)
    }

    /// Serves at this listener and drives runs, until `stop` is over. Then requests under way are answered, and the runs are
    /// left, with their jobs, to whoever takes them up.
    ///
    /// # Errors
    ///
    /// [`io::Error`] when the listener fails.
    pub async fn serve(
        &self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let working = tokio::spawn(work(self.state.clone()));
        let app = self.routes().into_make_service_with_connect_info::<SocketAddr>();
        let stopping = self.state.stopping().clone();
        let told = self.state.clone();
        // Small frames of live pages are not to wait for the acknowledgement of the ones before.
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        let serving = axum::serve(listener, app).with_graceful_shutdown(async move {
            stop.await;
            told.leaving().cancel();
            // Whoever sends requests here sees that it is not ready, and sends them elsewhere.
            tokio::time::sleep(Duration::from_secs(told.settings().leave_seconds)).await;
            told.stopping().cancel();
        });
        // A reader that takes nothing would keep it for ever.
        let served = tokio::select! {
            served = async { serving.await } => served,
            () = async { stopping.cancelled().await; tokio::time::sleep(LEAVE).await } => Ok(()),
        };
        self.shutdown().await;
        // It ends with the engine.
        drop(working.await);
        served
    }

    /// Drives runs, and sweeps away what has ended, until [`shutdown`](Self::shutdown): for whoever serves the router
    /// themselves.
    pub async fn work(&self) {
        work(self.state.clone()).await;
    }

    /// Forgets what the tenants' policies do not keep, moves the logs of ended runs to the blobs, adds them to the index, and
    /// removes the blobs that nothing refers to then. [`work`](Self::work) does so now and then; of several servers on one
    /// store, one at a time.
    ///
    /// # Errors
    ///
    /// [`TidyError`] when a store fails; what was done by then is done, and the next call goes on.
    pub async fn tidy(&self) -> Result<Tidied, TidyError> {
        upkeep::tidy(&self.state, Timestamp::now()).await
    }

    /// Lets go of all runs without touching their jobs: another server, or this one when it starts again, goes on with them.
    pub async fn shutdown(&self) {
        self.state.engine().shutdown().await;
    }
}

/// The store as the engine of a server has it: what it does there is measured, and people and forges are told what they want
/// to hear of.
#[must_use]
pub fn store_of_engine(store: Arc<dyn ServerStore>, settings: &Settings, meters: &Meters) -> Arc<dyn Store> {
    let outbox = Outbox::new(Arc::clone(&store), settings);
    let reporter = Reporter::new(Arc::clone(&store), settings.url());
    Arc::new(Watched::new(store, meters.clone(), outbox, reporter))
}

/// The database that the settings name, open and with the schema of this version.
enum Database {
    Sqlite(SqliteStore),
    #[cfg(feature = "postgres")]
    Postgres(buildit_storage::postgres::PostgresStore),
}

impl Database {
    async fn open(settings: &Settings, data: &Path) -> Result<Self, OpenError> {
        let url = store_url(settings, data);
        match url.split_once(':') {
            Some(("sqlite", path)) => Ok(Self::Sqlite(SqliteStore::open(Path::new(path)).await?)),
            #[cfg(feature = "postgres")]
            Some(("postgres" | "postgresql", _)) => {
                Ok(Self::Postgres(buildit_storage::postgres::PostgresStore::connect(&url).await?))
            }
            _ => Err(OpenError::unknown(&url)),
        }
    }
}

/// Where the database is.
pub(crate) fn store_url(settings: &Settings, data: &Path) -> String {
    settings.store.clone().unwrap_or_else(|| format!("sqlite:{}", data.join("buildit.db").display()))
}

/// The data folder, made if it is not there, by its whole name: jobs run elsewhere, and names of files in their environments
/// must mean the same there.
pub(crate) fn data_folder(settings: &Settings) -> Result<PathBuf, OpenError> {
    std::fs::create_dir_all(&settings.data).map_err(OpenError::Data)?;
    let data = settings.data.canonicalize().map_err(OpenError::Data)?;
    if is_unfinished(&data) {
        return Err(OpenError::Unfinished(data));
    }
    Ok(data)
}

/// The router below the path that the external URL says, if it says one.
fn mounted(state: &ServerState) -> Router {
    match state.base() {
        "" => router(state.clone()),
        base => Router::new()
            .nest(base, router(state.clone()))
            .route(&format!("{base}/"), get(Redirect::to(base)))
            .merge(health::router().with_state(state.clone())),
    }
}

async fn work(state: ServerState) {
    if let Err(error) = mirrors::sweep(&state).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "copies of repositories that are gone stay");
    }
    let sweeping = tokio::spawn(sweep(state.clone()));
    let scheduling = tokio::spawn(schedules::work(state.clone()));
    let delivering = tokio::spawn(deliveries::work(state.clone()));
    let noting = tokio::spawn(workers::note(state.clone()));
    let stop = CancellationToken::new();
    let telling = tokio::spawn(notify::work(state.clone(), stop.clone()));
    let reporting = tokio::spawn(statuses::work(state.clone(), stop.clone()));
    let exporting = tokio::spawn(traces::work(state.clone(), stop.clone()));
    let tidying = tokio::spawn(upkeep::work(state.clone()));
    drive(state.clone()).await;
    stop.cancel();
    sweeping.abort();
    scheduling.abort();
    delivering.abort();
    noting.abort();
    tidying.abort();
    // What is being sent is sent: another server would send it again.
    drop(tokio::join!(telling, reporting, exporting));
    workers::leave(&state).await;
}

/// Takes runs from the queue, those first that an earlier server left, until the engine shuts down.
async fn drive(state: ServerState) {
    let runs = state.settings().runs;
    if runs > 0
        && let Err(error) = resume(&state).await
    {
        tracing::error!(error = &error as &dyn std::error::Error, "open runs cannot be looked for");
    }
    state.engine().work(WorkOptions { runs, ..WorkOptions::default() }).await;
}

/// Takes up the runs that were under way and that nobody drives now; those that wait in the queue go on waiting.
async fn resume(state: &ServerState) -> Result<(), StoreError> {
    for status in [RunStatus::Running, RunStatus::Waiting] {
        let mut filter = RunFilter { status: Some(status), ..RunFilter::default() };
        loop {
            let page = state.store().runs(&filter, PAGE).await?;
            let Some(last) = page.last() else { break };
            filter.before = Some(last.id);
            for run in page {
                if let Err(error) = state.engine().resume_run(run.id).await {
                    tracing::debug!(%error, run = %run.id, "a run is left to others");
                }
            }
        }
    }
    Ok(())
}

/// Removes logins that have ended, and forgets who has not asked for a while.
async fn sweep(state: ServerState) {
    loop {
        tokio::time::sleep(SWEEP).await;
        state.limits().sweep();
        state.meters().sum_up();
        if let Err(error) = state.credentials().sweep_credentials(Timestamp::now()).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "what has ended cannot be swept away");
        }
        if let Err(error) = sweep_queue(&state).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "what has ended cannot be swept away");
        }
    }
}

/// Forgets requests that will not come again, what people and forges were told long ago, and workers that were lost then.
async fn sweep_queue(state: &ServerState) -> Result<(), StoreError> {
    let now = Timestamp::now();
    state.store().sweep_requests(now).await?;
    state.store().sweep_notifications(now - TOLD).await?;
    state.store().sweep_statuses(now - TOLD).await?;
    state.store().sweep_deliveries(now - deliveries::KEPT).await?;
    state.store().sweep_workers(now - LOST).await.map(drop)
}

/// The engine with Docker, where there is one.
#[cfg(feature = "docker")]
async fn with_docker(builder: EngineBuilder, settings: &Settings) -> (EngineBuilder, bool) {
    use buildit_executors::docker::{DockerBackend, DockerOptions};
    if !settings.docker {
        return (builder, false);
    }
    match DockerBackend::connect(DockerOptions::new()).await {
        Ok(docker) => (builder.executor(Durable::new(Arc::new(docker))), true),
        Err(error) => {
            tracing::info!(%error, "jobs run without Docker");
            (builder, false)
        }
    }
}

#[cfg(not(feature = "docker"))]
async fn with_docker(builder: EngineBuilder, _: &Settings) -> (EngineBuilder, bool) {
    (builder, false)
}
