//! The start of a job's task: at once and here, if it does not wait for anything.

use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;
use tokio_util::sync::ReusableBoxFuture;

use super::attempt::Attempt;
use super::boxed::reuse;
use super::bus::RunBus;
use super::error::RunError;
use super::message::{Ended, Message};
use super::slots::Slot;
use crate::cancel::CancelSignal;
use crate::graph::StageIndex;
use crate::id::JobId;
use crate::job::JobOutcome;

/// A job that is under way. Dropping it lets go of the job, which stops nothing at its backend.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) attempt: u32,
    pub(super) executor: usize,
    pub(super) slot: Slot,
    pub(super) cancel: CancelSignal,
    pub(super) _task: Task,
}

/// A task that is let go of when this is dropped.
#[derive(Debug)]
pub(super) struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How a job's start went.
pub(super) enum Launched {
    /// It ended at once.
    Ended(Ended),
    /// It is under way.
    Running(Task),
}

/// How much time a round of the driver spends on first polls of its jobs, so that other runs get their turn. A round
/// of jobs that end at once takes less.
const BUDGET: Duration = Duration::from_micros(500);

/// A first poll that takes longer computes instead of waiting.
const SLOW: Duration = Duration::from_micros(50);

/// After two slow first polls in a row (one may have been interrupted), so many jobs get a task of their own unasked.
const PENALTY: u32 = 256;

/// After so many quick first polls in a row only every [`SAMPLE`]th is timed: two looks at the clock cost as much as
/// a job that does nothing.
const TRUSTED: u32 = 64;
const SAMPLE: u32 = 8;

/// Whether the next job is polled here first.
#[derive(Debug, Default)]
pub(super) struct Inline {
    spent: Duration,
    /// Quick first polls since the last slow one.
    quick: u32,
    was_slow: bool,
    penalty: u32,
    /// The memory of the last job that ended at once, for the next one.
    spare: Option<ReusableBoxFuture<'static, (JobId, Result<JobOutcome, RunError>)>>,
    /// Its signal, likewise.
    signal: Option<CancelSignal>,
}

impl Inline {
    pub(super) fn new_round(&mut self) {
        self.spent = Duration::ZERO;
    }

    /// Whether the round has spent all the time that it may.
    pub(super) fn is_spent(&self) -> bool {
        self.spent >= BUDGET
    }

    /// A signal for the next job.
    pub(super) fn signal(&mut self) -> CancelSignal {
        self.signal.take().unwrap_or_default()
    }

    /// Takes the signal of a job that ended at once, if nothing has come of it.
    pub(super) fn give_back(&mut self, mut signal: CancelSignal) {
        if signal.is_as_new() {
            self.signal = Some(signal);
        }
    }

    /// Starts the attempt: it ends at once, or a task goes on with it.
    pub(super) fn start(&mut self, attempt: Attempt, stage: StageIndex, bus: &RunBus) -> Launched {
        let mut future = reuse(&mut self.spare, attempt.run());
        if self.penalty > 0 {
            self.penalty -= 1;
        } else if !self.is_spent()
            && let Poll::Ready((job, outcome)) = self.poll(&mut future)
        {
            self.spare = Some(future);
            return Launched::Ended(Ended { stage, job, outcome });
        }
        let sender = bus.sender.clone();
        let task = tokio::spawn(async move {
            let (job, outcome) = future.await;
            let _ = sender.send(Message::Ended(Ended { stage, job, outcome }));
        });
        Launched::Running(Task(task.abort_handle()))
    }

    fn poll<T>(&mut self, future: &mut ReusableBoxFuture<'static, T>) -> Poll<T> {
        let is_timed = self.quick < TRUSTED || self.quick.is_multiple_of(SAMPLE);
        let begun = is_timed.then(Instant::now);
        // The waker does nothing: what is not ready is polled again by its own task at once.
        let polled = future.poll(&mut Context::from_waker(Waker::noop()));
        let Some(begun) = begun else {
            self.quick += 1;
            return polled;
        };
        let took = begun.elapsed();
        // Those that were not timed took as long.
        self.spent += if self.quick < TRUSTED { took } else { took * SAMPLE };
        let is_slow = took > SLOW;
        if is_slow && self.was_slow {
            self.penalty = PENALTY;
        }
        self.was_slow = is_slow;
        self.quick = if is_slow { 0 } else { self.quick.saturating_add(1) };
        polled
    }
}
