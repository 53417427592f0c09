//! Whose turn it is: how tenants share what takes runs off a queue. Every store of this project decides with this, so
//! that they cannot differ.
//!
//! Each tenant has a virtual time, its *turn*. It moves on with each run that is taken, by less the greater the tenant's
//! weight, and the tenant whose turn is the least goes next: start-time fair queuing. A tenant that had nothing to take
//! [comes in](come_in) where the others are, so nobody saves turns up, and nobody waits for what others had before.
//!
//! ```
//! use buildit::store::{Line, Share, take_turns};
//!
//! let line = |turn| Line { turn, share: Share::default(), running: 0 };
//! assert_eq!(take_turns(&[line(7), line(7)], 4), [0, 1, 0, 1]);
//! ```

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// How far a run moves the turn of a tenant of weight 1: far enough that great weights keep their proportions, and so
/// little that 2^33 runs of one tenant fit into a column.
const STEP: u64 = 1 << 30;

/// What a tenant may have of the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// How much it gets beside others: one of weight 2 gets twice as many turns as one of weight 1.
    pub weight: NonZeroU32,
    /// How many of its queued runs may be under way at once; any number without.
    pub max_running: Option<NonZeroU32>,
}

impl Default for Share {
    /// The share of a tenant of which nothing is known: weight 1, and no limit.
    fn default() -> Self {
        Self { weight: NonZeroU32::MIN, max_running: None }
    }
}

impl Share {
    /// How far each run moves the tenant's turn.
    #[must_use]
    pub fn stride(self) -> u64 {
        (STEP / u64::from(self.weight.get())).max(1)
    }

    /// How many more of its runs may be taken when so many are under way.
    #[must_use]
    pub fn room(self, running: u64) -> u64 {
        self.max_running.map_or(u64::MAX, |most| u64::from(most.get()).saturating_sub(running))
    }
}

/// A tenant whose runs wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its virtual time.
    pub turn: u64,
    /// Its share.
    pub share: Share,
    /// How many of its runs are under way: those that were taken and have not been completed or given back.
    pub running: u64,
}

/// Says whose turn it is, one run after another.
#[derive(Debug)]
pub struct Turns {
    lines: Vec<Line>,
    next: BinaryHeap<Reverse<(u64, usize)>>,
}

impl Turns {
    /// The turns of these tenants; those whose limit is reached have none.
    pub fn new(lines: impl IntoIterator<Item = Line>) -> Self {
        let lines: Vec<Line> = lines.into_iter().collect();
        let may = |line: &Line| line.share.room(line.running) > 0;
        let next = lines.iter().enumerate().filter(|(_, line)| may(line));
        let next = next.map(|(place, line)| Reverse((line.turn, place))).collect();
        Self { lines, next }
    }

    /// The place of the tenant whose turn it is; `None` when there is none left.
    #[must_use]
    pub fn whose(&self) -> Option<usize> {
        self.next.peek().map(|Reverse((_, place))| *place)
    }

    /// The virtual time of whose turn it is.
    #[must_use]
    pub fn turn(&self) -> Option<u64> {
        self.next.peek().map(|Reverse((turn, _))| *turn)
    }

    /// Whose turn it is has had a run taken.
    pub fn took(&mut self) {
        let Some(Reverse((turn, place))) = self.next.pop() else { return };
        let line = &mut self.lines[place];
        line.running += 1;
        line.turn = turn.saturating_add(line.share.stride());
        if line.share.room(line.running) > 0 {
            self.next.push(Reverse((line.turn, place)));
        }
    }

    /// Whose turn it is has nothing that can be taken.
    pub fn passed(&mut self) {
        self.next.pop();
    }
}

/// Whose turns the next `limit` runs are, in order, if each tenant has as many; the places of the tenants.
#[must_use]
pub fn take_turns(lines: &[Line], limit: usize) -> Vec<usize> {
    let mut turns = Turns::new(lines.iter().copied());
    let next = || {
        let place = turns.whose()?;
        turns.took();
        Some(place)
    };
    std::iter::from_fn(next).take(limit).collect()
}

