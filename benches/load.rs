//! KDL text to `PipelineSpec`, against the KDL parser alone.
//!
//! Goals: at most 1.15 times `KdlDocument::parse` of the same text; a text that a [`ParseCache`] has seen before under
//! 1 % of that.

use std::fmt::Write;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use buildit::config::{self, Options, ParseCache};
use buildit_benches::{Bench, Comparison};
use kdl::KdlDocument;

fn main() -> ExitCode {
    let mut bench = Bench::default();
    let stages = bench.choose(10, 1000);
    let mut serial = 0;
    // Each text is new, so that no branch predictor knows it.
    let mut fresh = || {
        serial += 1;
        text(stages, serial)
    };
    let mut other = 1_000_000;
    bench.compare(Comparison::new(format!("load: {stages} stages, new text"), 11, || load(&fresh())).against(
        "KdlDocument::parse",
        1.15,
        || {
            other += 1;
            parse(&text(stages, other))
        },
    ));

    let (known, cache, options) = (text(stages, 0), ParseCache::new(16), Options::default());
    let load_again = || {
        let started = Instant::now();
        black_box(cache.parse("load.kdl", &known, &options).expect("the text is valid"));
        started.elapsed()
    };
    load_again();
    bench.compare(Comparison::new(format!("load: {stages} stages, seen before"), 11, load_again).against(
        "1 % of KdlDocument::parse",
        1.0,
        || parse(&known) / 100,
    ));
    bench.end()
}

/// A pipeline with what stages usually have: about 270 bytes a stage.
fn text(stages: usize, serial: usize) -> String {
    let mut text = format!("// {serial}\npipeline \"load\"\n");
    for stage in 0..stages {
        let needs = stage.checked_sub(1).map(|before| format!("needs \"stage-{before}\"")).unwrap_or_default();
        writeln!(
            text,
            r#"stage "stage-{stage}" {{
    {needs}
    image "rust:1.90"
    env RUST_BACKTRACE="1" SHARD="{stage}"
    timeout "20m"
    retry 2 backoff="10s" on="lost"
    run "cargo build --release --package crate-{stage}"
    run "cargo test --package crate-{stage}"
    artifacts "target/release/crate-{stage}" name="binary-{stage}"
}}"#
        )
        .expect("a string takes it");
    }
    text
}

fn load(text: &str) -> Duration {
    let started = Instant::now();
    black_box(config::parse("load.kdl", text, &Options::default()).expect("the text is valid"));
    started.elapsed()
}

fn parse(text: &str) -> Duration {
    let started = Instant::now();
    black_box(KdlDocument::parse(text).expect("the text is valid"));
    started.elapsed()
}
