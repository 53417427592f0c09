//! How a new release replaces the one before it: pure functions from what is wanted and what is there to steps.
//!
//! The steps follow from the observed state alone. Whoever was interrupted observes again and asks again: steps that
//! were done do not come back, so a deployment goes on where it stopped.

use std::time::Duration;

use crate::deployment::{DeploymentAction, DeploymentSpec, DeploymentStatus, ReleaseStatus};
use crate::pipeline::{CanaryStep, DeployStrategy};

/// One step of a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What to do.
    pub action: DeploymentAction,
    /// What to wait for behind it.
    pub pause: Pause,
}

/// What to wait for behind a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Nothing.
    None,
    /// This much time.
    For(Duration),
    /// A person.
    UntilResumed,
}

/// The steps from what is observed to what is wanted; none when it is there.
#[must_use]
pub fn steps(desired: &DeploymentSpec, observed: &DeploymentStatus) -> Vec<Step> {
    let new = observed.releases.iter().find(|release| release.release == desired.release);
    let old: Vec<&ReleaseStatus> =
        observed.releases.iter().filter(|release| release.release != desired.release).collect();
    let mut steps = Steps { desired, steps: Vec::new() };
    match &desired.strategy {
        DeployStrategy::Recreate => {
            steps.remove(&old);
            steps.bring_up(new);
        }
        DeployStrategy::BlueGreen => {
            steps.bring_up(new);
            steps.remove(&old);
        }
        DeployStrategy::Rolling => steps.roll(new, &old),
        DeployStrategy::Canary(canary) => steps.canary(canary, new, &old),
    }
    steps.steps
}

struct Steps<'a> {
    desired: &'a DeploymentSpec,
    steps: Vec<Step>,
}

