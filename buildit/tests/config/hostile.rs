//! No text makes the loader panic, hang or grow without bound (guarantee G7).

use std::time::Duration;

use buildit::config::{self, Limits, MemorySources, Options};
use proptest::prelude::*;
use rustix::time::{ClockId, clock_gettime};

fn first_code(text: &str) -> &'static str {
    match config::parse("x.kdl", text, &Options::default()) {
        Ok(_) => "valid",
        Err(invalid) => invalid.diagnostics.0[0].code,
    }
}

/// Runs on a stack as small as that of a worker, and within a time of the processor that no quadratic way would keep:
/// what else the machine does counts for nothing.
fn on_a_small_stack(limit: Duration, test: impl FnOnce() + Send + 'static) {
    let used = std::thread::Builder::new().stack_size(2 << 20).spawn(|| {
        test();
        let used = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
    });
    let used = used.unwrap().join().unwrap();
    assert!(used < limit, "took {used:?}");
}

#[test]
fn g7_deep_nesting_is_refused() {
    on_a_small_stack(Duration::from_secs(20), || {
        for n in [65, 400, 100_000] {
            assert_eq!(first_code(&format!("{}{}", "a {".repeat(n), "}".repeat(n))), "too-deep");
            assert_eq!(first_code(&"/*".repeat(n)), "too-deep");
        }
        // As deep as is allowed is parsed, and then refused for what it says.
        let nested = format!("{}{}", "a { ".repeat(64), "}".repeat(64));
        assert_eq!(first_code(&nested), "unknown-node");
    });
}

#[test]
fn g7_what_kills_the_parser_never_reaches_it() {
    on_a_small_stack(Duration::from_secs(60), || {
        let stage = "stage \"a\" { run \"x\" }\n";
        assert_eq!(first_code(&format!("/*{}*/\n{stage}", "*".repeat(1_000_000))), "valid");
        assert_eq!(first_code(&format!("/*{}*/\n{stage}", "a/ ".repeat(1_000_000))), "valid");
        assert_eq!(first_code(&format!("{stage}{}{}", "/-a {".repeat(60), "}".repeat(60))), "valid");
        assert_eq!(first_code(&format!("b{}{}", " /-{ c".repeat(60), "}".repeat(60))), "unknown-node");
        assert_eq!(first_code(&"}".repeat(500_000)), "unmatched-close");
        assert_ne!(first_code(&"\"".repeat(500_001)), "valid");
        assert_eq!(first_code(&"(".repeat(500_000)), "unexpected");
        assert_ne!(first_code(&"\"{{{{{{\"0\"{{{{".repeat(100_000)), "valid");
        assert_eq!(first_code(&"\\".repeat(500_000)), "bare-word");
    });
}

#[test]
fn g7_a_text_of_100_mib_is_refused_at_once() {
    let text = "stage \"a\" { run \"x\" }\n".repeat(5 << 20);
    on_a_small_stack(Duration::from_secs(2), move || assert_eq!(first_code(&text), "too-large"));
    let limits = Limits { bytes: 10, ..Limits::default() };
    let options = Options::default().with_limits(limits).with_includes(MemorySources::default());
    assert!(config::parse("x.kdl", "stage \"a\" { run \"x\" }", &options).is_err());
}

#[test]
fn g7_a_hundred_thousand_stages_are_read() {
    use std::fmt::Write;
    let mut text = String::new();
    for n in 0..100_000 {
        writeln!(text, "stage \"s{n}\" {{ run x }}").unwrap();
    }
    on_a_small_stack(Duration::from_secs(120), move || {
        let pipeline = config::parse("x.kdl", &text, &Options::default()).unwrap();
        assert_eq!(pipeline.spec().stages.len(), 100_000);
    });
}

#[test]
fn g7_a_huge_matrix_is_refused_at_once() {
    let text = include_str!("../corpus/invalid/huge_matrix.kdl");
    on_a_small_stack(Duration::from_secs(2), move || assert_eq!(first_code(text), "too-many-cells"));
}

