//! What the benchmarks of BuildIt share: a subject and its peers or limits, measured in turn within one run.
//!
//! These machines are noisy, and a figure alone says little. So every goal is a ratio against something measured
//! beside it: [`Comparison`] runs subject and peers alternately, takes medians, and prints the ratio of each pair of
//! neighbours, whose spread shows how noisy the machine was. The same samples then go to criterion, for its statistics
//! and its comparison with earlier runs: it would measure one side after the other by itself.
#![forbid(unsafe_code)]

pub mod reference;
pub mod shapes;
pub mod subject;

use std::cell::Cell;
use std::time::Duration;

use criterion::Criterion;

/// A subject and its peers, measured in turn.
pub struct Comparison<'a> {
    name: String,
    repetitions: usize,
    sides: Vec<Side<'a>>,
}

struct Side<'a> {
    label: String,
    goal: Option<f64>,
    measure: Box<dyn FnMut() -> Duration + 'a>,
    samples: Vec<Duration>,
}

impl std::fmt::Debug for Comparison<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Comparison").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How the subject stands against one peer.
#[derive(Clone, Debug)]
pub struct Ratio {
    /// The peer.
    pub peer: String,
    /// The median of the ratios subject / peer, pair by pair.
    pub median: f64,
    /// The least and the greatest of them.
    pub spread: (f64, f64),
    /// At most this much, if there is a goal.
    pub goal: Option<f64>,
}

impl<'a> Comparison<'a> {
    /// A comparison of this subject. A closure does the work once and gives the time that counts.
    pub fn new(name: impl Into<String>, repetitions: usize, subject: impl FnMut() -> Duration + 'a) -> Self {
        let comparison = Self { name: name.into(), repetitions, sides: Vec::new() };
        comparison.with("buildit", None, subject)
    }

    /// The same with a peer or limit, and how many times its time the subject may take.
    #[must_use]
    pub fn against(self, peer: impl Into<String>, goal: f64, measure: impl FnMut() -> Duration + 'a) -> Self {
        self.with(peer, Some(goal), measure)
    }

    fn with(mut self, label: impl Into<String>, goal: Option<f64>, measure: impl FnMut() -> Duration + 'a) -> Self {
        self.sides.push(Side { label: label.into(), goal, measure: Box::new(measure), samples: Vec::new() });
        self
    }

    /// Measures all sides in turn, once unrecorded to warm up, prints a table and gives the ratios.
    #[expect(clippy::print_stdout, reason = "a bench prints what it measured")]
    pub fn run(mut self) -> Vec<Ratio> {
        for side in &mut self.sides {
            (side.measure)();
        }
        for _ in 0..self.repetitions {
            for side in &mut self.sides {
                let sample = (side.measure)();
                side.samples.push(sample);
            }
        }
        let subject = self.sides[0].samples.clone();
        println!("\n{} ({} repetitions, in turn)", self.name, self.repetitions);
        println!("  {:<28} {:>12?}  (median)", self.sides[0].label, median(&subject));
        let mut ratios = Vec::new();
        for side in &self.sides[1..] {
            let mut pairs: Vec<f64> =
                subject.iter().zip(&side.samples).map(|(a, b)| a.as_secs_f64() / b.as_secs_f64()).collect();
            pairs.sort_by(f64::total_cmp);
            let ratio = Ratio {
                peer: side.label.clone(),
                median: pairs[pairs.len() / 2],
                spread: (pairs[0], pairs[pairs.len() - 1]),
                goal: side.goal,
            };
            let verdict = match side.goal {
                Some(goal) if ratio.median <= goal => format!("goal {goal}: met"),
                Some(goal) => format!("goal {goal}: MISSED"),
                None => String::new(),
            };
            println!(
                "  {:<28} {:>12?}  ratio {:.3} [{:.3}..{:.3}]  {verdict}",
                side.label,
                median(&side.samples),
                ratio.median,
                ratio.spread.0,
                ratio.spread.1,
            );
            ratios.push(ratio);
        }
        if !is_test_run() {
            self.report();
        }
        ratios
    }

    /// Gives the samples to criterion, which cannot take turns between its benchmarks by itself.
    fn report(&self) {
        let mut criterion = Criterion::default().configure_from_args().warm_up_time(Duration::from_nanos(1));
        let mut group = criterion.benchmark_group(self.name.replace('/', "-"));
        group.sample_size(self.repetitions.max(10));
        for side in &self.sides {
            let next = Cell::new(0);
            group.bench_function(&side.label, |bencher| {
                bencher.iter_custom(|iterations| {
                    let sample = side.samples[next.get() % side.samples.len()];
                    next.set(next.get() + 1);
                    sample.saturating_mul(u32::try_from(iterations).unwrap_or(u32::MAX)).max(Duration::from_nanos(1))
                });
            });
        }
        group.finish();
    }
}

/// The middle one of these times.
///
/// # Panics
///
/// When there is none.
#[must_use]
pub fn median(samples: &[Duration]) -> Duration {
    let mut sorted = samples.to_vec();
    sorted.sort();
    sorted[sorted.len() / 2]
}

/// Whether the bench was called only to see that it works, as `cargo test --benches` does: then it measures little.
#[must_use]
pub fn is_test_run() -> bool {
    std::env::args().any(|argument| argument == "--test")
}
