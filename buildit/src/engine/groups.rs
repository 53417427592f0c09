//! Concurrency groups: runs of one group go one after another, in the order in which they were created, whichever engine
//! drives them. The store says whose turn it is and who is to end; here is who asks it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Notify;

use super::bus::RunBus;
use super::clock::later;
use super::core::Core;
use super::message::Message;
use super::notices::Waiting;
use crate::id::RunId;
use crate::store::Standing;

/// How often the store is asked when nothing hints at news.
const LOOK: Duration = Duration::from_secs(1);

/// How long after a hint it is asked: where many runs are queued there are hints all the time.
const CALM: Duration = Duration::from_millis(20);

/// The runs of groups that this engine drives.
#[derive(Debug, Default)]
pub(super) struct Groups {
    members: Mutex<Members>,
    /// Told when a run has come or gone.
    moved: Notify,
}

#[derive(Debug, Default)]
struct Members {
    by_run: HashMap<RunId, Member>,
    /// Whether somebody asks the store.
    watched: bool,
}

#[derive(Debug)]
struct Member {
    bus: Arc<RunBus>,
    has_turn: bool,
    is_cancelled: bool,
    /// What people are told while it waits.
    waiting: Option<Waiting>,
}

/// A run's place in its group, left when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    groups: Arc<Groups>,
    run: RunId,
}

impl Groups {
    /// A run of a group is driven here. It is told when its turn has come, which may be at once, and when it is to end.
    pub(super) fn join(core: &Arc<Core>, bus: &Arc<RunBus>) -> Place {
        let (groups, run) = (Arc::clone(&core.groups), bus.info.id);
        let member = Member { bus: Arc::clone(bus), has_turn: false, is_cancelled: false, waiting: None };
        let mut members = groups.lock();
        members.by_run.insert(run, member);
        if !std::mem::replace(&mut members.watched, true) {
            tokio::spawn(watch(Arc::clone(core)));
        }
        drop(members);
        groups.moved.notify_one();
        Place { groups, run }
    }

    /// The runs to ask for; none when there is nobody left, and then nobody asks any more.
    fn runs(&self) -> Vec<RunId> {
        let mut members = self.lock();
        members.watched = !members.by_run.is_empty();
        members.by_run.keys().copied().collect()
    }

    fn tell(&self, standings: Vec<Standing>) {
        let mut members = self.lock();
        for Standing { run, waits_for, cancel } in standings {
            let Some(member) = members.by_run.get_mut(&run) else { continue };
            // Before its turn, so that a run that only waits does not begin in order to be cancelled.
            if let Some(reason) = cancel
                && !std::mem::replace(&mut member.is_cancelled, true)
            {
                let _ = member.bus.sender.send(Message::Cancel { reason, reply: None });
            }
            match waits_for {
                // That one may have been broken off, and then nothing happens until somebody takes it up.
                Some(other) if member.waiting.is_none() => {
                    member.waiting = Some(Waiting::tell(&member.bus, || {
                        format!(
                            "waits for run {other} of the same concurrency group; one that was broken off has to be resumed"
                        )
                    }));
                }
                Some(_) => {}
                None => {
                    member.waiting = None;
                    if !std::mem::replace(&mut member.has_turn, true) {
                        let _ = member.bus.sender.send(Message::Turn);
                    }
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.groups.lock().by_run.remove(&self.run);
        self.groups.moved.notify_one();
    }
}

/// Asks the store how the runs of groups stand, as long as there are any.
async fn watch(core: Arc<Core>) {
    loop {
        let runs = core.groups.runs();
        if runs.is_empty() {
            return;
        }
        let mut changed = core.store.queue_changed().fuse();
        // Listens before the look, so that nothing that comes after it is missed.
        let _ = futures_util::poll!(&mut changed);
        match core.store.standings(&runs).await {
            Ok(standings) => core.groups.tell(standings),
            Err(error) => tracing::warn!(%error, "runs of concurrency groups wait for the store"),
        }
        let next_look = core.clock.sleep_until(later(core.clock.now(), LOOK));
        let is_hint = tokio::select! {
            () = core.groups.moved.notified() => false,
            () = &mut changed => true,
            () = next_look => false,
        };
        if is_hint {
            core.clock.sleep_until(later(core.clock.now(), CALM)).await;
        }
    }
}
