//! Many rows in few statements.

use std::fmt::Write;

/// How many rows a statement has: the fewest statements, and few different ones, for each is prepared once.
const SIZES: [usize; 3] = [128, 16, 1];

/// An `INSERT` of many rows.
#[derive(Debug)]
pub(super) struct Bulk {
    /// Up to `VALUES`.
    pub(super) head: &'static str,
    /// How many columns each row has.
    pub(super) columns: usize,
    /// What follows the rows.
    pub(super) tail: &'static str,
}

impl Bulk {
    /// The rows in pieces, each with its statement.
    pub(super) fn pieces<'a, T>(&self, mut rows: &'a [T]) -> impl Iterator<Item = (String, &'a [T])> {
        std::iter::from_fn(move || {
            let size = SIZES.into_iter().find(|&size| size <= rows.len())?;
            let (piece, rest) = rows.split_at(size);
            rows = rest;
            Some((self.statement(size), piece))
        })
    }

    /// The statement of so many rows.
    pub(super) fn statement(&self, rows: usize) -> String {
        let row = format!("({})", vec!["?"; self.columns].join(","));
        let mut text = String::with_capacity(self.head.len() + self.tail.len() + rows * (row.len() + 1));
        let _ = write!(text, "{} {} {}", self.head, vec![&*row; rows].join(","), self.tail);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_rows_are_in_one_piece_or_another() {
        let bulk = Bulk { head: "INSERT INTO t VALUES", columns: 2, tail: "" };
        let rows: Vec<u32> = (0..150).collect();
        let pieces: Vec<_> = bulk.pieces(&rows).collect();
        assert_eq!(pieces.iter().map(|(_, rows)| rows.len()).collect::<Vec<_>>(), [128, 16, 1, 1, 1, 1, 1, 1]);
        assert_eq!(pieces.iter().flat_map(|(_, rows)| rows.iter().copied()).collect::<Vec<_>>(), rows);
        assert_eq!(pieces[2].0.trim(), "INSERT INTO t VALUES (?,?)");
    }
}
