//! What is wrong with a pipeline, with its place and a hint.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize};

use crate::id::StageName;
use crate::pipeline::Origin;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The pipeline cannot run.
    Error,
    /// It can, but it is probably not what was meant.
    Warning,
}

/// One finding about a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A stable code: `unknown-node`, `unknown-need`, `reference-in-single-quotes`.
    pub code: &'static str,
    /// One sentence, without a full stop.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
    /// Which part of the pipeline is meant, where it is known as data.
    pub part: Option<Part>,
    /// Where it was written.
    pub origin: Option<Origin>,
    /// Further places that matter, each with a word on why.
    pub related: Vec<(Origin, String)>,
}

/// A part of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The stage; `None` for the pipeline itself.
    pub stage: Option<StageName>,
    /// The part's path, as in [`Origins`](crate::pipeline::Origins): `run[0]`, `env.DATABASE`.
    pub path: Cow<'static, str>,
    /// The bytes of the part's value that are meant; `None` for all of it.
    pub range: Option<Range<usize>>,
}

impl Diagnostic {
    /// An error with this code.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            help: None,
            part: None,
            origin: None,
            related: Vec::new(),
        }
    }

    /// A warning with this code.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with its place.
    #[must_use]
    pub fn with_origin(mut self, origin: Origin) -> Self {
        self.origin = Some(origin);
        self
    }

    /// The same with the part that is meant.
    #[must_use]
    pub fn with_part(
        mut self,
        stage: Option<StageName>,
        path: impl Into<Cow<'static, str>>,
        range: Option<Range<usize>>,
    ) -> Self {
        self.part = Some(Part { stage, path: path.into(), range });
        self
    }
}

/// As `validate --output json` prints it: `severity`, `code`, `message`, `file`, `line`, `column`, `length`, `help`; what
/// is not known is `null`. The column counts characters, the length bytes.
impl Serialize for Diagnostic {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let origin = self.origin.as_ref();
        let mut object = serializer.serialize_struct("Diagnostic", 8)?;
        object.serialize_field("severity", &self.severity)?;
        object.serialize_field("code", self.code)?;
        object.serialize_field("message", &self.message)?;
        object.serialize_field("file", &origin.map(|origin| &*origin.file))?;
        object.serialize_field("line", &origin.map(|origin| origin.line))?;
        object.serialize_field("column", &origin.map(|origin| origin.column))?;
        object.serialize_field("length", &origin.map(|origin| origin.length))?;
        object.serialize_field("help", &self.help)?;
        object.end()
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        write!(f, "{}", self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

/// All findings about a pipeline, in the order of their places. As an error it holds at least one error.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// Whether any of them is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|finding| finding.severity == Severity::Error)
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{finding}")?;
        }
        Ok(())
    }
}
