//! The stages that may start, first come, first served.

use std::collections::VecDeque;

use super::state::{Cell, Phase};

/// A queue out of whose middle stages may be taken: the phase of a stage says whether it is still in it, and what has
/// left is cleared away when it is more than half.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ReadyQueue {
    queue: VecDeque<u32>,
    live: u32,
    /// How many were ever put in.
    pushed: u64,
}

impl ReadyQueue {
    pub(super) fn push(&mut self, at: u32) {
        self.queue.push_back(at);
        self.live += 1;
        self.pushed += 1;
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

    /// The stages that came in after so many had, and how many have by now. Stages that left meanwhile may make room
    /// for a few that were seen before.
    #[cfg(feature = "engine")]
    pub(super) fn since<'a>(&'a self, seen: u64, cells: &'a [Cell]) -> (impl Iterator<Item = u32> + 'a, u64) {
        let new = usize::try_from(self.pushed - seen).unwrap_or(usize::MAX);
        let old = self.queue.len().saturating_sub(new);
        let is_live = |at: &u32| cells[*at as usize].phase() == Phase::Ready;
        (self.queue.range(old..).copied().filter(is_live), self.pushed)
    }

    /// The queue as it is kept, stages that have left included.
    pub(super) fn raw(&self) -> &VecDeque<u32> {
        &self.queue
    }
}
