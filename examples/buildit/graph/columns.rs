//! Where the boxes of a layered drawing stand.

use std::collections::HashMap;

use buildit::graph::GraphLayout;

/// The row of each stage within its column, by the stages' order. A stage stands near the middle of what it needs,
/// so that edges cross less; the order of the file decides between equals.
pub(crate) fn rows(layout: &GraphLayout) -> Vec<usize> {
    let place: HashMap<&str, usize> =
        layout.stages.iter().enumerate().map(|(index, stage)| (stage.name.as_str(), index)).collect();
    let mut needs: Vec<Vec<usize>> = vec![Vec::new(); layout.stages.len()];
    for (need, stage) in &layout.edges {
        if let (Some(&need), Some(&stage)) = (place.get(need.as_str()), place.get(stage.as_str())) {
            needs[stage].push(need);
        }
    }
    let mut columns: Vec<Vec<usize>> = Vec::new();
    for (index, stage) in layout.stages.iter().enumerate() {
        let level = stage.level as usize;
        if columns.len() <= level {
            columns.resize_with(level + 1, Vec::new);
        }
        columns[level].push(index);
    }
    let mut rows = vec![0; layout.stages.len()];
    for column in &mut columns {
        // Twice the mean keeps halves apart without floating point.
        let middle = |stage: &usize| {
            let needs = &needs[*stage];
            if needs.is_empty() { 0 } else { 2 * needs.iter().map(|&need| rows[need]).sum::<usize>() / needs.len() }
        };
        let mut keyed: Vec<(usize, usize)> = column.iter().map(|stage| (middle(stage), *stage)).collect();
        keyed.sort_unstable();
        for (row, (_, stage)) in keyed.into_iter().enumerate() {
            rows[stage] = row;
        }
    }
    rows
}