impl Steps<'_> {
    fn push(&mut self, action: DeploymentAction) {
        self.steps.push(Step { action, pause: Pause::None });
    }

    fn release(&self) -> String {
        self.desired.release.clone()
    }

    fn remove(&mut self, old: &[&ReleaseStatus]) {
        for release in old {
            self.push(DeploymentAction::Remove { release: release.release.clone() });
        }
    }

    /// All instances of the new release, then all of the traffic.
    fn bring_up(&mut self, new: Option<&ReleaseStatus>) {
        self.scale(new, self.desired.replicas);
        self.shift(new, 100);
    }

    fn scale(&mut self, new: Option<&ReleaseStatus>, replicas: u32) {
        if new.is_none_or(|new| new.replicas != replicas) {
            self.push(DeploymentAction::Scale { release: self.release(), replicas });
        }
        if new.is_none_or(|new| new.replicas != replicas || new.ready < replicas) {
            self.push(DeploymentAction::AwaitReady { release: self.release() });
        }
    }

    fn shift(&mut self, new: Option<&ReleaseStatus>, weight: u8) {
        if new.is_none_or(|new| new.weight != weight) {
            self.push(DeploymentAction::Shift { release: self.release(), weight });
        }
    }

    /// One instance more of the new release, then one fewer of the old ones, so that there are never fewer than
    /// wanted and at most one more.
    fn roll(&mut self, new: Option<&ReleaseStatus>, old: &[&ReleaseStatus]) {
        let mut left: Vec<(String, u32)> = old.iter().map(|old| (old.release.clone(), old.replicas)).collect();
        let present = new.map_or(0, |new| new.replicas);
        if new.is_some_and(|new| new.ready < new.replicas) {
            self.push(DeploymentAction::AwaitReady { release: self.release() });
        }
        if present > self.desired.replicas {
            self.push(DeploymentAction::Scale { release: self.release(), replicas: self.desired.replicas });
        }
        for replicas in present + 1..=self.desired.replicas {
            self.push(DeploymentAction::Scale { release: self.release(), replicas });
            self.push(DeploymentAction::AwaitReady { release: self.release() });
            let total: u32 = left.iter().map(|(_, replicas)| replicas).sum();
            if total + replicas > self.desired.replicas
                && let Some((release, replicas)) = left.iter_mut().rev().find(|(_, replicas)| *replicas > 0)
            {
                *replicas -= 1;
                let (release, replicas) = (release.clone(), *replicas);
                self.push(DeploymentAction::Scale { release, replicas });
            }
        }
        self.shift(new, 100);
        self.remove(old);
    }

    /// Each step gives the new release its share of instances and traffic. A step whose share it has is done.
    fn canary(&mut self, canary: &[CanaryStep], new: Option<&ReleaseStatus>, old: &[&ReleaseStatus]) {
        let reached = new.map_or(0, |new| new.weight);
        let share = |weight: u8| (self.desired.replicas * u32::from(weight)).div_ceil(100).max(1);
        let ahead: Vec<(u32, &CanaryStep)> =
            canary.iter().filter(|step| step.weight > reached).map(|step| (share(step.weight), step)).collect();
        // What is observed tells nothing about the end of the steps before it.
        let after = if ahead.is_empty() { new } else { None };
        for (replicas, step) in ahead {
            self.push(DeploymentAction::Scale { release: self.release(), replicas });
            self.push(DeploymentAction::AwaitReady { release: self.release() });
            self.steps.push(Step {
                action: DeploymentAction::Shift { release: self.release(), weight: step.weight.min(100) },
                pause: step.pause.map_or(Pause::UntilResumed, Pause::For),
            });
        }
        self.bring_up(after);
        self.remove(old);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A target that does what it is told at once, and notes the fewest instances that ever answered.
    fn apply(status: &mut DeploymentStatus, action: &DeploymentAction) {
        let name = match action {
            DeploymentAction::Scale { release, .. }
            | DeploymentAction::Shift { release, .. }
            | DeploymentAction::AwaitReady { release }
            | DeploymentAction::Remove { release } => release,
        };
        if matches!(action, DeploymentAction::Remove { .. }) {
            status.releases.retain(|release| release.release != *name);
            return;
        }
        if !status.releases.iter().any(|release| release.release == *name) {
            status.releases.insert(0, ReleaseStatus { release: name.clone(), ..ReleaseStatus::default() });
        }
        for release in &mut status.releases {
            match action {
                DeploymentAction::Scale { replicas, .. } if release.release == *name => {
                    release.replicas = *replicas;
                    release.ready = release.ready.min(*replicas);
                }
                DeploymentAction::AwaitReady { .. } if release.release == *name => release.ready = release.replicas,
                DeploymentAction::Shift { weight, .. } => {
                    release.weight = if release.release == *name { *weight } else { 100 - *weight };
                }
                _ => {}
            }
        }
    }

    fn strategies() -> impl Strategy<Value = DeployStrategy> {
        let canary = prop::collection::vec((1_u8..=100, prop::option::of(1_u64..100)), 0..4).prop_map(|steps| {
            let step =
                |(weight, pause): (u8, Option<u64>)| CanaryStep { weight, pause: pause.map(Duration::from_secs) };
            DeployStrategy::Canary(steps.into_iter().map(step).collect())
        });
        prop_oneof![
            Just(DeployStrategy::Rolling),
            Just(DeployStrategy::Recreate),
            Just(DeployStrategy::BlueGreen),
            canary
        ]
    }

    proptest! {
        /// Wherever a deployment is interrupted, asking again leads to the release alone, and then to rest.
        #[test]
        fn every_strategy_arrives_also_after_an_interruption(
            strategy in strategies(), replicas in 1_u32..6, before in 0_u32..6, cut in 0_usize..12,
        ) {
            let rolling = strategy == DeployStrategy::Rolling;
            let desired = DeploymentSpec { release: "new".into(), replicas, strategy, ..DeploymentSpec::default() };
            let mut status = DeploymentStatus::default();
            if before > 0 {
                status.releases.push(ReleaseStatus { release: "old".into(), replicas: before, ready: before, weight: 100 });
            }
            let floor = before.min(replicas);
            for limit in [cut, usize::MAX] {
                for step in steps(&desired, &status).iter().take(limit) {
                    apply(&mut status, &step.action);
                    let ready: u32 = status.releases.iter().map(|release| release.ready).sum();
                    prop_assert!(!rolling || ready >= floor, "{ready} of {floor} answer after {step:?}");
                }
            }
            let expected = ReleaseStatus { release: "new".into(), replicas, ready: replicas, weight: 100 };
            prop_assert_eq!(&status.releases, &[expected]);
            prop_assert_eq!(steps(&desired, &status), []);
        }
    }
}
