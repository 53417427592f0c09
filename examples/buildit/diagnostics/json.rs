//! A finding as an object, as scripts may rely on.

use buildit::diagnostic::{Diagnostic, Severity};
use serde::Serialize;

use crate::report::VERSION;

#[derive(Serialize)]
struct Object<'a> {
    v: u8,
    r#type: &'static str,
    severity: Severity,
    code: &'static str,
    message: &'a str,
    file: Option<&'a str>,
    line: Option<u32>,
    column: Option<u32>,
    length: Option<u32>,
    help: Option<&'a str>,
}

/// The finding as one line. `file` is where it belongs when it has no place of its own.
pub(crate) fn json(finding: &Diagnostic, file: Option<&str>) -> String {
    let origin = finding.origin.as_ref();
    let object = Object {
        v: VERSION,
        r#type: "diagnostic",
        severity: finding.severity,
        code: finding.code,
        message: &finding.message,
        file: origin.map(|origin| &*origin.file).or(file),
        line: origin.map(|origin| origin.line),
        column: origin.map(|origin| origin.column),
        length: origin.map(|origin| origin.length),
        help: finding.help.as_deref(),
    };
    // Text and numbers only: nothing in it can fail to be written.
    serde_json::to_string(&object).unwrap_or_default()
}
