//! Findings with the text that they are about, for people to read.

use std::fmt;

use miette::{LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

use super::pipeline::InvalidPipeline;
use super::source::{Source, Sources};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::pipeline::Origin;

/// One finding with its text: a [`miette::Diagnostic`], so that any of miette's handlers can show it.
///
/// ```
/// use buildit::config::{self, Options, Report};
///
/// let invalid = config::parse("ci.kdl", "stage \"a\" { }", &Options::default()).unwrap_err();
/// let mut shown = String::new();
/// for report in Report::all(&invalid.diagnostics, &invalid.sources) {
///     miette::NarratableReportHandler::new().render_report(&mut shown, &report)?;
/// }
/// assert!(shown.contains("does nothing"));
/// # Ok::<(), std::fmt::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Report {
    finding: Diagnostic,
    source: Option<Source>,
}

impl Report {
    /// The finding, to be shown with the text of its place.
    #[must_use]
    pub fn new(finding: &Diagnostic, sources: &Sources) -> Self {
        let source = finding.origin.as_ref().and_then(|origin| sources.get(&origin.file)).cloned();
        Self { finding: finding.clone(), source }
    }

    /// All findings, in their order.
    pub fn all<'a>(findings: &'a Diagnostics, sources: &'a Sources) -> impl Iterator<Item = Self> + 'a {
        findings.0.iter().map(|finding| Self::new(finding, sources))
    }

    /// Further places: those of related findings, and where the template is used.
    fn further(&self) -> impl Iterator<Item = (&Origin, &str)> {
        let used = self.finding.origin.iter().filter_map(|origin| origin.used_at.as_deref());
        let related = self.finding.related.iter().map(|(origin, words)| (origin, words.as_str()));
        used.map(|origin| (origin, "used here")).chain(related)
    }

    /// Whether the place is in the text that is shown.
    fn shows(&self, origin: &Origin) -> bool {
        self.source.as_ref().is_some_and(|source| source.name() == &*origin.file)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.finding.message)
    }
}

impl std::error::Error for Report {}

impl miette::Diagnostic for Report {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.finding.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.finding.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let elsewhere = self.further().filter(|(origin, _)| !self.shows(origin)).map(|(origin, words)| {
            // Without a text to show it in, a place can still be named.
            format!("{}:{}:{}: {words}", origin.file, origin.line, origin.column)
        });
        let lines: Vec<String> = self.finding.help.iter().cloned().chain(elsewhere).collect();
        (!lines.is_empty()).then(|| Box::new(lines.join("\n")) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let origin = self.finding.origin.as_ref().filter(|origin| self.shows(origin))?;
        let further = self.further().filter(|(origin, _)| self.shows(origin));
        let further = further.map(|(origin, words)| LabeledSpan::new_with_span(Some(words.to_owned()), span(origin)));
        Some(Box::new(std::iter::once(LabeledSpan::new_primary_with_span(None, span(origin))).chain(further)))
    }
}

fn span(origin: &Origin) -> SourceSpan {
    SourceSpan::new((origin.offset as usize).into(), origin.length as usize)
}

impl SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let contents = self.text().read_span(span, before, after)?;
        Ok(Box::new(MietteSpanContents::new_named(
            self.name().to_owned(),
            contents.data(),
            *contents.span(),
            contents.line(),
            contents.column(),
            contents.line_count(),
        )))
    }
}

impl InvalidPipeline {
    /// Its findings with their texts, to be shown to people.
    pub fn reports(&self) -> impl Iterator<Item = Report> + '_ {
        Report::all(&self.diagnostics, &self.sources)
    }
}
