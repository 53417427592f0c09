//! What test runners report: the XML that JUnit began with and others write too, each in its own way.

use std::collections::BTreeMap;
use std::sync::Arc;

use buildit::artifact::BlobStore;
use buildit::id::Digest;
use junit_parser::{TestStatus as Parsed, TestSuite};

use crate::workspace::{Kind, Limits, WorkspaceError, load_archive, read_archive};

/// How large one file of reports may be; a larger one is passed over. The parser takes several times as much memory.
const MAX_FILE: u64 = 32 << 20;

/// How deep elements may lie in each other: no runner comes near.
const MAX_DEPTH: usize = 64;

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TestStatus {
    /// It passed.
    Passed,
    /// It was not run.
    Skipped,
    /// It failed, or could not be run to its end.
    Failed,
}

/// A test, as far as it is the same one in the next run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TestName {
    /// The suite, with those around it, outermost first: `unit/parser`.
    pub suite: String,
    /// The class, where the runner has one; else empty.
    pub class: String,
    /// Its own name.
    pub name: String,
}

impl std::fmt::Display for TestName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { suite, class, name } = self;
        let place = if class.is_empty() { suite } else { class };
        if place.is_empty() { f.write_str(name) } else { write!(f, "{place} › {name}") }
    }
}

/// The tests of some reports. One that is reported more than once, as runners do that try again, ended as its last
/// report says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reports {
    /// How each test ended.
    pub tests: BTreeMap<TestName, TestStatus>,
    /// The files that could not be read, each with the reason.
    pub unread: Vec<(String, String)>,
}

impl Reports {
    /// Takes in a file.
    pub fn add(&mut self, file: &str, xml: &[u8]) {
        if too_deep(xml) {
            self.unread.push((file.to_owned(), format!("elements lie more than {MAX_DEPTH} deep")));
            return;
        }
        match junit_parser::from_reader(xml) {
            Ok(all) => all.suites.iter().for_each(|suite| self.add_suite("", suite)),
            Err(error) => self.unread.push((file.to_owned(), error.to_string())),
        }
    }

    fn add_suite(&mut self, around: &str, suite: &TestSuite) {
        let name = match (around, suite.name.as_str()) {
            ("", name) => name.to_owned(),
            (around, "") => around.to_owned(),
            (around, name) => format!("{around}/{name}"),
        };
        for case in &suite.cases {
            let test = TestName {
                suite: name.clone(),
                class: case.classname.clone().unwrap_or_default(),
                name: case.original_name.clone(),
            };
            let status = match case.status {
                Parsed::Success => TestStatus::Passed,
                Parsed::Skipped(_) => TestStatus::Skipped,
                _ => TestStatus::Failed,
            };
            self.tests.insert(test, status);
        }
        suite.suites.iter().for_each(|inner| self.add_suite(&name, inner));
    }
}

/// Whether elements lie too deep in each other, of whatever name: the parser goes down by recursion. What is no XML ends
/// the count, as it ends the parser.
fn too_deep(xml: &[u8]) -> bool {
    let mut depth = 0_usize;
    let mut rest = xml;
    while let Some(at) = memchr::memchr(b'<', rest) {
        let tag = &rest[at + 1..];
        let sections: [(&[u8], &[u8]); 3] = [(b"!--", b"-->"), (b"![CDATA[", b"]]>"), (b"?", b"?>")];
        if let Some((begin, end)) = sections.into_iter().find(|(begin, _)| tag.starts_with(begin)) {
            let Some(length) = memchr::memmem::find(&tag[begin.len()..], end) else { return false };
            rest = &tag[begin.len() + length + end.len()..];
            continue;
        }
        let Some(length) = tag_end(tag) else { return false };
        match tag.first() {
            Some(b'/') => depth = depth.saturating_sub(1),
            Some(b'!') => {}
            _ if tag[..length].ends_with(b"/") => {}
            _ => depth += 1,
        }
        if depth > MAX_DEPTH {
            return true;
        }
        rest = &tag[length + 1..];
    }
    false
}

/// Where a tag ends: at the first `>` that is in no quotes.
fn tag_end(tag: &[u8]) -> Option<usize> {
    let mut quote = None;
    tag.iter().position(|&byte| match quote {
        Some(open) => {
            quote = (byte != open).then_some(open);
            false
        }
        None => {
            quote = matches!(byte, b'"' | b'\'').then_some(byte);
            byte == b'>'
        }
    })
}

/// Reads the archive of reports that a stage left.
///
/// # Errors
///
/// [`WorkspaceError`] when the archive is missing or damaged. A file in it that is no report is none.
pub async fn read_reports(blobs: &Arc<dyn BlobStore>, archive: &Digest) -> Result<Reports, WorkspaceError> {
    load_archive(blobs, archive, |archive| {
        let mut reports = Reports::default();
        read_archive(archive, Limits::strict(), |entry, content| {
            let file = entry.path.to_string_lossy().into_owned();
            match entry.kind {
                Kind::File(size) if size > MAX_FILE => {
                    reports.unread.push((file, format!("it has more than {MAX_FILE} bytes")));
                }
                Kind::File(_) => {
                    let mut xml = Vec::new();
                    content.read_to_end(&mut xml)?;
                    reports.add(&file, &xml);
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(reports)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(xml: &str) -> Reports {
        let mut reports = Reports::default();
        reports.add("report.xml", xml.as_bytes());
        reports
    }

    fn lines(reports: &Reports) -> Vec<String> {
        reports.tests.iter().map(|(test, status)| format!("{test}: {status:?}")).collect()
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
}
