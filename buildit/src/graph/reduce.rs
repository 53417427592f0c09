//! petgraph's algorithms on our arrays.

use petgraph::Direction;
use petgraph::algo::tred;
use petgraph::visit::{
    GraphBase, IntoNeighbors, IntoNeighborsDirected, IntoNodeIdentifiers, NodeCompactIndexable, NodeCount,
    NodeIndexable, Visitable,
};

use super::csr::Csr;
use super::{Graph, StageIndex};

/// Beyond this many stages the closure that the reduction is computed from may take gigabytes, and nobody looks at
/// such a drawing.
const REDUCED_UP_TO: usize = 4_096;

/// A graph with its edges in both directions, as petgraph wants to walk it.
pub(super) struct View<'a> {
    outgoing: &'a Csr,
    incoming: Csr,
}

impl<'a> View<'a> {
    pub(super) fn new(graph: &'a Graph) -> Self {
        Self { outgoing: &graph.dependents, incoming: graph.dependents.reversed() }
    }
}

/// The neighbours of a node as petgraph's node ids.
pub(super) struct Neighbors<'a>(std::slice::Iter<'a, StageIndex>);

impl Iterator for Neighbors<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.0.next().map(|stage| stage.0)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl GraphBase for View<'_> {
    type EdgeId = ();
    type NodeId = u32;
}

impl<'a> IntoNeighbors for &'a View<'_> {
    type Neighbors = Neighbors<'a>;

    fn neighbors(self, node: u32) -> Neighbors<'a> {
        Neighbors(self.outgoing.targets(StageIndex(node)).iter())
    }
}

impl<'a> IntoNeighborsDirected for &'a View<'_> {
    type NeighborsDirected = Neighbors<'a>;

    fn neighbors_directed(self, node: u32, direction: Direction) -> Neighbors<'a> {
        let edges = if direction == Direction::Outgoing { self.outgoing } else { &self.incoming };
        Neighbors(edges.targets(StageIndex(node)).iter())
    }
}

impl IntoNodeIdentifiers for &View<'_> {
    type NodeIdentifiers = std::ops::Range<u32>;

    fn node_identifiers(self) -> std::ops::Range<u32> {
        0..self.outgoing.len() as u32
    }
}

impl NodeCount for View<'_> {
    fn node_count(&self) -> usize {
        self.outgoing.len()
    }
}

impl NodeIndexable for View<'_> {
    fn node_bound(&self) -> usize {
        self.outgoing.len()
    }

    fn to_index(&self, node: u32) -> usize {
        node as usize
    }

    fn from_index(&self, index: usize) -> u32 {
        index as u32
    }
}

impl NodeCompactIndexable for View<'_> {}

impl Visitable for View<'_> {
    type Map = Visited;

    fn visit_map(&self) -> Visited {
        Visited(vec![false; self.outgoing.len()])
    }

    fn reset_map(&self, map: &mut Visited) {
        map.0.fill(false);
    }
}

/// Which nodes a walk has seen.
pub(super) struct Visited(Vec<bool>);

impl petgraph::visit::VisitMap<u32> for Visited {
    fn visit(&mut self, node: u32) -> bool {
        !std::mem::replace(&mut self.0[node as usize], true)
    }

    fn is_visited(&self, node: &u32) -> bool {
        self.0[*node as usize]
    }

    fn unvisit(&mut self, node: u32) -> bool {
        std::mem::replace(&mut self.0[node as usize], false)
    }
}

impl Graph {
    /// The edges (need, dependent) that no longer path implies, sorted: what a drawing shows. For more than 4,096
    /// stages, all edges.
    #[must_use]
    pub fn transitive_reduction(&self) -> Vec<(StageIndex, StageIndex)> {
        let mut edges = Vec::with_capacity(self.edge_count());
        if self.len() > REDUCED_UP_TO {
            for stage in self.stages() {
                edges.extend(self.dependents(stage).iter().map(|&dependent| (stage, dependent)));
            }
            return edges;
        }
        let order: Vec<u32> = self.topological_order().into_iter().map(|stage| stage.0).collect();
        let (sorted, _) = tred::dag_to_toposorted_adjacency_list::<_, u32>(&View::new(self), &order);
        let (reduced, _) = tred::dag_transitive_reduction_closure(&sorted);
        for (rank, &stage) in (0_u32..).zip(&order) {
            edges.extend(reduced.neighbors(rank).map(|to| (StageIndex(stage), StageIndex(order[to as usize]))));
        }
        edges.sort_unstable();
        edges
    }
}
