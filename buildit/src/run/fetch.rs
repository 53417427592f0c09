//! Memory fetched ahead: in a large pipeline each first look at a stage is a cache miss, and looks one after another wait
//! for one miss after another.

use std::hint::black_box;
use std::sync::Arc;

use super::Run;
use crate::graph::StageIndex;

/// With fewer the looks overlap by themselves.
const FEW: usize = 4;

impl Run {
    /// Has fetched what the jobs and events of these stages will share. Taking a share is atomic, so that those do not
    /// overlap by themselves.
    pub(crate) fn fetch_for_starts(&self, starting: &[StageIndex]) {
        let Self { fixed, .. } = self;
        let shares =
            |at: &StageIndex| Arc::strong_count(&fixed.spec.stages[at.index()]) ^ fixed.graph.name(*at).shares();
        black_box(starting.iter().fold(0, |all, at| all ^ shares(at)));
    }

    /// Has fetched what [`apply`](Self::apply) will look at when these stages finish. Applied one after another, each
    /// waits for three misses in a row: where its dependents stand, which they are, and their cells. Here each of the
    /// three is asked for of all stages at once.
    pub(crate) fn fetch_for_ends(&self, ending: impl ExactSizeIterator<Item = StageIndex> + Clone) {
        if ending.len() < FEW {
            return;
        }
        let Self { fixed, state } = self;
        let rows = ending.map(|stage| fixed.graph.dependents(stage));
        let places = rows.clone().map(<[_]>::len).sum::<usize>();
        let first = rows.clone().filter_map(<[_]>::first).fold(0, |all, stage| all ^ stage.index());
        let cells = rows.flatten().fold(0, |all, stage| all ^ state.cells[stage.index()].word);
        black_box((places, first, cells));
    }
}
