//! Edges in two flat arrays (compressed sparse rows).

use super::StageIndex;

/// The edges that leave each node: those of node `n` are `targets[offsets[n]..offsets[n + 1]]`.
#[derive(Clone)]
pub(super) struct Csr {
    offsets: Box<[u32]>,
    targets: Box<[StageIndex]>,
}

impl Csr {
    /// Rows that are already in order: `offsets` has one entry more than there are nodes.
    pub(super) fn from_rows(offsets: Vec<u32>, targets: Vec<StageIndex>) -> Self {
        Self { offsets: offsets.into_boxed_slice(), targets: targets.into_boxed_slice() }
    }

    /// The same edges the other way round, each row in ascending order, by counting: two passes over the edges.
    pub(super) fn reversed(&self) -> Self {
        let nodes = self.len();
        let mut offsets = vec![0_u32; nodes + 1];
        for target in &self.targets {
            offsets[target.index() + 1] += 1;
        }
        for node in 0..nodes {
            offsets[node + 1] += offsets[node];
        }
        // Each row is filled from its beginning; `next` ends as `offsets` shifted by one row, so the array itself
        // serves as the cursor and is shifted back afterwards, which saves an array of the same size.
        let mut targets = vec![StageIndex(0); self.targets.len()];
        for node in 0..nodes {
            for target in self.targets(StageIndex(node as u32)) {
                let at = &mut offsets[target.index()];
                targets[*at as usize] = StageIndex(node as u32);
                *at += 1;
            }
        }
        offsets.copy_within(0..nodes, 1);
        offsets[0] = 0;
        Self::from_rows(offsets, targets)
    }

    pub(super) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    pub(super) fn edge_count(&self) -> usize {
        self.targets.len()
    }

    pub(super) fn targets(&self, node: StageIndex) -> &[StageIndex] {
        &self.targets[self.offsets[node.index()] as usize..self.offsets[node.index() + 1] as usize]
    }
}