#[test]
fn g7_many_of_anything_takes_no_quadratic_time() {
    use std::fmt::Write;
    let many = |count: usize, part: &dyn Fn(usize) -> String| {
        (0..count).fold(String::new(), |mut text, n| {
            write!(text, "{}", part(n)).unwrap();
            text
        })
    };
    let stage = |inner: String| format!("stage \"a\" {{ run \"x\"\n{inner}\n}}");
    let texts = [
        stage(format!("env {{ {} }}", many(10_000, &|n| format!("A{n} {n};")))),
        stage(format!("env {}", many(10_000, &|n| format!(" A{n}={n}")))),
        stage(format!("image \"x\" {}", many(10_000, &|n| format!(" p{n}={n}")))),
        stage(many(10_000, &|_| "timeout \"1m\"\n".to_owned())),
        stage(many(10_000, &|n| format!("n{n}\n"))),
        stage(format!("needs {}", many(10_000, &|n| format!(" b{n}")))),
        stage(format!("secrets {}", many(10_000, &|n| format!(" B{n}")))),
        stage(many(10_000, &|n| format!("secrets B{n}\n"))),
        stage(format!("artifacts {}", many(10_000, &|n| format!(" b{n}")))),
        many(10_000, &|n| format!("cache \"c{n}\" {{ path x; key y }};")),
        many(10_000, &|n| format!("param \"c{n}\";")),
        many(5_000, &|n| format!("stage \"a{n}\" use=\"t{n}\";")),
        format!("template \"t\" {{ imag x }};{}", many(5_000, &|n| format!("stage \"a{n}\" use=\"t\";"))),
        format!("a {}", "\u{85}ü ".repeat(100_000)),
    ];
    for text in texts {
        let start: String = text.chars().take(60).collect();
        on_a_small_stack(Duration::from_secs(10), move || {
            println!("{start}: {}", first_code(&text));
        });
    }
}

fn token() -> impl Strategy<Value = String> {
    let words = [
        "stage",
        "\"a\"",
        "\"b\"",
        "run",
        "\"x\"",
        "env",
        "A",
        "=",
        "{",
        "}",
        "{",
        "}",
        " ",
        " ",
        " ",
        "\n",
        ";",
        "needs",
        "matrix",
        "template",
        "use",
        "include",
        "on",
        "\"push\"",
        "image",
        "retry",
        "2",
        "-1",
        "1e400",
        "#true",
        "when",
        "\"${git.sha}\"",
        "\"${matrix.\"",
        "\"{git.sha}\"",
        "cache",
        "approval",
        "param",
        "timeout",
        "\"5m\"",
        "/-",
        "/*",
        "*/",
        "//",
        "\"\"\"",
        "#\"",
        "\\",
        "(",
        ")",
        "ü",
        "\u{0}",
        "\u{FEFF}",
        "exclude",
        "deploy",
        "strategy",
        "\"canary\"",
        "step",
        "service",
    ];
    prop_oneof![
        10 => prop::sample::select(words.to_vec()).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => "[ -~]{0,8}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn g7_no_text_makes_it_panic(tokens in prop::collection::vec(token(), 0..40)) {
        let text = tokens.concat();
        let options = Options::default().with_includes(MemorySources::default());
        if let Err(invalid) = config::parse("x.kdl", &text, &options) {
            prop_assert!(invalid.diagnostics.has_errors());
            for finding in &invalid.diagnostics.0 {
                let origin = finding.origin.as_ref();
                prop_assert!(origin.is_some_and(|origin| (origin.offset + origin.length) as usize <= text.len()), "{finding:?}");
            }
        }
        let _ = config::format("x.kdl", &text);
    }

    #[test]
    fn g7_no_bytes_make_it_panic(text in any::<String>()) {
        let _ = config::parse("x.kdl", &text, &Options::default());
        let _ = config::format("x.kdl", &text);
    }
}

/// The corpora of the fuzz targets run as tests too.
#[test]
fn g7_the_corpus_is_read_whole_and_in_pieces() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files = 0;
    for folder in ["valid", "invalid", "v1"] {
        for entry in std::fs::read_dir(corpus.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "kdl") {
                continue;
            }
            files += 1;
            let text = std::fs::read_to_string(path).unwrap();
            // Every cut of a file is a file that somebody is in the middle of writing.
            for at in (0..text.len()).step_by(7).filter(|at| text.is_char_boundary(*at)) {
                let _ = config::parse("x.kdl", &text[..at], &Options::default());
                let _ = config::parse("x.kdl", &text[at..], &Options::default());
            }
        }
    }
    assert!(files > 10);
}
