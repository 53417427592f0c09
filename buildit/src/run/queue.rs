//! The stages that may start, first come, first served.

use std::collections::VecDeque;

use super::state::{Cell, Phase};

/// A queue out of whose middle stages may be taken: the phase of a stage says whether it is still in it, and what has
/// left is cleared away when it is more than half.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ReadyQueue {
    queue: VecDeque<u32>,
    live: u32,
}

impl ReadyQueue {
    pub(super) fn push(&mut self, at: u32) {
        self.queue.push_back(at);
        self.live += 1;
    }

    /// A stage has left the phase `Ready`.
    pub(super) fn leave(&mut self, cells: &[Cell]) {
        /// Below this a sweep is not worth its call.
        const SMALL: usize = 64;
        self.live -= 1;
        let is_live = |at: &u32| cells[*at as usize].phase() == Phase::Ready;
        while self.queue.front().is_some_and(|at| !is_live(at)) {
            self.queue.pop_front();
        }
        if self.queue.len() > SMALL.max(2 * self.live as usize) {
            self.queue.retain(is_live);
        }
    }

    pub(super) fn iter<'a>(&'a self, cells: &'a [Cell]) -> impl Iterator<Item = u32> + 'a {
        self.queue.iter().copied().filter(|at| cells[*at as usize].phase() == Phase::Ready)
    }

    /// The queue as it is kept, stages that have left included.
    pub(super) fn raw(&self) -> &VecDeque<u32> {
        &self.queue
    }
}
