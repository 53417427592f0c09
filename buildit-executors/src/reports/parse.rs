//! From XML to tests.

use std::time::Duration;

use junit_parser::{RerunOrFlakyKind, TestCase, TestStatus as Parsed, TestSuite};

use super::markup::{MAX_DEPTH, too_deep, with_plain_texts};
use super::{Reports, TestName, TestResult, TestStatus};

/// How much of a text is kept, in bytes: names and messages are read in a line, details are looked into.
const MAX_NAME: usize = 1024;
const MAX_MESSAGE: usize = 4 * 1024;
const MAX_DETAILS: usize = 16 * 1024;

/// How many files that could not be read are named.
const MAX_UNREAD: usize = 100;

impl Reports {
    /// Takes in a file.
    pub fn add(&mut self, file: &str, xml: &[u8]) {
        if too_deep(xml) {
            return self.pass_over(file.to_owned(), format!("elements lie more than {MAX_DEPTH} deep"));
        }
        match junit_parser::from_reader(&*with_plain_texts(xml)) {
            Ok(all) => all.suites.iter().for_each(|suite| self.add_suite("", suite)),
            Err(error) => self.pass_over(file.to_owned(), error.to_string()),
        }
    }

    /// Notes a file that is not read.
    pub(super) fn pass_over(&mut self, file: String, why: String) {
        if self.unread.len() < MAX_UNREAD {
            self.unread.push((file, cut(&why, MAX_MESSAGE)));
        }
    }

    fn add_suite(&mut self, around: &str, suite: &TestSuite) {
        let name = match (around, suite.name.as_str()) {
            ("", name) => cut(name, MAX_NAME),
            (around, "") => around.to_owned(),
            (around, name) => cut(&format!("{around}/{name}"), MAX_NAME),
        };
        for (place, case) in suite.cases.iter().enumerate() {
            // One without a name is told apart by its place.
            let own = if case.original_name.is_empty() { &format!("test {}", place + 1) } else { &case.original_name };
            let test = TestName {
                suite: name.clone(),
                class: cut(case.classname.as_deref().unwrap_or_default(), MAX_NAME),
                name: cut(own, MAX_NAME),
            };
            let mut result = result(case);
            // Tried again under the same name.
            if let Some(before) = self.tests.get(&test) {
                let has_failed = before.status == TestStatus::Failed || before.is_flaky;
                result.is_flaky |= has_failed && result.status == TestStatus::Passed;
            }
            self.tests.insert(test, result);
        }
        suite.suites.iter().for_each(|inner| self.add_suite(&name, inner));
    }
}

fn result(case: &TestCase) -> TestResult {
    let (status, message, kind, details) = match &case.status {
        Parsed::Success => (TestStatus::Passed, "", "", ""),
        Parsed::Skipped(why) => (TestStatus::Skipped, &*why.message, &*why.skipped_type, &*why.text),
        Parsed::Failure(why) => (TestStatus::Failed, &*why.message, &*why.failure_type, &*why.text),
        Parsed::Error(why) => (TestStatus::Failed, &*why.message, &*why.error_type, &*why.text),
    };
    // Some write no message: then what is told begins with it, or its type says something.
    let told = [message, details.lines().next().unwrap_or_default(), kind];
    let message = told.into_iter().map(str::trim).find(|text| !text.is_empty()).unwrap_or_default();
    let was_flaky = case
        .reruns
        .iter()
        .any(|rerun| matches!(rerun.kind, RerunOrFlakyKind::FlakyFailure | RerunOrFlakyKind::FlakyError));
    let place = match (&case.file, case.line) {
        (Some(file), Some(line)) => format!("{file}:{line}"),
        (Some(file), None) => file.clone(),
        (None, _) => String::new(),
    };
    TestResult {
        status,
        is_flaky: status == TestStatus::Passed && was_flaky,
        duration: Duration::try_from_secs_f64(case.time).unwrap_or_default(),
        message: cut(message, MAX_MESSAGE),
        details: cut(details.trim_end(), MAX_DETAILS),
        place: cut(&place, MAX_NAME),
    }
}

