//! What waits of one tenant.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::id::RunId;
use crate::store::{Intake, Line, Share};

/// Where an entry lies in the order of taking: higher priority first, then by age.
pub(super) type Place = (Reverse<i32>, u64);

/// What waits of one tenant, and its share.
#[derive(Debug)]
pub(super) struct TenantLine {
    line: Line,
    intake: Intake,
    /// Those that are due.
    pub(super) waiting: BTreeMap<Place, RunId>,
}

impl Default for TenantLine {
    fn default() -> Self {
        let line = Line { turn: 0, share: Share::default(), running: 0 };
        Self { line, intake: Intake::Open, waiting: BTreeMap::new() }
    }
}

impl TenantLine {
    pub(super) fn line(&self) -> Line {
        self.line
    }

    pub(super) fn turn(&self) -> u64 {
        self.line.turn
    }

    pub(super) fn share(&self) -> Share {
        self.line.share
    }

    pub(super) fn set_share(&mut self, share: Share) {
        self.line.share = share;
    }

    pub(super) fn intake(&self) -> Intake {
        self.intake
    }

    pub(super) fn set_intake(&mut self, intake: Intake) {
        self.intake = intake;
    }

    /// Whether something may be taken.
    pub(super) fn is_ready(&self) -> bool {
        !self.intake.is_paused() && !self.waiting.is_empty() && self.line.share.room(self.line.running) > 0
    }

    /// Something is due.
    pub(super) fn wait(&mut self, place: Place, run: RunId) {
        self.waiting.insert(place, run);
    }

    pub(super) fn took(&mut self) {
        self.line.running += 1;
        self.line.turn = self.line.turn.saturating_add(self.line.share.stride());
    }

    pub(super) fn stopped(&mut self) {
        self.line.running = self.line.running.saturating_sub(1);
    }

    pub(super) fn come_in(&mut self, turn: impl FnOnce(u64) -> u64) {
        self.line.turn = turn(self.line.turn);
    }
}
