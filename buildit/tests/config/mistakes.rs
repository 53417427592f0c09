//! What people get wrong, and what they are told.

use std::fmt::Write;

use buildit::config::{self, MemorySources, Options, Report};
use buildit::diagnostic::{Diagnostics, Severity};
use miette::{GraphicalReportHandler, GraphicalTheme};

fn rendered(name: &str, text: &str) -> String {
    let options = Options::default().with_includes(MemorySources::default());
    let (diagnostics, sources) = match config::parse(name, text, &options) {
        Ok(pipeline) => (pipeline.warnings().clone(), pipeline.sources().clone()),
        Err(invalid) => {
            assert!(invalid.diagnostics.has_errors());
            (invalid.diagnostics, invalid.sources)
        }
    };
    assert_places(&diagnostics, text);
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(110)
        .with_context_lines(1)
        .without_cause_chain();
    let mut shown = String::new();
    for report in Report::all(&diagnostics, &sources) {
        handler.render_report(&mut shown, &report).unwrap();
        writeln!(shown).unwrap();
    }
    shown
}

/// Every finding has a place within the text, and they come in the order of their places.
fn assert_places(diagnostics: &Diagnostics, text: &str) {
    let mut before = 0;
    for finding in &diagnostics.0 {
        let origin = finding.origin.as_ref().unwrap_or_else(|| panic!("no place: {finding}"));
        assert!((origin.offset + origin.length) as usize <= text.len(), "{finding}");
        assert!(text.is_char_boundary(origin.offset as usize));
        assert!(text.is_char_boundary((origin.offset + origin.length) as usize), "{finding}");
        assert!(origin.offset >= before, "not sorted: {finding}");
        before = origin.offset;
    }
}

#[test]
fn every_mistake_is_told_with_its_place() {
    insta::glob!("../corpus/invalid", "*.kdl", |path| {
        let text = std::fs::read_to_string(path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy();
        insta::assert_snapshot!(rendered(&name, &text));
    });
}

#[test]
fn what_is_valid_has_no_finding_but_warnings() {
    insta::glob!("../corpus/valid", "*.kdl", |path| {
        let text = std::fs::read_to_string(path).unwrap();
        let pipeline = config::parse("valid.kdl", &text, &Options::default()).unwrap_or_else(|e| panic!("{e}"));
        assert!(pipeline.warnings().0.iter().all(|finding| finding.severity == Severity::Warning));
        let formatted = config::format("valid.kdl", &text).unwrap();
        let again = config::parse("valid.kdl", &formatted, &Options::default()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(pipeline.spec().stages.len(), again.spec().stages.len());
    });
}

#[test]
fn json_has_the_fields_that_scripts_rely_on() {
    let invalid = config::parse("a.kdl", "stage \"a\" { rum \"x\" }", &Options::default()).unwrap_err();
    insta::assert_json_snapshot!(invalid.diagnostics.0, @r#"
    [
      {
        "severity": "error",
        "code": "unknown-node",
        "message": "`rum` is not known in `stage`",
        "file": "a.kdl",
        "line": 1,
        "column": 13,
        "length": 3,
        "help": "did you mean `run`?"
      }
    ]
    "#);
}

#[cfg(feature = "kdl-v1")]
#[test]
fn texts_of_kdl_1_are_read() {
    let pipeline = config::parse("v1.kdl", include_str!("../corpus/v1/old.kdl"), &Options::default()).unwrap();
    let stage = pipeline.spec().stage("a").unwrap();
    assert!(stage.allow_failure);
    assert_eq!(stage.run().unwrap().commands[0].source, r#"echo "hello""#);
    assert_eq!(stage.env["TEXT"], "two\nlines");
    let origin = stage.origins.get("run[0]").unwrap();
    assert_eq!((origin.line, origin.column, origin.length), (4, 9, 17));
}

#[cfg(not(feature = "kdl-v1"))]
#[test]
fn texts_of_kdl_1_get_hints() {
    let shown = rendered("v1.kdl", include_str!("../corpus/v1/old.kdl"));
    assert!(shown.contains("KDL 2 writes `#true`"), "{shown}");
    assert!(shown.contains("without `r`"), "{shown}");
}
