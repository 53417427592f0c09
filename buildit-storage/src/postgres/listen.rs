//! News of the queue.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// The channel on which the queue's writers say that a run may be taken.
const CHANNEL: &str = "buildit_queue";

/// How long after a failure the server is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Listens with a connection of its own, from the first wait on until it is dropped.
#[derive(Debug)]
pub(super) struct News {
    /// Of one connection; it shows its options, and the password with them, to nobody.
    pool: PgPool,
    heard: Arc<Notify>,
    task: OnceLock<AbortHandle>,
}

impl News {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        let pool = PgPoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
        Self { pool: pool.connect_lazy_with(options), heard: Arc::default(), task: OnceLock::new() }
    }

    /// What is notified when a run may have become due.
    pub(super) fn heard(&self) -> &Notify {
        self.task.get_or_init(|| tokio::spawn(listen(self.pool.clone(), Arc::clone(&self.heard))).abort_handle());
        &self.heard
    }

    /// Ends the connection.
    pub(super) fn stop(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl Drop for News {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn listen(pool: PgPool, heard: Arc<Notify>) {
    loop {
        if let Err(error) = hear(&pool, &heard).await {
            tracing::debug!(%error, "no news of the queue for the moment");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn hear(pool: &PgPool, heard: &Notify) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        // The first time and after a lost connection too: something may have been said that nobody heard. The second
        // call is for whoever is about to wait.
        heard.notify_waiters();
        heard.notify_one();
        listener.try_recv().await?;
    }
}
