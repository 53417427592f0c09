//! The start of a job's task: at once and here, if it does not wait for anything.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;

use super::attempt::Attempt;
use super::bus::RunBus;
use super::message::Message;
use super::slots::Slot;
use crate::cancel::CancelSignal;
use crate::graph::StageIndex;
use crate::job::JobOutcome;

/// A job that is under way. Dropping it lets go of the job, which stops nothing at its backend.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) executor: usize,
    pub(super) cancel: CancelSignal,
    pub(super) task: Option<AbortHandle>,
    pub(super) _slot: Slot,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// How much time a round of the driver spends on first polls of its jobs. A job that ends in its first poll costs no
/// task; one that computes instead of waiting must not hold the others up.
const BUDGET: Duration = Duration::from_micros(100);

/// After a first poll that took longer than the whole budget, so many jobs get a task of their own unasked.
const PENALTY: u32 = 256;

/// Whether the next job is polled here first.
#[derive(Debug)]
pub(super) struct Inline {
    spent: Duration,
    penalty: u32,
}

impl Default for Inline {
    fn default() -> Self {
        Self { spent: Duration::ZERO, penalty: 0 }
    }
}

impl Inline {
    pub(super) fn new_round(&mut self) {
        self.spent = Duration::ZERO;
    }

    /// Starts the attempt: its outcome if it ended at once, else a task goes on with it.
    pub(super) fn start(
        &mut self,
        attempt: Attempt,
        bus: &RunBus,
        stage: StageIndex,
        number: u32,
        running: &mut Running,
    ) -> Option<Option<JobOutcome>> {
        let mut future: Pin<Box<dyn Future<Output = Option<JobOutcome>> + Send>> = Box::pin(attempt.run());
        if self.penalty > 0 {
            self.penalty -= 1;
        } else if self.spent < BUDGET {
            let begun = Instant::now();
            // The waker does nothing: what is not ready is polled again by its own task at once.
            let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            let took = begun.elapsed();
            self.spent += took;
            if took > BUDGET {
                self.penalty = PENALTY;
            }
            if let Poll::Ready(outcome) = polled {
                return Some(outcome);
            }
        }
        let sender = bus.sender.clone();
        let task = tokio::spawn(async move {
            let outcome = future.await;
            let _ = sender.send(Message::Ended { stage, attempt: number, outcome });
        });
        running.task = Some(task.abort_handle());
        None
    }
}