/// The beginning of a text that is longer than this many bytes.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(most)])
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn of(xml: &str) -> Reports {
        let mut reports = Reports::default();
        reports.add("report.xml", xml.as_bytes());
        reports
    }

    fn lines(reports: &Reports) -> Vec<String> {
        reports.statuses().map(|(test, status)| format!("{test}: {status:?}")).collect()
    }

    #[test]
    fn suites_in_suites_give_their_tests() {
        let reports = of(r#"<testsuites><testsuite name="unit">
            <testcase name="adds" classname="math.Add"/>
            <testcase name="divides"><failure message="by zero">…</failure></testcase>
            <testsuite name="slow"><testcase name="waits"><skipped/></testcase>
              <testcase name="breaks"><error/></testcase></testsuite>
        </testsuite></testsuites>"#);
        let expected = [
            "unit › divides: Failed",
            "math.Add › adds: Passed",
            "unit/slow › breaks: Failed",
            "unit/slow › waits: Skipped",
        ];
        assert_eq!(lines(&reports), expected);
        assert!(reports.unread.is_empty());
    }

    #[test]
    fn the_last_report_of_a_test_counts() {
        let reports =
            of(r#"<testsuite name="s"><testcase name="a"><failure/></testcase><testcase name="a"/></testsuite>"#);
        assert_eq!(lines(&reports), ["s › a: Passed"]);
    }

    #[test]
    fn what_is_no_report_is_told_with_its_file() {
        for xml in ["<testsuite name=\"s\"><testcase name=\"a\"", "{}", "\0\0", "<testsuite><testcase></testsuite>"] {
            let reports = of(xml);
            assert!(reports.tests.is_empty(), "{xml}: {reports:?}");
        }
        assert_eq!(of("<testsuite><testcase name=\"a\"></testsuite>").unread[0].0, "report.xml");
    }

    #[test]
    fn g7_a_deep_report_is_refused_before_it_is_parsed() {
        for suite in
            ["<testsuite name=\"s\">", "<testsuite><!--</testsuite>-->", "<testsuite name='/>'>", "<testsuite \n>"]
        {
            let deep = suite.repeat(100_000);
            assert!(of(&deep).unread[0].1.contains("64 deep"), "{suite}");
        }
        let wide = format!("<testsuites>{}</testsuites>", "<testsuite name=\"s\"/>".repeat(1000));
        assert!(of(&wide).unread.is_empty());
    }

    #[test]
    fn a_test_tells_why_it_failed_and_how_long_it_took() {
        let reports = of(r#"<testsuite name="s"><testcase name="a" time="1.5" file="src/a.rs" line="12">
            <failure message="left is 1&#10;right is 2" type="Assertion"><![CDATA[at <a>
at b]]></failure></testcase>
            <testcase name="b" time="-1"><error type="Broken"/></testcase>
            <testcase name="c" time="NaN"><skipped>not today</skipped></testcase></testsuite>"#);
        let [a, b, c] = reports.tests.values().collect::<Vec<_>>()[..] else { panic!("{reports:?}") };
        assert_eq!((a.duration, a.place.as_str()), (Duration::from_millis(1500), "src/a.rs:12"));
        assert_eq!((a.message.as_str(), a.details.as_str()), ("left is 1\nright is 2", "at <a>\nat b"));
        assert_eq!((b.status, b.duration, b.message.as_str()), (TestStatus::Failed, Duration::ZERO, "Broken"));
        assert_eq!((c.status, c.duration, c.message.as_str()), (TestStatus::Skipped, Duration::ZERO, "not today"));
    }

    #[test]
    fn no_character_of_a_stack_is_lost() {
        let reports = of(
            "<testsuite><testcase name=\"a\"><failure>at Main.&lt;init&gt; &amp;amp; &#65;\n  at ]]&gt; <![CDATA[a &lt; b]]></failure></testcase></testsuite>",
        );
        let told = reports.tests.values().next().map(|result| result.details.as_str());
        assert_eq!(told, Some("at Main.<init> &amp; A\n  at ]] > \na &lt; b"));
    }

    #[test]
    fn a_test_that_passes_at_last_is_flaky() {
        let reports = of(r#"<testsuite name="s"><testcase name="a"><failure/></testcase><testcase name="a"/>
            <testcase name="b"><flakyFailure message="once"/></testcase>
            <testcase name="c"><failure/><rerunFailure/></testcase><testcase name="d"/></testsuite>"#);
        let flaky = reports.tests.iter().filter(|(_, result)| result.is_flaky).map(|(test, _)| test.name.as_str());
        assert_eq!(flaky.collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn g7_long_texts_are_cut() {
        let long = "ü".repeat(MAX_DETAILS);
        let reports = of(&format!(
            r#"<testsuite name="s"><testcase name="{long}"><failure message="{long}">{long}</failure></testcase></testsuite>"#
        ));
        let (name, result) = reports.tests.first_key_value().unwrap();
        assert!(name.name.len() <= MAX_NAME + 3 && name.name.ends_with('…'));
        assert!(result.message.len() <= MAX_MESSAGE + 3 && result.details.len() <= MAX_DETAILS + 3);
    }

    #[test]
    fn g7_entities_of_a_document_are_not_spread() {
        let bomb = r#"<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c SYSTEM "file:///etc/passwd">]>
            <testsuite name="s"><testcase name="a"><failure message="m">&b;&c;</failure></testcase></testsuite>"#;
        let reports = of(bomb);
        let told: Vec<&str> = reports.tests.values().map(|result| result.details.as_str()).collect();
        assert_eq!(told, ["&b;&c;"], "as it is written");
        assert!(of(&bomb.replace("message=\"m\"", "message=\"&b;\"")).tests.is_empty(), "it is told, and not read");
    }

    #[test]
    fn what_many_runners_write_is_read() {
        // Passed, skipped and failed, as those who published them count.
        let published = [
            ("bazel-suite-logs.xml", [0, 0, 1]),
            ("jest-jest-junit.xml", [2, 0, 0]),
            ("minimal-attributes.xml", [1, 1, 2]),
            ("no-attributes.xml", [1, 1, 2]),
            ("no-cases.xml", [0, 0, 0]),
            ("pytest-junit.gloo.elastic.spark.tf.xml", [20, 2, 0]),
            ("pytest-junit.gloo.static.xml", [12, 12, 0]),
            ("pytest-junit.mpi.standalone.xml", [96, 1, 0]),
            ("scalatest-TEST-uk.co.gresearch.spark.diff.DiffOptionsSuite.xml", [5, 0, 0]),
            ("testsuite-root.xml", [5, 0, 0]),
            ("unsupported-unicode.xml", [1, 2, 4]),
            ("xunit-xunit.xml", [2, 0, 0]),
        ];
        let read = |name: &str| std::fs::read(Path::new("../../shared/fixtures/junit").join(name));
        for (name, expected) in published {
            let Ok(xml) = read(name) else {
                eprintln!("skipped: the published report {name} is not here");
                continue;
            };
            let mut reports = Reports::default();
            reports.add(name, &xml);
            let count = |wanted| reports.statuses().filter(|(_, status)| *status == wanted).count();
            let counts = [TestStatus::Passed, TestStatus::Skipped, TestStatus::Failed].map(count);
            assert_eq!((counts, reports.unread.len()), (expected, 0), "{name}");
        }
        if let Ok(xml) = read("pytest-corrupt-xml.xml") {
            let mut reports = Reports::default();
            reports.add("corrupt.xml", &xml);
            assert_eq!(reports.unread.len(), 1, "{reports:?}");
        }
    }
}
