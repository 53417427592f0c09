//! Which cacheable stages are held back until it is known whether there is an earlier result of theirs.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::task::JoinSet;

use super::core::Core;
use super::driver::Driver;
use super::message::Message;
use super::results::Candidate;
use crate::event::{Miss, TakenResult};
use crate::graph::StageIndex;
use crate::plan::{Plan, StageFlags};
use crate::run::Input;

/// How many stages are asked about at once: a question to the store costs little beside those of a hundred, and the
/// first answers come soon.
const BATCH: usize = 256;

/// Whether there is an earlier result of a stage.
#[derive(Debug)]
pub(super) enum Looked {
    /// This one, whose log is stored.
    Hit(Box<TakenResult>),
    /// There is none.
    Miss(Box<Miss>),
}

/// Which stages were asked about.
#[derive(Debug, Default)]
pub(super) struct Looks {
    is_on: bool,
    /// How many stages that became ready were seen.
    seen: u64,
    asked: HashSet<u32>,
    /// Those that have to run.
    missed: HashSet<u32>,
    /// Dropped with the driver, which stops them.
    tasks: JoinSet<()>,
}

impl Looks {
    /// None yet. Nothing is ever held back where nothing is kept.
    pub(super) fn of(core: &Core, plan: &Plan) -> Self {
        let is_on = core.results.is_some() && plan.flags().iter().any(|flags| flags.has(StageFlags::CACHEABLE));
        Self { is_on, ..Self::default() }
    }
}

impl Driver {
    pub(super) fn is_cacheable(&self, stage: StageIndex) -> bool {
        self.bus.plan.flags()[stage.index()].has(StageFlags::CACHEABLE)
    }

    /// Whether a stage that is ready may not start yet. A stage that has run, or is about to again, is not held.
    pub(super) fn is_held(&self, stage: StageIndex) -> bool {
        let looks = &self.work.looks;
        looks.is_on
            && self.is_cacheable(stage)
            && !looks.missed.contains(&(stage.index() as u32))
            && self.run.attempts(stage) == 0
    }

    /// Asks about the cacheable stages that have become ready.
    pub(super) fn look_up(&mut self) {
        if !self.work.looks.is_on {
            return;
        }
        while self.work.looks.tasks.try_join_next().is_some() {}
        let mut seen = self.work.looks.seen;
        let ready: Vec<StageIndex> = self.run.newly_ready(&mut seen).collect();
        self.work.looks.seen = seen;
        let mut candidates = Vec::new();
        for stage in ready {
            if !self.is_held(stage) || !self.work.looks.asked.insert(stage.index() as u32) {
                continue;
            }
            // The key is that of the first attempt; why it cannot start is told when it starts.
            match self.preparer.prepare(&self.run, stage, 1) {
                Ok(prepared) => candidates.push(self.candidate(stage, prepared)),
                Err(_) => self.let_run(stage),
            }
        }
        while !candidates.is_empty() {
            let rest = candidates.split_off(candidates.len().min(BATCH));
            self.ask(std::mem::replace(&mut candidates, rest));
        }
    }

    fn candidate(&self, stage: StageIndex, prepared: super::prepare::Prepared) -> Candidate {
        let executor = self.core.executors[self.placement.of(stage.index())].name.clone();
        let mut inputs = prepared.inputs.unwrap_or_default();
        // What they hold is found when the stage starts, and does not count.
        inputs.caches.extend(prepared.caches.into_iter().map(|(cache, _)| cache));
        Candidate { stage, executor, job: prepared.job, inputs, secrets: prepared.secrets.unwrap_or_default() }
    }

    fn ask(&mut self, candidates: Vec<Candidate>) {
        let (host, sender) = (Arc::clone(&self.host), self.bus.sender.clone());
        let stages: Vec<StageIndex> = candidates.iter().map(|candidate| candidate.stage).collect();
        self.work.looks.tasks.spawn(async move {
            let looked = AssertUnwindSafe(super::results::look(&host, candidates)).catch_unwind().await;
            let found = looked.unwrap_or_else(|_| {
                let broken = || Miss::Unreadable { message: "a store panicked".into() };
                stages.into_iter().map(|stage| (stage, Looked::Miss(Box::new(broken())))).collect()
            });
            let _ = sender.send(Message::Looked(found));
        });
    }

    /// Takes what was found.
    pub(super) fn looked(&mut self, found: Vec<(StageIndex, Looked)>, now: Timestamp) {
        for (stage, looked) in found {
            self.work.looks.asked.remove(&(stage.index() as u32));
            match looked {
                Looked::Hit(result) => self.tell(Input::Take { stage, result }, now),
                Looked::Miss(miss) => {
                    self.tell(Input::Miss { stage, miss }, now);
                    self.let_run(stage);
                }
            }
        }
    }

    fn let_run(&mut self, stage: StageIndex) {
        self.work.looks.missed.insert(stage.index() as u32);
        if !self.placement.is_uniform() {
            self.work.lanes.add(self.placement.of(stage.index()), stage);
        }
    }

    /// Makes room for what this run has kept.
    pub(super) async fn evict_results(&self) {
        if self.work.looks.missed.is_empty() {
            return;
        }
        if let Some(results) = &self.core.results {
            results.evict(&self.bus.scope).await;
        }
    }
}
