//! Orders: Kahn's algorithm, levels, the critical path.

use std::time::Duration;

use super::{Graph, StageIndex};

/// Kahn's algorithm: calls `visit` for each stage after all that it needs. A stage on a circle, or after one, is
/// never visited. Gives how many were.
fn kahn(graph: &Graph, mut visit: impl FnMut(StageIndex)) -> usize {
    let mut open = graph.in_degree.to_vec();
    let mut queue: Vec<StageIndex> = Vec::with_capacity(graph.len());
    queue.extend(graph.stages().filter(|stage| open[stage.index()] == 0));
    let mut next = 0;
    while let Some(&stage) = queue.get(next) {
        next += 1;
        visit(stage);
        for &dependent in graph.dependents(stage) {
            let open = &mut open[dependent.index()];
            *open -= 1;
            if *open == 0 {
                queue.push(dependent);
            }
        }
    }
    next
}

pub(super) fn is_acyclic(graph: &Graph) -> bool {
    kahn(graph, |_| ()) == graph.len()
}

impl Graph {
    /// All stages, each after what it needs; of those that may come next, the one that became so first.
    #[must_use]
    pub fn topological_order(&self) -> Vec<StageIndex> {
        let mut order = Vec::with_capacity(self.len());
        kahn(self, |stage| order.push(stage));
        order
    }

    /// The level of each stage by its index: 0 for one that needs nothing, else one more than the highest level
    /// among its needs.
    #[must_use]
    pub fn levels(&self) -> Vec<u32> {
        let mut levels = vec![0_u32; self.len()];
        kahn(self, |stage| {
            let next = levels[stage.index()] + 1;
            for dependent in self.dependents(stage) {
                let level = &mut levels[dependent.index()];
                *level = (*level).max(next);
            }
        });
        levels
    }

    /// The stages that decide how long the run takes at least, in order, when each takes as long as `duration` says.
    /// With the same duration for all it is a longest chain.
    pub fn critical_path(&self, mut duration: impl FnMut(StageIndex) -> Duration) -> Vec<StageIndex> {
        let mut start = vec![Duration::ZERO; self.len()];
        let mut through: Vec<Option<StageIndex>> = vec![None; self.len()];
        let mut last: Option<(Duration, StageIndex)> = None;
        kahn(self, |stage| {
            let end = start[stage.index()].saturating_add(duration(stage));
            if last.is_none_or(|(latest, _)| end > latest) {
                last = Some((end, stage));
            }
            for dependent in self.dependents(stage) {
                if through[dependent.index()].is_none() || end > start[dependent.index()] {
                    start[dependent.index()] = end;
                    through[dependent.index()] = Some(stage);
                }
            }
        });
        let mut path: Vec<_> =
            std::iter::successors(last.map(|(_, stage)| stage), |stage| through[stage.index()]).collect();
        path.reverse();
        path
    }
}
