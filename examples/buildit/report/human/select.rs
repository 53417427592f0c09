//! Which rows of the tree are drawn when not all of them fit.

use indexmap::IndexMap;

use super::super::{Board, Mark};

/// A row of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    /// A stage by its place, and whether it stands below its matrix.
    Stage { index: usize, nested: bool },
    /// A matrix, by the places of its cells.
    Matrix { cells: Vec<usize> },
    /// Stages that are not drawn one by one.
    Folded { mark: Mark, count: usize },
}

/// How interesting a row is while the run goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Interest {
    Bad,
    Active,
    Next,
    Past,
}

impl Interest {
    fn of(mark: Mark) -> Self {
        match mark {
            Mark::Failed | Mark::Infrastructure | Mark::Allowed => Self::Bad,
            Mark::Running | Mark::Waiting => Self::Active,
            Mark::Queued => Self::Next,
            Mark::Succeeded | Mark::Skipped | Mark::Cancelled => Self::Past,
        }
    }
}

/// At most `budget` rows, in the order of the pipeline. What failed or runs is kept longest, then what comes next;
/// the rest is counted.
pub(crate) fn rows(board: &Board, budget: usize) -> Vec<Row> {
    let marks: Vec<Mark> = board.stages.values().map(Mark::of).collect();
    let all = tree(board, &marks);
    if all.len() <= budget {
        return all;
    }
    let interest = |row: &Row| match row {
        Row::Stage { index, .. } => Interest::of(marks[*index]),
        // A matrix stands with its most interesting cell.
        Row::Matrix { cells } => cells.iter().map(|&cell| Interest::of(marks[cell])).min().unwrap_or(Interest::Past),
        Row::Folded { .. } => Interest::Past,
    };
    // One line for each mark that is folded; there are no more than six that can be.
    let room = budget.saturating_sub(4).max(1);
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|&place| interest(&all[place]));
    order.truncate(room);
    order.retain(|&place| interest(&all[place]) < Interest::Past);
    order.sort_unstable();

    let mut chosen = vec![false; marks.len()];
    let mut kept: Vec<Row> = Vec::with_capacity(budget);
    for place in order {
        match &all[place] {
            Row::Stage { index, .. } => chosen[*index] = true,
            Row::Matrix { .. } if has_nested(&all, place) => {}
            Row::Matrix { cells } => cells.iter().for_each(|&cell| chosen[cell] = true),
            Row::Folded { .. } => {}
        }
        kept.push(all[place].clone());
    }
    let mut folded: IndexMap<&'static str, (Mark, usize)> = IndexMap::new();
    for (_, &mark) in chosen.iter().zip(&marks).filter(|(chosen, _)| !**chosen) {
        folded.entry(mark.shape()).or_insert((mark, 0)).1 += 1;
    }
    let mut folded: Vec<_> = folded.into_values().collect();
    folded.sort_by_key(|&(mark, _)| Interest::of(mark));
    let (before, after): (Vec<_>, Vec<_>) =
        folded.into_iter().partition(|&(mark, _)| Interest::of(mark) == Interest::Past);
    let fold = |(mark, count)| Row::Folded { mark, count };
    before.into_iter().map(fold).chain(kept).chain(after.into_iter().map(fold)).take(budget.max(1)).collect()
}

/// Whether the matrix at this place has cells of its own below it.
fn has_nested(rows: &[Row], place: usize) -> bool {
    matches!(rows.get(place + 1), Some(Row::Stage { nested: true, .. }))
}

/// All rows: a matrix whose cells are all in one state is one row, else those of its cells that are not yet done or
/// failed stand below it.
fn tree(board: &Board, marks: &[Mark]) -> Vec<Row> {
    let mut matrices: IndexMap<&str, Vec<usize>> = IndexMap::new();
    for (index, shown) in board.stages.values().enumerate() {
        if let Some((of, _)) = &shown.cell {
            matrices.entry(of).or_default().push(index);
        }
    }
    let mut rows = Vec::with_capacity(marks.len());
    for (index, shown) in board.stages.values().enumerate() {
        let Some((of, _)) = &shown.cell else {
            rows.push(Row::Stage { index, nested: false });
            continue;
        };
        let Some(cells) = matrices.get(of.as_str()).filter(|cells| cells.first() == Some(&index)) else { continue };
        rows.push(Row::Matrix { cells: cells.clone() });
        let alike = cells.iter().all(|&cell| marks[cell] == marks[cells[0]]);
        if !alike || matches!(Interest::of(marks[index]), Interest::Active | Interest::Bad) {
            let worth = cells.iter().filter(|&&cell| Interest::of(marks[cell]) < Interest::Next);
            rows.extend(worth.map(|&index| Row::Stage { index, nested: true }));
        }
    }
    rows
}
