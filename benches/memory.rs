//! `memory`: what the scheduler's state takes, by a counting allocator.
//!
//! Goal: graph and run together at most 70 bytes a stage beyond names, spec and events, for 1 M layered stages with
//! 256 in flight, at the worst moment of the run. The 16 bytes by which the graph refers to each name are counted in.
//!
//! Measured on 2 shared cores (a count of bytes does not depend on the load): layered 62.5, random 62.9, wide 56.8,
//! chain 46.5 bytes a stage, of which 54.5, 54.5, 42.5 and 38.5 are the graph and 8 the run before it begins.

use std::alloc::System;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use buildit::graph::Graph;
use buildit::id::RunId;
use buildit::job::JobOutcome;
use buildit::pipeline::RunContext;
use buildit::run::{Input, Run, RunInfo};
use buildit_benches::Bench;
use buildit_benches::shapes::Shape;

/// Bytes a stage that the state may take.
const GOAL: f64 = 70.0;
/// Jobs that run at once.
const IN_FLIGHT: usize = 256;

#[expect(unsafe_code, reason = "an allocator that counts forwards to the system's")]
mod counting {
    use super::{AtomicUsize, Ordering, System};
    use std::alloc::{GlobalAlloc, Layout};

    /// Counts what is held, and the most that ever was.
    pub(crate) struct Counting {
        held: AtomicUsize,
        most: AtomicUsize,
    }

    impl Counting {
        pub(crate) const fn new() -> Self {
            Self { held: AtomicUsize::new(0), most: AtomicUsize::new(0) }
        }

        pub(crate) fn held(&self) -> usize {
            self.held.load(Ordering::Relaxed)
        }

        /// The most that was held since the last call.
        pub(crate) fn take_most(&self) -> usize {
            self.most.swap(self.held(), Ordering::Relaxed)
        }

        fn add(&self, bytes: usize) {
            let held = self.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
            self.most.fetch_max(held, Ordering::Relaxed);
        }
    }

    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            self.add(layout.size());
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
            self.held.fetch_sub(layout.size(), Ordering::Relaxed);
            unsafe { System.dealloc(pointer, layout) }
        }
    }
}

#[global_allocator]
static MEMORY: counting::Counting = counting::Counting::new();

#[expect(clippy::print_stdout, reason = "a bench prints what it measured")]
fn main() -> ExitCode {
    let mut bench = Bench::default();
    let size = bench.size().unwrap_or(bench.choose(10_000, 1_000_000));
    for shape in [Shape::Layered, Shape::Random, Shape::Wide, Shape::Chain] {
        let spec = shape.pipeline(size);
        let per_stage = |bytes: usize| bytes as f64 / size as f64;
        let before = MEMORY.held();
        let graph = Arc::new(Graph::new(&spec).expect("a valid pipeline"));
        let of_graph = MEMORY.held() - before;
        let info = RunInfo { id: RunId::new(), number: 1 };
        let mut run = Run::new(spec.clone(), graph, Arc::new(RunContext::manual()), info);
        let idle = MEMORY.held() - before;
        MEMORY.take_most();
        let events = drive(&mut run);
        let most = MEMORY.take_most() - before;
        assert_eq!(events, 2 + 3 * size);
        println!(
            "\nmemory: {} {size}: graph {:.1} + run {:.1} B/stage before it begins",
            shape.name(),
            per_stage(of_graph),
            per_stage(idle - of_graph),
        );
        bench.at_most(&format!("{} {size}, while it runs", shape.name()), per_stage(most), GOAL, "B/stage");
    }
    bench.end()
}

/// Drives the run to its end with so many jobs in flight; events are counted and dropped.
fn drive(run: &mut Run) -> usize {
    let now = "2026-01-01T00:00:00Z".parse().expect("a time");
    let mut out = Vec::new();
    let mut events = 0;
    run.advance(Input::Begin, now, &mut out).expect("it begins");
    let mut in_flight = std::collections::VecDeque::with_capacity(IN_FLIGHT);
    let executor = buildit::id::ExecutorName::from("none");
    loop {
        while in_flight.len() < IN_FLIGHT
            && let Some(stage) = run.next_ready(now)
        {
            let start = Input::Start { stage, executor: executor.clone() };
            run.advance(start, now, &mut out).expect("it is ready");
            in_flight.push_back(stage);
        }
        events += out.len();
        out.clear();
        let Some(stage) = in_flight.pop_front() else { return events };
        let end = Input::Finished { stage, attempt: 1, outcome: JobOutcome::succeeded() };
        run.advance(end, now, &mut out).expect("it runs");
    }
}
