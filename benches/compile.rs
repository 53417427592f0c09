//! `compile`: from a [`PipelineSpec`] to its [`Graph`].
//!
//! | against | goal | what it does |
//! |---|---|---|
//! | names + CSR + Kahn | at most 1.5 | the least that must be done: names into a hash table with the same hash, needs looked up in it, edges into flat arrays, one pass of Kahn's algorithm |
//! | names + petgraph | at most 1.0 | the same names and the same hash, then `DiGraph` and `toposort` |
//!
//! Measured on 2 quiet cores, 1 M stages, times the two: wide 0.74 and 0.59, layered 0.78 and 0.51, random 0.66 and 0.29,
//! chain 1.01 and 0.66. A need is looked for first beside the one before it, which spares most looks into the table.
//! `Plan::compile` took 1.2 (random) to 2.7 (chain) times `Graph::new`.
//!
//! All read the names and needs out of the same spec. `cargo bench --bench compile` measures 1 M stages of each shape;
//! a number as argument sets another size.

use std::hash::BuildHasher;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use buildit::graph::Graph;
use buildit::pipeline::{ExpandLimits, PipelineSpec};
use buildit::plan::Plan;
use buildit_benches::shapes::Shape;
use buildit_benches::{Bench, Comparison};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use petgraph::graph::DiGraph;

/// Names to places, as lean as the graph's own.
fn names(spec: &PipelineSpec) -> (HashTable<u32>, RandomState) {
    let hasher = RandomState::default();
    let mut table = HashTable::with_capacity(spec.stages.len());
    let hash = |at: &u32| hasher.hash_one(spec.stages[*at as usize].name.as_str());
    for at in 0..spec.stages.len() as u32 {
        table.insert_unique(hash(&at), at, hash);
    }
    (table, hasher)
}

/// Calls `each` with (need, stage) for every need, looked up by name.
fn each_edge(spec: &PipelineSpec, mut each: impl FnMut(u32, u32)) {
    let (table, hasher) = names(spec);
    for (at, stage) in (0_u32..).zip(&spec.stages) {
        for need in &stage.needs {
            let found = table.find(hasher.hash_one(need.as_str()), |at| spec.stages[*at as usize].name == *need);
            each(*found.expect("a known need"), at);
        }
    }
}

/// The limit: names, CSR, Kahn. Gives how many stages were reached.
fn names_csr_kahn(spec: &PipelineSpec) -> usize {
    let count = spec.stages.len();
    let mut edges = Vec::new();
    let mut offsets = vec![0_u32; count + 2];
    let mut open = vec![0_u32; count];
    each_edge(spec, |need, stage| {
        edges.push((need, stage));
        offsets[need as usize + 2] += 1;
        open[stage as usize] += 1;
    });
    for at in 2..offsets.len() {
        offsets[at] += offsets[at - 1];
    }
    let mut targets = vec![0_u32; edges.len()];
    for (need, stage) in edges {
        let at = &mut offsets[need as usize + 1];
        targets[*at as usize] = stage;
        *at += 1;
    }
    let mut queue: Vec<u32> = (0..count as u32).filter(|at| open[*at as usize] == 0).collect();
    let mut next = 0;
    while let Some(&stage) = queue.get(next) {
        next += 1;
        for &dependent in &targets[offsets[stage as usize] as usize..offsets[stage as usize + 1] as usize] {
            open[dependent as usize] -= 1;
            if open[dependent as usize] == 0 {
                queue.push(dependent);
            }
        }
    }
    next
}

fn names_petgraph(spec: &PipelineSpec) -> usize {
    let edges: usize = spec.stages.iter().map(|stage| stage.needs.len()).sum();
    let mut graph = DiGraph::<(), ()>::with_capacity(spec.stages.len(), edges);
    let nodes: Vec<_> = spec.stages.iter().map(|_| graph.add_node(())).collect();
    each_edge(spec, |need, stage| {
        graph.add_edge(nodes[need as usize], nodes[stage as usize], ());
    });
    petgraph::algo::toposort(&graph, None).expect("no circle").len()
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    let made = black_box(work());
    let took = start.elapsed();
    drop(made);
    took
}

fn main() -> ExitCode {
    let mut bench = Bench::default();
    let size = bench.size().unwrap_or(bench.choose(1_000, 1_000_000));
    for shape in [Shape::Wide, Shape::Layered, Shape::Random, Shape::Chain] {
        let spec = shape.pipeline(size);
        let spec = &*spec;
        let graph = || timed(|| Graph::new(spec).expect("a valid pipeline"));
        bench.compare(
            Comparison::new(format!("compile: Graph::new, {} {size}", shape.name()), 5, graph)
                .against("names + CSR + Kahn", 1.5, || timed(|| assert_eq!(names_csr_kahn(spec), size)))
                .against("names + petgraph + toposort", 1.0, || timed(|| assert_eq!(names_petgraph(spec), size))),
        );
        let plan = || timed(|| Plan::compile(spec, ExpandLimits::default()).expect("a valid pipeline"));
        bench.compare(
            Comparison::new(format!("compile: Plan::compile, {} {size}", shape.name()), 3, plan)
                .beside("Graph::new", || timed(|| Graph::new(spec).expect("a valid pipeline"))),
        );
    }
    bench.end()
}
