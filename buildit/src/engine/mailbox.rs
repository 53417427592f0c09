//! What people ask of runs: the store keeps it, and the engine that drives the run looks for it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;

use super::clock::later;
use super::core::Core;
use super::message::Message;
use crate::cancel::Stop;
use crate::id::RunId;
use crate::store::{Ask, AskSubject};

/// How often the store is asked when nothing hints at news.
const LOOK: Duration = Duration::from_secs(2);

/// How many asks are read together: far more than people make between two looks.
const AT_ONCE: usize = 256;

/// What is asked of the runs that an engine drives.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    /// What drivers were told and have not made durable yet.
    told: Mutex<HashSet<(RunId, AskSubject)>>,
    /// Who looks, as long as runs are driven.
    watch: Mutex<Option<AbortHandle>>,
    /// Told to look at once.
    look: Notify,
}

impl Mailbox {
    /// A run is driven here: somebody looks from now on.
    pub(super) fn watch(core: &Arc<Core>) {
        let mut watch = lock(&core.mailbox.watch);
        if watch.is_none() {
            *watch = Some(tokio::spawn(look(Arc::clone(core))).abort_handle());
        }
    }

    /// A run is driven here no more: nobody looks when it was the last one.
    pub(super) fn rest(core: &Core) {
        let mut watch = lock(&core.mailbox.watch);
        if core.runs().is_empty()
            && let Some(watch) = watch.take()
        {
            watch.abort();
        }
    }

    /// Looks at once.
    pub(super) fn look(&self) {
        self.look.notify_one();
    }
}

/// Looks for what is asked of the runs that are driven here, as long as there are any.
async fn look(core: Arc<Core>) {
    let mut changed = Box::pin(core.store.asks_changed()).fuse();
    loop {
        // Listens before the look, so that nothing that comes after it is missed.
        let _ = futures_util::poll!(&mut changed);
        let next_look = core.clock.sleep_until(later(core.clock.now(), LOOK));
        tokio::select! {
            () = core.mailbox.look.notified() => {}
            () = &mut changed => {}
            () = next_look => {}
        }
        changed = Box::pin(core.store.asks_changed()).fuse();
        let _ = futures_util::poll!(&mut changed);
        let runs: Vec<RunId> = core.runs().keys().copied().collect();
        match core.store.asks(&runs, AT_ONCE).await {
            Ok(asks) => asks.into_iter().for_each(|(run, ask)| tell(&core, run, ask)),
            Err(error) => tracing::warn!(%error, "what is asked of runs waits for the store"),
        }
    }
}

/// Tells the driver of a run, once, and forgets the ask when what follows is durable. A driver that ends without a word
/// leaves it to the next one.
fn tell(core: &Arc<Core>, run: RunId, ask: Ask) {
    let Some(bus) = core.runs().get(&run).cloned() else { return };
    let told = (run, ask.subject());
    if !lock(&core.mailbox.told).insert(told.clone()) {
        return;
    }
    let (reply, answer) = oneshot::channel();
    let sent = match ask {
        Ask::Cancel { reason } => {
            bus.stop.raise(Stop::Gracefully);
            bus.sender.send(Message::Cancel { reason, reply: Some(reply) })
        }
        Ask::Answer { stage, approval } => match bus.plan.graph().index(&stage) {
            Some(stage) => bus.sender.send(Message::Approve { stage, approval, reply }),
            None => {
                tracing::warn!(%run, %stage, "an answer to no stage of the run");
                drop(reply.send(Ok(())));
                Ok(())
            }
        },
    };
    let core = Arc::clone(core);
    tokio::spawn(async move {
        let heeded = sent.is_ok() && answer.await.is_ok();
        if heeded && let Err(error) = core.store.settle(run, &told.1).await {
            tracing::warn!(%run, %error, "what was asked of a run is asked again");
        }
        lock(&core.mailbox.told).remove(&told);
    });
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
