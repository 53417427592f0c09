//! `chain`: 100 k stages one after another, through the public `Engine::start`.
//!
//! | against | goal | what it does |
//! |---|---|---|
//! | spawn + await, from a worker | at most 1.0 | tokio spawns and awaits one task each within a worker of the runtime, where it is fastest: the task goes into the worker's own slot, and nothing wakes a thread |
//! | spawn + await, in `block_on` | none | the same awaited on the runtime's own thread: each task goes to a worker and back |
//!
//! A stage that is ready when its need ends is polled by the coordinator itself, so that nothing is handed from thread
//! to thread.
//!
//! Measured on 2 quiet cores: 0.94 us a stage against 0.32 from a worker, a ratio of 2.97 [2.73..3.07]: not met. Against `block_on` 0.04.
//! Each stage appends three events durably before the next one starts. The profile is flat; a turn for others after 512
//! stages instead of 128 rounds took a tenth off, because an idle thread takes the driver and finds its caches cold.

use std::process::ExitCode;
use std::time::Instant;

use buildit_benches::shapes::Shape;
use buildit_benches::subject::{self, Subject};
use buildit_benches::{Bench, Comparison, reference};

fn main() -> ExitCode {
    let mut bench = Bench::default();
    let size = bench.size().unwrap_or(bench.choose(500, 100_000));
    let runtime = subject::runtime();
    let spec = Shape::Chain.pipeline(size);
    let subject = Subject::new(&spec);
    subject.verify(&runtime);
    bench.compare(
        Comparison::new(format!("chain: {size}"), 7, || subject.schedule(&runtime))
            .against("spawn + await, from a worker", 1.0, || {
                let start = Instant::now();
                runtime.block_on(async { tokio::spawn(one_by_one(size)).await.expect("it ends") });
                start.elapsed()
            })
            .beside("spawn + await, in block_on", || {
                let start = Instant::now();
                runtime.block_on(one_by_one(size));
                start.elapsed()
            }),
    );
    bench.end()
}

async fn one_by_one(count: usize) {
    for _ in 0..count {
        tokio::spawn(reference::no_op()).await.expect("a task");
    }
}