/// The turn of a tenant that has something to take again, when its `last` turn was this, the `least` turn of those who
/// have something to take is this, and the `most` of all tenants this. Nobody comes in before its own last turn: who
/// queues one run after another would always be first.
#[must_use]
pub fn come_in(last: u64, least: Option<u64>, most: Option<u64>) -> u64 {
    last.max(least.or(most).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Tenants whose runs wait, as a store keeps them.
    #[derive(Clone, Debug, Default)]
    struct Model {
        tenants: Vec<Tenant>,
    }

    #[derive(Clone, Copy, Debug, Default)]
    struct Tenant {
        turn: u64,
        share: Share,
        waiting: usize,
        running: u64,
        taken: usize,
    }

    impl Tenant {
        fn may_take(&self) -> bool {
            self.waiting > 0 && self.share.room(self.running) > 0
        }
    }

    impl Model {
        fn of(shares: impl IntoIterator<Item = Share>) -> Self {
            Self { tenants: shares.into_iter().map(|share| Tenant { share, ..Tenant::default() }).collect() }
        }

        fn change(&mut self, tenant: usize, change: impl FnOnce(&mut Tenant)) {
            let could = self.tenants[tenant].may_take();
            let ready = self.tenants.iter().filter(|tenant| tenant.may_take());
            let (least, most) = (ready.map(|tenant| tenant.turn).min(), self.tenants.iter().map(|t| t.turn).max());
            let changed = &mut self.tenants[tenant];
            change(changed);
            if !could && changed.may_take() {
                changed.turn = come_in(changed.turn, least, most);
            }
        }

        fn add(&mut self, tenant: usize, runs: usize) {
            self.change(tenant, |tenant| tenant.waiting += runs);
        }

        fn end(&mut self, tenant: usize) {
            self.change(tenant, |tenant| tenant.running = tenant.running.saturating_sub(1));
        }

        fn claim(&mut self, limit: usize) -> Vec<usize> {
            let ready: Vec<usize> = (0..self.tenants.len()).filter(|&at| self.tenants[at].may_take()).collect();
            let line = |tenant: &Tenant| Line { turn: tenant.turn, share: tenant.share, running: tenant.running };
            let mut turns = Turns::new(ready.iter().map(|&at| line(&self.tenants[at])));
            let mut taken = Vec::new();
            while taken.len() < limit
                && let Some(place) = turns.whose()
            {
                let tenant = &mut self.tenants[ready[place]];
                if tenant.waiting == 0 {
                    turns.passed();
                    continue;
                }
                turns.took();
                tenant.waiting -= 1;
                tenant.running += 1;
                tenant.taken += 1;
                tenant.turn += tenant.share.stride();
                taken.push(ready[place]);
            }
            taken
        }
    }

    fn share(weight: u32, most: u32) -> Share {
        Share { weight: NonZeroU32::new(weight).unwrap(), max_running: NonZeroU32::new(most) }
    }

    /// How evenly these are: 1 when all are equal (Jain's index).
    fn jain(amounts: &[f64]) -> f64 {
        let (sum, squares) = (amounts.iter().sum::<f64>(), amounts.iter().map(|amount| amount * amount).sum::<f64>());
        sum * sum / (amounts.len() as f64 * squares)
    }

    #[test]
    fn a_tenant_that_comes_last_is_served_first_after_the_batch_under_way() {
        let mut model = Model::of([Share::default(); 2]);
        model.add(0, 10_000);
        for _ in 0..10 {
            assert_eq!(model.claim(8), [0; 8]);
        }
        model.add(1, 1);
        assert!(model.claim(2).contains(&1));
    }

    #[test]
    fn who_queues_one_after_another_is_not_always_first() {
        let mut model = Model::of([Share::default(); 2]);
        model.add(0, 1000);
        for _ in 0..100 {
            model.add(1, 1);
            model.claim(1);
        }
        assert_eq!(model.tenants[0].taken, 50);
    }

    #[test]
    fn a_tenant_that_was_idle_has_saved_nothing_up_and_owes_nothing() {
        let mut model = Model::of([Share::default(); 3]);
        model.add(0, 10_000);
        model.claim(5_000);
        model.add(1, 10_000);
        model.claim(100);
        assert_eq!((model.tenants[0].taken, model.tenants[1].taken), (5_050, 50));
        // All are done; who was never there comes in beside who was there for long.
        model.claim(20_000);
        model.add(2, 100);
        model.add(0, 100);
        model.claim(100);
        assert_eq!((model.tenants[2].taken, model.tenants[0].taken), (50, 10_050));
    }

    proptest! {
        #[test]
        fn turns_are_shared_by_weight(weights in prop::collection::vec(1_u32..20, 1..12), batch in 1_usize..=100) {
            let total: u32 = weights.iter().sum();
            let mut model = Model::of(weights.iter().map(|&weight| share(weight, 0)));
            (0..weights.len()).for_each(|tenant| model.add(tenant, 100_000));
            // In a window of so many runs each gets a multiple of its weight, give or take one.
            let window = 40 * total as usize;
            let mut order = Vec::new();
            while order.len() < 3 * window {
                order.extend(model.claim(batch));
            }
            for window in order.chunks_exact(window) {
                let got = |tenant| window.iter().filter(|&&taken| taken == tenant).count() as f64;
                let by_weight: Vec<f64> = (0..).zip(&weights).map(|(at, &weight)| got(at) / f64::from(weight)).collect();
                prop_assert!(jain(&by_weight) >= 0.99, "{by_weight:?}");
            }
        }

        #[test]
        fn no_slot_is_idle_no_limit_is_exceeded_and_nobody_starves(
            shares in prop::collection::vec((1_u32..6, 0_u32..5), 1..8),
            steps in prop::collection::vec((0_usize..8, 0_usize..6, 1_usize..20), 1..200),
        ) {
            let shares: Vec<Share> = shares.into_iter().map(|(weight, most)| share(weight, most)).collect();
            let mut model = Model::of(shares.clone());
            let total: u32 = shares.iter().map(|share| share.weight.get()).sum();
            // How many runs of others were taken since a tenant could take one and did not.
            let mut passed_over = vec![0_u64; shares.len()];
            for (tenant, what, amount) in steps {
                let tenant = tenant % shares.len();
                match what {
                    0 | 1 => model.add(tenant, amount),
                    2 => (0..amount).for_each(|_| model.end(tenant)),
                    _ => {
                        let before = model.clone();
                        let could = before.tenants.iter().map(|t| t.share.room(t.running).min(t.waiting as u64));
                        let most = could.fold(0_u64, u64::saturating_add).min(amount as u64);
                        let taken = model.claim(amount);
                        prop_assert_eq!(taken.len() as u64, most, "a slot is idle, or one too many is taken");
                        for taken in taken {
                            for (at, passed) in passed_over.iter_mut().enumerate() {
                                *passed = if at == taken || !before.tenants[at].may_take() { 0 } else { *passed + 1 };
                            }
                        }
                    }
                }
                for (tenant, passed) in model.tenants.iter().zip(&mut passed_over) {
                    let limit = tenant.share.max_running.map_or(u64::MAX, |most| u64::from(most.get()));
                    prop_assert!(tenant.running <= limit);
                    if !tenant.may_take() {
                        *passed = 0;
                    }
                    // Each other one moves past it within as many runs as its weight, and each may have come in once.
                    let patience = u64::from(2 * total) + 2 * shares.len() as u64;
                    prop_assert!(*passed <= patience, "{passed} runs of others, of {patience}");
                }
            }
        }
    }
}
