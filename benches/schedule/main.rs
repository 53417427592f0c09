//! `schedule`: a whole run of no-op stages through the public `Engine::start`, with the memory store and every event
//! recorded; afterwards the events are counted and replayed.
//!
//! | against | goal | note |
//! |---|---|---|
//! | reference coordinator | at most 1.5 | flat arrays, one spawned task, at most 256 in flight, no events, no names; its graph is built before the clock starts, and the engine knows the pipeline from an earlier run |
//! | the same, compiled first | none | a new engine, which compiles the pipeline within the time; see `compile` for that part |
//! | `dag_exec`, parallel | at most 1.0 | two workers, its graph built before the clock starts |
//! | `operese-dagx` | at most 1.0 | a live fork of dagx; takes joins as tuples, so `wide` cannot be written and gets `fan` |
//! | `dagrs` | at most 0.1 | at 10 k stages and fewer: at 100 k it does not end within seconds |
//!
//! The exponent of growth from the smallest to the largest size is to be at most the reference's + 0.05.
//!
//! Measured on 2 quiet cores (medians), ratio to the reference at 10 k / 100 k / 1 M stages: wide 0.91 / 0.88 / 0.91, fan
//! 0.91 / 0.87 / 0.90, layered 0.86 / 0.86 / 0.83, random 0.89 / 0.89 / 1.04. Exponent beyond the reference's: wide 0.01,
//! fan 0.00, layered 0.01, random 0.04 (0.07 before what ended stages touch was fetched at once). To dag_exec 0.33 to
//! 0.88, but wide 10 k 1.08 [0.91..1.27]; to operese-dagx 0.02 to 0.39 (it is quadratic on `fan`); to dagrs at 10 k 0.05
//! to 0.09. Compiled first: about twice as long.
//!
//! `cargo bench --bench schedule` measures 10 k, 100 k and 1 M stages; a number as argument sets the largest size.

mod peers;

use std::process::ExitCode;
use std::time::Duration;

use buildit_benches::reference::{self, Csr};
use buildit_benches::shapes::Shape;
use buildit_benches::subject::{self, Subject};
use buildit_benches::{Bench, Comparison};

const SIZES: [usize; 3] = [10_000, 100_000, 1_000_000];

fn main() -> ExitCode {
    let mut bench = Bench::default();
    let largest = bench.size().unwrap_or(bench.choose(500, 1_000_000));
    let mut sizes: Vec<usize> = SIZES.into_iter().filter(|size| *size <= largest).collect();
    if sizes.is_empty() {
        sizes.push(largest);
    }
    let runtime = subject::runtime();
    for shape in [Shape::Wide, Shape::Fan, Shape::Layered, Shape::Random] {
        let mut growth: Vec<(f64, f64, f64)> = Vec::new();
        for &size in &sizes {
            let spec = shape.pipeline(size);
            let graph = Csr::of(shape, size);
            let subject = Subject::new(&spec);
            subject.verify(&runtime);
            let mut own = Vec::new();
            let mut limit = Vec::new();
            let repetitions = if size >= 1_000_000 { 3 } else { 7 };
            let mut comparison = Comparison::new(format!("schedule: {} {size}", shape.name()), repetitions, || {
                let took = subject.schedule(&runtime);
                own.push(took);
                took
            })
            .against("reference coordinator", 1.5, || {
                let took = reference::schedule(&runtime, &graph);
                limit.push(took);
                took
            })
            .beside("the same, compiled first", || Subject::new(&spec).schedule(&runtime));
            if size <= 100_000 {
                let mut dag = peers::DagExec::new(shape, size);
                comparison = comparison.against("dag_exec, parallel", 1.0, move || dag.run());
                if shape != Shape::Random {
                    comparison = comparison.against("operese-dagx", 1.0, || peers::dagx(&runtime, shape, size));
                }
            }
            if size <= 10_000 {
                comparison = comparison.against("dagrs", 0.1, || peers::dagrs(&runtime, shape, size));
            }
            bench.compare(comparison);
            let per_stage = |samples: &[Duration]| buildit_benches::median(samples).as_secs_f64() / size as f64;
            growth.push((size as f64, per_stage(&own), per_stage(&limit)));
        }
        if let ([first, ..], [.., last]) = (&growth[..], &growth[..])
            && growth.len() > 1
        {
            let exponent = |from: f64, to: f64| 1.0 + (to / from).ln() / (last.0 / first.0).ln();
            let (own, limit) = (exponent(first.1, last.1), exponent(first.2, last.2));
            let what = format!("growth {}: exponent above the reference's {limit:.3}", shape.name());
            bench.at_most(&what, own - limit, 0.05, "");
        }
    }
    bench.end()
}
