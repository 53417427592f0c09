//! `chain`: 100 k stages one after another, through the public `Engine::start`.
//!
//! Goal: at most 1.0 of tokio's spawn + await of one task each, on the same runtime: a stage that is ready when its
//! need ends is polled by the coordinator itself, so that nothing is handed from thread to thread. The peer awaits
//! within a worker of the runtime, where tokio is fastest.
//!
//! Measured on 2 cores that others used as well: 2.5 us a stage against 0.23, a ratio of 7.7 to 10.5: not met yet.

use std::time::Instant;

use buildit_benches::shapes::Shape;
use buildit_benches::{Comparison, is_test_run, reference, subject};

fn main() {
    let asked = std::env::args().find_map(|argument| argument.parse().ok());
    let size = asked.unwrap_or(if is_test_run() { 500 } else { 100_000 });
    let runtime = subject::runtime();
    let spec = Shape::Chain.pipeline(size);
    let _ = subject::schedule(&runtime, &spec, true);
    Comparison::new(format!("chain: {size}"), 7, || subject::schedule(&runtime, &spec, false))
        .against("tokio spawn + await, one by one", 1.0, || {
            let start = Instant::now();
            runtime.block_on(async {
                let all = async move {
                    for _ in 0..size {
                        tokio::spawn(reference::no_op()).await.expect("a task");
                    }
                };
                tokio::spawn(all).await.expect("it ends");
            });
            start.elapsed()
        })
        .run();
}
