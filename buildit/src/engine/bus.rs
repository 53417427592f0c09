//! What a run tells whoever watches it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, watch};

use super::error::RunError;
use super::message::Message;
use super::notices::Trouble;
use crate::cancel::{CancelSignal, Stop};
use crate::fault::{CrashPoint, FaultPlan};
use crate::id::{FencingToken, JobId};
use crate::log::LogObserver;
use crate::plan::Plan;
use crate::run::{Run, RunInfo};
use crate::store::{LogChunk, RunRecord};

/// The live side of a run. It carries no events and no lines, only how far each has come: readers read from the
/// store, so one that stalls holds no memory and misses nothing.
#[derive(Debug)]
pub(super) struct RunBus {
    pub(super) info: RunInfo,
    pub(super) plan: Plan,
    /// The scope of the caches and kept results of its pipeline.
    pub(super) scope: String,
    /// The scope of its own caches, of a run that is not trusted.
    pub(super) apart: Option<String>,
    pub(super) sender: mpsc::UnboundedSender<Message>,
    /// The number of the last event that is stored.
    pub(super) seq: watch::Sender<u64>,
    /// Changes whenever some of the log of any job is stored.
    pub(super) logs: watch::Sender<u64>,
    /// How urgently the run is to end: whoever waits within the driver, which hears no messages then, hears of it here.
    pub(super) stop: CancelSignal,
    /// What keeps the run waiting.
    pub(super) trouble: watch::Sender<Trouble>,
    /// How the driver ended, once it has.
    pub(super) ended: watch::Sender<Option<Result<Arc<Run>, RunError>>>,
    /// The token of the lease as it is now.
    token: AtomicU64,
    faults: Option<Arc<dyn FaultPlan>>,
}

impl RunBus {
    pub(super) fn new(
        record: &RunRecord,
        plan: Plan,
        token: FencingToken,
        seq: u64,
        faults: Option<Arc<dyn FaultPlan>>,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Message>) {
        let (sender, inbox) = mpsc::unbounded_channel();
        let bus = Self {
            info: RunInfo { id: record.run.id, number: record.number },
            scope: record.run.scope(),
            apart: record.run.scope_apart(),
            plan,
            sender,
            seq: watch::Sender::new(seq),
            logs: watch::Sender::new(0),
            stop: CancelSignal::new(),
            trouble: watch::Sender::default(),
            ended: watch::Sender::new(None),
            token: AtomicU64::new(token.0),
            faults,
        };
        (Arc::new(bus), inbox)
    }

    /// Says that the events up to this number are stored. Readers look at the number before they wait for another
    /// one, so nobody is woken when there are none.
    pub(super) fn publish(&self, seq: u64) {
        self.seq.send_if_modified(|stored| {
            *stored = seq;
            // Whoever begins to read now sees the number: it is behind the lock that is held here.
            self.seq.receiver_count() > 0
        });
    }

    /// The run is to end in good order.
    pub(super) fn cancel(&self, reason: String) {
        self.stop.raise(Stop::Gracefully);
        let _ = self.sender.send(Message::Cancel { reason, reply: None });
    }

    /// The run is to end at once.
    pub(super) fn kill(&self, reason: String) {
        self.stop.raise(Stop::Now);
        let _ = self.sender.send(Message::Kill { reason });
    }

    /// This engine is to let go of the run.
    pub(super) fn hand_over(&self) {
        self.stop.raise(Stop::Now);
        let _ = self.sender.send(Message::HandOver);
    }

    pub(super) fn token(&self) -> FencingToken {
        FencingToken(self.token.load(Ordering::Acquire))
    }

    pub(super) fn set_token(&self, token: FencingToken) {
        self.token.store(token.0, Ordering::Release);
    }
}

impl LogObserver for RunBus {
    fn stored(&self, job: &JobId, _: &[LogChunk]) {
        self.logs.send_modify(|count| *count += 1);
        if let Some(faults) = &self.faults {
            faults.reach(CrashPoint::LogStored, Some(job));
        }
    }
}
