//! The reference coordinator: the least that schedules a graph of asynchronous jobs.
//!
//! One spawned task holds the graph in flat arrays with a countdown of needs for each stage, spawns a task for each
//! ready one, at most 256 at a time, and is told of ends through a channel that it empties in one go. It keeps no
//! record, knows no names and no outcomes.

use std::pin::Pin;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::shapes::Shape;

/// How many jobs the reference and the engine have in flight.
pub const IN_FLIGHT: usize = 256;

/// A boxed job, as any executor of arbitrary jobs has to hold it.
pub type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A job that does nothing.
#[must_use]
pub fn no_op() -> Job {
    Box::pin(async {})
}

/// Edges from each stage to those that need it, and how many needs each stage has.
#[derive(Debug)]
pub struct Csr {
    offsets: Vec<u32>,
    targets: Vec<u32>,
    open: Vec<u32>,
}

impl Csr {
    /// The flat arrays of a shape.
    #[must_use]
    pub fn of(shape: Shape, size: usize) -> Self {
        let (rows, needs) = shape.edges(size);
        let open: Vec<u32> = rows.windows(2).map(|row| row[1] - row[0]).collect();
        let mut offsets = vec![0_u32; size + 2];
        for need in &needs {
            offsets[*need as usize + 2] += 1;
        }
        for at in 2..offsets.len() {
            offsets[at] += offsets[at - 1];
        }
        let mut targets = vec![0_u32; needs.len()];
        for stage in 0..size {
            for need in &needs[rows[stage] as usize..rows[stage + 1] as usize] {
                let at = &mut offsets[*need as usize + 1];
                targets[*at as usize] = stage as u32;
                *at += 1;
            }
        }
        Self { offsets, targets, open }
    }

    fn dependents(&self, stage: u32) -> &[u32] {
        &self.targets[self.offsets[stage as usize] as usize..self.offsets[stage as usize + 1] as usize]
    }
}

/// Runs a no-op job for each stage; the time from the start of the coordinator to the last end.
///
/// # Panics
///
/// When the runtime is shut down.
#[must_use]
#[expect(clippy::expect_used, reason = "a bench stops when it cannot measure")]
pub fn schedule(runtime: &Runtime, graph: &Csr) -> Duration {
    let graph = Csr { offsets: graph.offsets.clone(), targets: graph.targets.clone(), open: graph.open.clone() };
    let start = Instant::now();
    let ended = runtime.block_on(async { tokio::spawn(coordinate(graph)).await.expect("it ends") });
    let took = start.elapsed();
    drop(ended);
    took
}

async fn coordinate(mut graph: Csr) -> Csr {
    let (ends, mut ended) = mpsc::unbounded_channel::<u32>();
    let mut ready: Vec<u32> = (0..graph.open.len() as u32).filter(|at| graph.open[*at as usize] == 0).collect();
    let mut next = 0;
    let (mut in_flight, mut done) = (0, 0);
    let mut batch = Vec::with_capacity(IN_FLIGHT);
    while done < graph.open.len() {
        while in_flight < IN_FLIGHT && next < ready.len() {
            let (stage, ends, job) = (ready[next], ends.clone(), no_op());
            next += 1;
            in_flight += 1;
            tokio::spawn(async move {
                job.await;
                let _ = ends.send(stage);
            });
        }
        let count = ended.recv_many(&mut batch, IN_FLIGHT).await;
        in_flight -= count;
        done += count;
        for stage in batch.drain(..) {
            for at in 0..graph.dependents(stage).len() {
                let dependent = graph.dependents(stage)[at];
                let open = &mut graph.open[dependent as usize];
                *open -= 1;
                if *open == 0 {
                    ready.push(dependent);
                }
            }
        }
    }
    graph
}
