//! What the benchmarks of BuildIt share: a subject and its peers or limits, measured in turn within one run.
//!
//! These machines are noisy, and a figure alone says little. So every goal is a ratio against something measured
//! beside it: [`Comparison`] runs subject and peers alternately, takes medians, and prints the ratio of each pair of
//! neighbours, whose spread shows how noisy the machine was. The same samples then go to criterion, for its statistics
//! and its comparison with earlier runs: it would measure one side after the other by itself.
//!
//! A [`Bench`] keeps the verdicts. A bench with a goal that was missed ends with exit code 1, after everything was
//! printed; with the environment variable `BUILDIT_BENCH_REPORT_ONLY` set, and when it only tries whether it works, it
//! ends with 0.
#![forbid(unsafe_code)]

pub mod records;
pub mod reference;
pub mod shapes;
pub mod stage_log;
pub mod subject;

use std::cell::Cell;
use std::process::ExitCode;
use std::time::Duration;

use criterion::Criterion;

/// Set, it lets a bench end with exit code 0 whatever it measured: for machines that are too noisy to judge by.
const REPORT_ONLY: &str = "BUILDIT_BENCH_REPORT_ONLY";

/// One run of a bench: what it was asked for, and which goals it missed.
#[derive(Debug, Default)]
pub struct Bench {
    missed: Vec<String>,
}

impl Bench {
    /// Whether the bench was called only to see that it works, as `cargo test --benches` and `-- --test` do: then it
    /// measures little and judges nothing. `cargo bench` passes `--bench`.
    #[must_use]
    pub fn is_test(&self) -> bool {
        let is_given = |name| std::env::args().any(|argument| argument == name);
        is_given("--test") || !is_given("--bench")
    }

    /// `tiny` when the bench is only tried, `full` otherwise.
    #[must_use]
    pub fn choose<T>(&self, tiny: T, full: T) -> T {
        if self.is_test() { tiny } else { full }
    }

    /// The size that was asked for by an argument that is a number.
    #[must_use]
    pub fn size(&self) -> Option<usize> {
        std::env::args().find_map(|argument| argument.parse().ok())
    }

    /// Measures, prints and judges.
    pub fn compare(&mut self, comparison: Comparison<'_>) {
        let name = comparison.name.clone();
        for ratio in comparison.run(self.is_test()) {
            if let Some(goal) = ratio.goal
                && ratio.median > goal
            {
                self.missed.push(format!("{name}, to {}: {:.3}, goal {goal:.3}", ratio.peer, ratio.median));
            }
        }
    }

    /// Prints and judges a figure that is no time.
    #[expect(clippy::print_stdout, reason = "a bench prints what it measured")]
    pub fn at_most(&mut self, what: &str, figure: f64, goal: f64, unit: &str) {
        let verdict = match (self.is_test(), figure <= goal) {
            (true, _) => "not judged",
            (false, true) => "met",
            (false, false) => "MISSED",
        };
        println!("  {what}: {figure:.3} {unit}; goal {goal:.3}: {verdict}");
        if figure > goal {
            self.missed.push(format!("{what}: {figure:.3} {unit}, goal {goal:.3}"));
        }
    }

    /// Says what is not measured here, and why.
    #[expect(clippy::print_stdout, reason = "a bench prints what it measured")]
    pub fn leave_out(&self, what: &str, why: &str) {
        println!("\n{what}: left out, {why}");
    }

    /// Ends the bench: the goals that were missed once more, and the exit code.
    #[must_use]
    #[expect(clippy::print_stdout, reason = "a bench prints what it measured")]
    pub fn end(self) -> ExitCode {
        if self.is_test() || self.missed.is_empty() {
            return ExitCode::SUCCESS;
        }
        println!("\ngoals missed: {}", self.missed.len());
        self.missed.iter().for_each(|missed| println!("  {missed}"));
        if std::env::var_os(REPORT_ONLY).is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

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
struct Ratio {
    peer: String,
    /// The median of the ratios subject / peer, pair by pair.
    median: f64,
    /// The least and the greatest of them.
    spread: (f64, f64),
    /// At most this much, if there is a goal.
    goal: Option<f64>,
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

    /// The same with something that is measured beside it so that readers can see it, without a goal.
    #[must_use]
    pub fn beside(self, peer: impl Into<String>, measure: impl FnMut() -> Duration + 'a) -> Self {
        self.with(peer, None, measure)
    }

    fn with(mut self, label: impl Into<String>, goal: Option<f64>, measure: impl FnMut() -> Duration + 'a) -> Self {
        self.sides.push(Side { label: label.into(), goal, measure: Box::new(measure), samples: Vec::new() });
        self
    }

    /// Measures all sides in turn, once unrecorded to warm up unless it is only tried, prints a table and gives the
    /// ratios.
    #[expect(clippy::print_stdout, reason = "a bench prints what it measured")]
    fn run(mut self, is_test: bool) -> Vec<Ratio> {
        if is_test {
            self.repetitions = 1;
        } else {
            for side in &mut self.sides {
                (side.measure)();
            }
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
                Some(goal) if is_test => format!("goal {goal:.3}: not judged"),
                Some(goal) if ratio.median <= goal => format!("goal {goal:.3}: met"),
                Some(goal) => format!("goal {goal:.3}: MISSED"),
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
        if !is_test {
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
