//! News of the queue, and of what is asked of runs.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::records;

/// The channel on which writers say what is new.
pub(super) fn channel(news: records::News) -> &'static str {
    match news {
        records::News::Queue => "buildit_queue",
        records::News::Asks => "buildit_asks",
    }
}

/// How long after a failure the server is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Listens with a connection of its own, from the first wait on until it is dropped.
#[derive(Debug)]
pub(super) struct News {
    /// Of one connection; it shows its options, and the password with them, to nobody.
    pool: PgPool,
    heard: Arc<Heard>,
    task: OnceLock<AbortHandle>,
}

/// Who is told.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// A run may have become due.
    queue: Notify,
    /// Something may be asked of a run.
    asks: Notify,
}

impl Heard {
    fn of(&self, news: records::News) -> &Notify {
        match news {
            records::News::Queue => &self.queue,
            records::News::Asks => &self.asks,
        }
    }
}

impl News {
    pub(super) fn new(options: PgConnectOptions) -> Self {
        let pool = PgPoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
        Self { pool: pool.connect_lazy_with(options), heard: Arc::default(), task: OnceLock::new() }
    }

    /// What is notified when there may be such news.
    pub(super) fn heard(&self, news: records::News) -> &Notify {
        self.task.get_or_init(|| tokio::spawn(listen(self.pool.clone(), Arc::clone(&self.heard))).abort_handle());
        self.heard.of(news)
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

async fn listen(pool: PgPool, heard: Arc<Heard>) {
    loop {
        if let Err(error) = hear(&pool, &heard).await {
            tracing::debug!(%error, "no news of the queue for the moment");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn hear(pool: &PgPool, heard: &Heard) -> Result<(), sqlx::Error> {
    let all = [records::News::Queue, records::News::Asks];
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen_all(all.map(channel)).await?;
    let mut said = None;
    loop {
        // The first time and after a lost connection it is all of it: something may have been said that nobody heard.
        for news in all.into_iter().filter(|news| said.as_deref().is_none_or(|said| said == channel(*news))) {
            // The second call is for whoever is about to wait.
            heard.of(news).notify_waiters();
            heard.of(news).notify_one();
        }
        said = listener.try_recv().await?.map(|said| said.channel().to_owned());
    }
}
