//! How many jobs may run at once: of an engine, and of each executor.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::UnboundedSender;

use super::message::Message;
use crate::id::RunId;

/// The slots of an engine. Runs that wait for one get theirs in the order in which they came, one at a time, so that
/// a run with a million stages holds nobody up for longer than a job.
#[derive(Debug)]
pub(super) struct Slots {
    state: Mutex<State>,
    /// Whether any run waits, for those who would rather not take the lock to see.
    contended: AtomicBool,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// How many more jobs each executor takes, by its place in the registry.
    executors: Vec<usize>,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    run: RunId,
    executor: usize,
    sender: UnboundedSender<Message>,
}

/// A slot, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    executor: usize,
    counted: bool,
}

impl Slot {
    /// The executor that it is for, by its place in the registry.
    pub(super) fn executor(&self) -> usize {
        self.executor
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.counted {
            self.slots.give_back(self.executor);
        }
    }
}

impl Slots {
    pub(super) fn new(jobs: usize, executors: Vec<usize>) -> Arc<Self> {
        let state = State { free: jobs, executors, waiting: VecDeque::new() };
        Arc::new(Self { state: Mutex::new(state), contended: AtomicBool::new(false) })
    }

    /// Whether a slot that is free again may go to the same run without asking: nobody waits for one.
    pub(super) fn is_quiet(&self) -> bool {
        !self.contended.load(Ordering::Acquire)
    }

    /// A slot at once, or none: then the run stands in the queue, and one is sent to it when its turn has come.
    pub(super) fn take(
        self: &Arc<Self>,
        executor: usize,
        run: RunId,
        sender: &UnboundedSender<Message>,
    ) -> Option<Slot> {
        let mut state = self.lock();
        let others_first = state.waiting.iter().any(|waiting| waiting.executor == executor && waiting.run != run);
        if state.free > 0 && state.executors[executor] > 0 && !others_first {
            state.free -= 1;
            state.executors[executor] -= 1;
            drop(state);
            return Some(Slot { slots: Arc::clone(self), executor, counted: true });
        }
        if !state.waiting.iter().any(|waiting| waiting.executor == executor && waiting.run == run) {
            state.waiting.push_back(Waiting { run, executor, sender: sender.clone() });
            self.contended.store(true, Ordering::Release);
        }
        None
    }

    /// A slot beyond all limits, for a job that runs already: it is taken over, whatever the limits are now.
    pub(super) fn beyond(self: &Arc<Self>, executor: usize) -> Slot {
        Slot { slots: Arc::clone(self), executor, counted: false }
    }

    /// A run that has ended waits for nothing.
    pub(super) fn leave(&self, run: RunId) {
        let mut state = self.lock();
        state.waiting.retain(|waiting| waiting.run != run);
        self.contended.store(!state.waiting.is_empty(), Ordering::Release);
    }

    fn give_back(self: &Arc<Self>, executor: usize) {
        let mut state = self.lock();
        state.free += 1;
        state.executors[executor] += 1;
        while state.free > 0 {
            let State { executors, waiting, .. } = &mut *state;
            let Some(next) = waiting.iter().position(|waiting| executors[waiting.executor] > 0) else { return };
            let Some(Waiting { executor, sender, .. }) = waiting.remove(next) else { return };
            self.contended.store(!waiting.is_empty(), Ordering::Release);
            state.free -= 1;
            state.executors[executor] -= 1;
            let slot = Slot { slots: Arc::clone(self), executor, counted: true };
            // The lock is let go of first: a slot that nobody takes is dropped, which takes it again.
            drop(state);
            if sender.send(Message::Slot(slot)).is_ok() {
                return;
            }
            state = self.lock();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;

    fn slot_of(inbox: &mut UnboundedReceiver<Message>) -> Option<Slot> {
        match inbox.try_recv() {
            Ok(Message::Slot(slot)) => Some(slot),
            _ => None,
        }
    }

    #[test]
    fn runs_get_their_slots_in_turn() {
        let slots = Slots::new(1, vec![9]);
        let [(a, mut in_a), (b, mut in_b)] = [unbounded_channel(), unbounded_channel()];
        let [run_a, run_b] = [RunId::new(), RunId::new()];
        let first = slots.take(0, run_a, &a).unwrap();
        assert!(slots.take(0, run_b, &b).is_none());
        assert!(slots.take(0, run_a, &a).is_none());
        drop(first);
        assert!(slots.take(0, run_a, &a).is_none(), "another waits for longer");
        let second = slot_of(&mut in_b).unwrap();
        assert!(slot_of(&mut in_a).is_none());
        drop(second);
        assert!(slot_of(&mut in_a).is_some());
    }

    #[test]
    fn a_full_executor_does_not_hold_up_another() {
        let slots = Slots::new(3, vec![1, 9]);
        let (sender, mut inbox) = unbounded_channel();
        let [run_a, run_b] = [RunId::new(), RunId::new()];
        let held = slots.take(0, run_a, &sender).unwrap();
        assert!(slots.take(0, run_b, &sender).is_none());
        let other = slots.take(1, run_a, &sender).unwrap();
        drop(other);
        assert!(slot_of(&mut inbox).is_none());
        drop(held);
        assert_eq!(slot_of(&mut inbox).unwrap().executor(), 0);
    }

    #[test]
    fn a_slot_for_a_run_that_is_gone_goes_to_the_next() {
        let slots = Slots::new(1, vec![1]);
        let [(a, in_a), (b, mut in_b)] = [unbounded_channel(), unbounded_channel()];
        let held = slots.take(0, RunId::new(), &b).unwrap();
        assert!(slots.take(0, RunId::new(), &a).is_none());
        assert!(slots.take(0, RunId::new(), &b).is_none());
        drop(in_a);
        drop(held);
        assert!(slot_of(&mut in_b).is_some());
        assert!(slots.take(0, RunId::new(), &b).is_some(), "the slot that was dropped unread is free again");
    }
}
