//! What is asked of runs. It is kept with the queue, for an ask to end recalls a dead letter.

use async_trait::async_trait;

use super::super::queue::QueueChange;
use super::super::store::MemoryStore;
use crate::id::RunId;
use crate::store::{Ask, AskStore, AskSubject, StoreError};

#[async_trait]
impl AskStore for MemoryStore {
    async fn ask(&self, run: RunId, ask: Ask) -> Result<bool, StoreError> {
        let mut journaled = self.queue_locked();
        self.kept(run)?;
        if journaled.queue.asks_of(run).any(|known| known.subject() == ask.subject()) {
            return Ok(false);
        }
        let recalled = matches!(ask, Ask::Cancel { .. }) && journaled.queue.check_dead(run).is_ok();
        let recalled = recalled.then_some(QueueChange::Recalled { run });
        journaled.change([QueueChange::Asked { run, ask }].into_iter().chain(recalled).collect())?;
        drop(journaled);
        #[cfg(feature = "engine")]
        self.asked().notify_waiters();
        Ok(true)
    }

    async fn asks(&self, runs: &[RunId], limit: usize) -> Result<Vec<(RunId, Ask)>, StoreError> {
        let journaled = self.queue_locked();
        let asks = journaled.queue.asks().filter(|(run, _)| runs.contains(run));
        Ok(asks.take(limit).map(|(run, ask)| (run, ask.clone())).collect())
    }

    async fn settle(&self, run: RunId, subject: &AskSubject) -> Result<(), StoreError> {
        let mut journaled = self.queue_locked();
        if journaled.queue.asks_of(run).all(|ask| ask.subject() != *subject) {
            return Ok(());
        }
        journaled.change(vec![QueueChange::Settled { run, subject: subject.clone() }])
    }

    #[cfg(feature = "engine")]
    async fn asks_changed(&self) {
        self.asked().notified().await;
    }
}
