//! [`StageFlags`]: what is known of a stage without a look at it.

use super::resolve;
use crate::condition::asks_for_failure;
use crate::pipeline::{Action, StageSpec};

/// A few facts of a stage. A stage's spec is a thousand bytes away from the next one's: at 100,000 stages each look at
/// one is a cache miss, and most stages are driven without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StageFlags(u16);

impl StageFlags {
    // The lowest four bits are the run's own.
    pub(crate) const WHEN: u16 = 1 << 4;
    pub(crate) const APPROVAL: u16 = 1 << 5;
    /// Its `when` asks for `failure()` or `always()`.
    pub(crate) const ASKS: u16 = 1 << 6;
    pub(crate) const ALLOW_FAILURE: u16 = 1 << 7;
    pub(crate) const TIMEOUT: u16 = 1 << 8;
    pub(crate) const RETRY: u16 = 1 << 9;
    // The two after these are the run's own, too.
    /// It works in an environment.
    pub(crate) const ENVIRONMENT: u16 = 1 << 12;
    /// What a run drives it by.
    pub(crate) const OF_RUN: u16 = Self::WHEN
        | Self::APPROVAL
        | Self::ASKS
        | Self::ALLOW_FAILURE
        | Self::TIMEOUT
        | Self::RETRY
        | Self::ENVIRONMENT;

    /// An earlier result of the same ingredients may be taken.
    pub(crate) const CACHEABLE: u16 = 1 << 13;
    /// Its job is the stage as it is: it has no variables of its own and reads none in any text.
    pub(crate) const PLAIN: u16 = 1 << 14;
    /// It asks for what only few engines have: another action than `run`, an environment, a machine with labels.
    pub(crate) const SPECIAL: u16 = 1 << 15;

    pub(crate) fn of(stage: &StageSpec) -> Self {
        let mut bits = 0;
        let mut note = |holds: bool, flag| bits |= if holds { flag } else { 0 };
        note(stage.when.is_some(), Self::WHEN);
        note(stage.when.as_ref().is_some_and(|when| asks_for_failure(when)), Self::ASKS);
        note(stage.approval.is_some(), Self::APPROVAL);
        note(stage.allow_failure, Self::ALLOW_FAILURE);
        note(stage.timeout.is_some(), Self::TIMEOUT);
        note(stage.retry.is_some(), Self::RETRY);
        note(stage.environment.is_some(), Self::ENVIRONMENT);
        note(stage.cacheable, Self::CACHEABLE);
        let is_run = matches!(stage.action, Action::Run(_));
        note(!is_run || stage.environment.is_some() || !stage.runs_on.is_empty(), Self::SPECIAL);
        note(resolve::is_plain(stage), Self::PLAIN);
        Self(bits)
    }

    pub(crate) fn has(self, flag: u16) -> bool {
        self.0 & flag != 0
    }

    /// The bits of these flags.
    pub(crate) fn only(self, flags: u16) -> u16 {
        self.0 & flags
    }
}
