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

/// How much time a round of the driver spends on first polls of its jobs, so that other runs get their turn. A round
/// of jobs that end at once takes less.
const BUDGET: Duration = Duration::from_micros(500);

/// A first poll that takes longer computes instead of waiting.
const SLOW: Duration = Duration::from_micros(50);

/// After two slow first polls in a row (one may have been interrupted), so many jobs get a task of their own unasked.
const PENALTY: u32 = 256;

/// Whether the next job is polled here first.
#[derive(Debug, Default)]
pub(super) struct Inline {
    spent: Duration,
    was_slow: bool,
    penalty: u32,
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
            let is_slow = took > SLOW;
            if is_slow && self.was_slow {
                self.penalty = PENALTY;
            }
            self.was_slow = is_slow;
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
