//! Other schedulers of graphs, given the same shapes and jobs that do nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use buildit_benches::shapes::Shape;
use dag_exec::{DagBuilder, Executor, ExecutorConfig};
use dagrs::{Action, DefaultNode, EnvVar, Graph, InChannels, Node, NodeTable, OutChannels, Output};
use operese_dagx::{DagRunner, Task, TaskHandle, TaskInput};
use tokio::runtime::Runtime;

/// A built graph of `dag_exec`, which runs as often as one likes.
pub(crate) struct DagExec {
    dag: dag_exec::Dag<u32, (), ()>,
    last: Vec<u32>,
    executor: Executor,
}

impl DagExec {
    pub(crate) fn new(shape: Shape, size: usize) -> Self {
        let mut builder = DagBuilder::new();
        let mut needs = Vec::new();
        let mut needed = vec![false; size];
        for at in 0..size {
            needs.clear();
            shape.needs(size, at, &mut needs);
            needs.iter().for_each(|need| needed[*need as usize] = true);
            builder.add_task(at as u32, needs.clone(), |_: &[Arc<()>]| Ok(())).expect("a task");
        }
        // It computes what is asked for and what that needs, so the ends are asked for.
        let last = (0..size as u32).filter(|at| !needed[*at as usize]).collect();
        let executor = Executor::new(ExecutorConfig { max_workers: 2, max_in_flight: 256, worker_queue_cap: 128 });
        Self { dag: builder.build().expect("a graph"), last, executor }
    }

    pub(crate) fn run(&mut self) -> Duration {
        let start = Instant::now();
        let done = self.executor.run_parallel(&self.dag, self.last.iter().copied()).expect("it runs");
        let took = start.elapsed();
        drop(done);
        took
    }
}

struct Join<const NEEDS: usize>;

macro_rules! task {
    ($count:literal, ($($input:ty),*)) => {
        impl Task<($($input,)*)> for Join<$count> {
            type Output = u8;

            async fn run(self, _: TaskInput<'_, ($($input,)*)>) -> u8 {
                0
            }
        }
    };
}
task!(0, ());
task!(1, (u8));
task!(5, (u8, u8, u8, u8, u8));

/// `operese-dagx`; its graph is consumed by a run, so it is built anew before the clock starts.
pub(crate) fn dagx(runtime: &Runtime, shape: Shape, size: usize) -> Duration {
    let shape = if shape == Shape::Wide { Shape::Fan } else { shape };
    let mut dag = DagRunner::new();
    let mut tasks: Vec<TaskHandle<u8>> = Vec::with_capacity(size);
    let mut needs = Vec::new();
    for at in 0..size {
        needs.clear();
        shape.needs(size, at, &mut needs);
        let of = |at: usize| &tasks[needs[at] as usize];
        let task = match needs.len() {
            0 => dag.add_task(Join::<0>),
            1 => dag.add_task(Join::<1>).depends_on((of(0),)),
            _ => dag.add_task(Join::<5>).depends_on((of(0), of(1), of(2), of(3), of(4))),
        };
        tasks.push(task);
    }
    let start = Instant::now();
    let done = runtime.block_on(async move {
        let run = async move { dag.run(|job| async move { tokio::spawn(job).await.expect("a task") }).await };
        tokio::spawn(run).await.expect("it ends").expect("it runs")
    });
    let took = start.elapsed();
    drop(done);
    took
}

struct NoOp;

#[async_trait::async_trait]
impl Action for NoOp {
    async fn run(&self, _: &mut InChannels, _: &mut OutChannels, _: Arc<EnvVar>) -> Output {
        Output::empty()
    }
}

/// `dagrs`; its graph runs once.
pub(crate) fn dagrs(runtime: &Runtime, shape: Shape, size: usize) -> Duration {
    let mut table = NodeTable::default();
    let nodes: Vec<_> = (0..size).map(|at| DefaultNode::with_action(format!("s{at}"), NoOp, &mut table)).collect();
    let ids: Vec<_> = nodes.iter().map(|node| node.id()).collect();
    let mut graph = Graph::new();
    for node in nodes {
        graph.add_node(node).expect("a node");
    }
    let mut needs = Vec::new();
    for (at, id) in ids.iter().enumerate() {
        needs.clear();
        shape.needs(size, at, &mut needs);
        for need in &needs {
            graph.add_edge(ids[*need as usize], [*id]).expect("an edge");
        }
    }
    graph.set_env(EnvVar::new(table));
    let start = Instant::now();
    runtime.block_on(async move {
        tokio::spawn(async move { graph.async_start().await.map(drop) }).await.expect("it ends").expect("it runs");
    });
    start.elapsed()
}
