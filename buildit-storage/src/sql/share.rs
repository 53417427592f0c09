//! Shares and turns, as columns have them.

use std::num::NonZeroU32;

use buildit::store::{Line, Share, StoreError, take_turns};

/// How many runs are planned at once.
const BATCH: usize = 100;

/// The share that these columns hold. What is more than a share can say counts as the most that it can.
pub(crate) fn share(weight: i64, max_running: Option<i64>) -> Result<Share, StoreError> {
    let positive = |number: i64| {
        let number = u32::try_from(number).unwrap_or(if number > 0 { u32::MAX } else { 0 });
        NonZeroU32::new(number).ok_or_else(|| StoreError::Corrupt(format!("{number} is no share of a tenant")))
    };
    Ok(Share { weight: positive(weight)?, max_running: max_running.map(positive).transpose()? })
}

/// Whose turns come next, as if each had enough to take: the places of the lines.
#[derive(Debug)]
pub(crate) struct Plan(Vec<usize>);

impl Plan {
    /// The plan for the next runs, when so many more are wanted.
    pub(crate) fn new(lines: impl IntoIterator<Item = Line>, wanted: usize) -> Self {
        Self(take_turns(&lines.into_iter().collect::<Vec<_>>(), wanted.min(BATCH)))
    }

    /// Each line that has turns, in the order of the first ones, and how many it has.
    pub(crate) fn turns(&self) -> Vec<(usize, usize)> {
        let mut turns: Vec<(usize, usize)> = Vec::new();
        for &line in &self.0 {
            match turns.iter_mut().find(|(known, _)| *known == line) {
                Some((_, count)) => *count += 1,
                None => turns.push((line, 1)),
            }
        }
        turns
    }

    /// What was taken of each line, in the order of the turns.
    pub(crate) fn in_order<T>(&self, taken: impl IntoIterator<Item = (usize, Vec<T>)>) -> Vec<T> {
        let mut lines: Vec<(usize, std::vec::IntoIter<T>)> =
            taken.into_iter().map(|(line, taken)| (line, taken.into_iter())).collect();
        let next = |line: &usize| lines.iter_mut().find(|(known, _)| known == line)?.1.next();
        self.0.iter().filter_map(next).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_in_the_order_of_the_turns() {
        let line = |turn| Line { turn, share: Share::default(), running: 0 };
        let plan = Plan::new([line(1), line(0)], 4);
        assert_eq!(plan.turns(), [(1, 2), (0, 2)]);
        assert_eq!(plan.in_order([(0, vec!["a1", "a2"]), (1, vec!["b1"])]), ["b1", "a1", "a2"]);
        assert!(Plan::new([], 4).turns().is_empty());
        assert_eq!(Plan::new([line(0)], 1000).turns(), [(0, BATCH)]);
    }

    #[test]
    fn a_share_is_what_its_columns_say() {
        assert_eq!(share(1, None).unwrap(), Share::default());
        assert_eq!(share(i64::MAX, Some(2)).unwrap().weight, NonZeroU32::MAX);
        assert!(share(0, None).is_err() && share(1, Some(-1)).is_err());
    }
}
