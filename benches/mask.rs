//! Masking a log with 20 secrets, against aho-corasick's own DFA over plain forms in the same run. Goal: more than 450
//! MiB/s.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use buildit::secret::Masker;
use buildit_benches::{Bench, Comparison};

/// How much is masked at once: what a reader of a log hands on.
const PIECE: usize = 64 * 1024;
/// How many bytes a second must be masked at least.
const LEAST: f64 = 450.0 * 1024.0 * 1024.0;

/// Lines as build tools print them, no two alike.
fn log(length: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(length + 200);
    let mut number = 1_u64;
    while text.len() < length {
        number = next(number);
        let line = format!(
            "INFO compiling crate {:08} of the workspace, took {:04} ms, digest {number:016x}\n",
            number % 99_999_999,
            number % 9_999
        );
        text.extend_from_slice(line.as_bytes());
    }
    text.truncate(length);
    text
}

/// Tokens of 40 characters, as forges give them out.
fn secrets() -> Vec<String> {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    let mut number = 7_u64;
    let mut letter = || {
        number = next(number);
        char::from(LETTERS[usize::try_from(number >> 58).unwrap_or(0)])
    };
    (0..20).map(|_| (0..40).map(|_| letter()).collect()).collect()
}

fn next(number: u64) -> u64 {
    number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
}

fn main() -> ExitCode {
    let mut bench = Bench::default();
    let text = log(bench.choose(256 * 1024, 16 * 1024 * 1024));
    let secrets = secrets();
    let values: Vec<_> = secrets.iter().map(|secret| secret.as_str().into()).collect();
    let masker = Arc::new(Masker::new(values.iter().map(|value| ("SECRET", value))).expect("they are long enough"));
    // 240 patterns, as many as 20 secrets have in a dozen forms each.
    let patterns: Vec<&str> = secrets.iter().flat_map(|secret| (0..12).map(|from| &secret[from..])).collect();
    let dfa = AhoCorasick::builder()
        .kind(Some(AhoCorasickKind::DFA))
        .match_kind(MatchKind::LeftmostLongest)
        .build(patterns)
        .expect("it is small");

    let mut out = Vec::with_capacity(2 * PIECE);
    let masked = || {
        let start = Instant::now();
        let mut stream = masker.stream();
        for piece in text.chunks(PIECE) {
            out.clear();
            stream.push(black_box(piece), &mut out);
        }
        stream.finish(&mut out);
        start.elapsed()
    };
    bench.compare(
        Comparison::new(format!("mask: {} KiB, 20 secrets in every form", text.len() >> 10), 21, masked)
            .against("450 MiB/s", 1.0, || Duration::from_secs_f64(text.len() as f64 / LEAST))
            .beside("DFA of 240 forms, search only", || {
                let start = Instant::now();
                black_box(text.chunks(PIECE).map(|piece| dfa.find_iter(black_box(piece)).count()).sum::<usize>());
                start.elapsed()
            }),
    );
    bench.end()
}
