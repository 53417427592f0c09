//! The database's clock, by which leases end, and how far this process's clock is from it.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// How long a measurement counts: two clocks drift by less than 10 ms in it.
const GOOD_FOR: Duration = Duration::from_secs(60);

/// A step of the process's clock from which on a measurement is void.
const STEP: SignedDuration = SignedDuration::from_secs(1);

/// One look at the database's clock, between two at the process's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) before: Timestamp,
    pub(super) there: Timestamp,
    pub(super) after: Timestamp,
}

/// How far the database's clock is ahead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shift(SignedDuration);

impl Shift {
    /// The shift after a look. It stays as it is while the look allows it, so that clocks which agree are not moved, and
    /// two times of one lease compare although the clocks were looked at between them.
    fn after(self, look: Look) -> Self {
        let (least, most) = (look.after.duration_until(look.there), look.before.duration_until(look.there));
        if least <= self.0 && self.0 <= most { self } else { Self(least + (most - least) / 2) }
    }

    /// What the database's clock shows when the process's shows `time`.
    pub(super) fn apply(self, time: Timestamp) -> Timestamp {
        let furthest = if self.0.is_negative() { Timestamp::MIN } else { Timestamp::MAX };
        time.checked_add(self.0).unwrap_or(furthest)
    }
}

/// A moment by both of the process's clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// By the one that only goes forwards.
    pub(super) instant: Instant,
    /// By the one that people set.
    pub(super) time: Timestamp,
}

/// What is known of the database's clock.
#[derive(Debug, Default)]
pub(super) struct Offset {
    shift: Shift,
    looked: Option<Moment>,
}

impl Offset {
    /// The shift, as long as the last look counts.
    pub(super) fn at(&self, now: Moment) -> Option<Shift> {
        let looked = self.looked?;
        let passed = now.instant.saturating_duration_since(looked.instant);
        let shown = looked.time.duration_until(now.time);
        let step = SignedDuration::try_from(passed).map_or(SignedDuration::MAX, |passed| shown - passed);
        (passed < GOOD_FOR && step.abs() < STEP).then_some(self.shift)
    }

    /// The shift after a look that ended now.
    pub(super) fn look(&mut self, look: Look, now: Moment) -> Shift {
        self.shift = self.shift.after(look);
        self.looked = Some(now);
        self.shift
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_767_225_600_000 + millis).unwrap()
    }

    fn look(before: i64, there: i64, after: i64) -> Look {
        Look { before: at(before), there: at(there), after: at(after) }
    }

    fn shift(millis: i64) -> Shift {
        Shift(SignedDuration::from_millis(millis))
    }

    #[test]
    fn clocks_that_agree_are_not_moved() {
        assert_eq!(Shift::default().after(look(0, 3, 10)), shift(0));
        assert_eq!(Shift::default().after(look(0, 0, 0)), shift(0));
    }

    #[test]
    fn a_difference_is_the_middle_of_what_is_possible_and_stays_while_it_is_possible() {
        let first = shift(0).after(look(0, 5_000, 10));
        assert_eq!(first, shift(4_995));
        assert_eq!(first.after(look(1_000, 6_004, 1_030)), first);
        assert_eq!(first.after(look(1_000, 3_000, 1_020)), shift(1_990));
        // The process is ahead.
        assert_eq!(shift(0).after(look(7_200_000, 0, 7_200_000)), shift(-7_200_000));
    }

    #[test]
    fn a_clock_that_was_set_during_a_look_makes_no_wild_guess() {
        assert_eq!(shift(0).after(look(3_600_000, 3_600_001, 0)), shift(1_800_001));
    }

    #[test]
    fn two_processes_agree_on_a_moment() {
        // One is an hour ahead of the database, the other half a minute behind.
        let (one, two) = (shift(-3_600_000), shift(30_000));
        assert_eq!(one.apply(at(3_600_000)), at(0));
        assert_eq!(two.apply(at(-30_000)), at(0));
    }

    #[test]
    fn times_at_the_ends_of_time_stay_there() {
        assert_eq!(shift(1).apply(Timestamp::MAX), Timestamp::MAX);
        assert_eq!(shift(-1).apply(Timestamp::MIN), Timestamp::MIN);
    }

    #[test]
    fn a_look_counts_for_a_minute_or_until_the_clock_is_set() {
        let mut offset = Offset::default();
        let start = Instant::now();
        let moment =
            |second: u64, shown: i64| Moment { instant: start + Duration::from_secs(second), time: at(shown * 1000) };
        assert_eq!(offset.at(moment(0, 0)), None);
        assert_eq!(offset.look(look(0, 5_000, 0), moment(0, 0)), shift(5_000));
        assert_eq!(offset.at(moment(59, 59)), Some(shift(5_000)));
        assert_eq!(offset.at(moment(60, 60)), None);
        assert_eq!(offset.at(moment(1, 3_600)), None);
        assert_eq!(offset.at(moment(1, -3_600)), None);
    }
}
