//! Ready stages by the executor that they go to, so that a full executor holds nobody up who goes to another.

use std::collections::VecDeque;

use super::placement::Placement;
use crate::graph::StageIndex;
use crate::run::{Run, StagePhase};

/// A queue for each executor. What stands in one and is no longer ready is passed over when its turn comes, so each
/// stage costs a constant time, however many are ready.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    queues: Vec<VecDeque<StageIndex>>,
    seen: u64,
    /// Whose turn it is.
    next: usize,
}

impl Lanes {
    /// Takes in what has become ready and is not held back.
    pub(super) fn fill(
        &mut self,
        run: &Run,
        placement: &Placement,
        executors: usize,
        is_held: impl Fn(StageIndex) -> bool,
    ) {
        self.queues.resize_with(executors, VecDeque::new);
        for stage in run.newly_ready(&mut self.seen).filter(|stage| !is_held(*stage)) {
            self.queues[placement.of(stage.index())].push_back(stage);
        }
    }

    /// Takes in a stage that was held back.
    pub(super) fn add(&mut self, executor: usize, stage: StageIndex) {
        if self.queues.len() <= executor {
            self.queues.resize_with(executor + 1, VecDeque::new);
        }
        self.queues[executor].push_back(stage);
    }

    /// The next stage that is ready and goes to an executor that is not full: one of each executor in turn.
    pub(super) fn next(&mut self, run: &Run, full: &[usize]) -> Option<StageIndex> {
        let lanes = self.queues.len();
        for turn in 0..lanes {
            let executor = (self.next + turn) % lanes;
            if full.contains(&executor) {
                continue;
            }
            let queue = &mut self.queues[executor];
            while let Some(stage) = queue.pop_front() {
                if run.stage(stage) == StagePhase::Ready {
                    self.next = executor + 1;
                    return Some(stage);
                }
            }
        }
        None
    }

    /// Puts a stage back that could not start.
    pub(super) fn put_back(&mut self, executor: usize, stage: StageIndex) {
        self.queues[executor].push_front(stage);
    }
}
