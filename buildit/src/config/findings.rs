//! What was found while reading, and the hints for what is not known.

use crate::diagnostic::{Diagnostic, Severity};
use crate::pipeline::Origin;

/// Collects findings, so that all of them are told at once.
#[derive(Debug, Default)]
pub(crate) struct Findings(pub(crate) Vec<Diagnostic>);

impl Findings {
    pub(crate) fn push(&mut self, finding: Diagnostic) {
        self.0.push(finding);
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.0.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// An error at this place.
    pub(crate) fn error(&mut self, code: &'static str, origin: Origin, message: impl Into<String>) {
        self.push(Diagnostic::error(code, message).with_origin(origin));
    }

    /// An error at this place, with a hint.
    pub(crate) fn hinted(
        &mut self,
        code: &'static str,
        origin: Origin,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Diagnostic::error(code, message).with_origin(origin).with_help(help));
    }

    /// A warning at this place, with a hint.
    pub(crate) fn warning(
        &mut self,
        code: &'static str,
        origin: Origin,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Diagnostic::warning(code, message).with_origin(origin).with_help(help));
    }

    /// An error at this place that also concerns an earlier one.
    pub(crate) fn related(
        &mut self,
        code: &'static str,
        origin: Origin,
        message: impl Into<String>,
        earlier: (Origin, &str),
    ) {
        let mut finding = Diagnostic::error(code, message).with_origin(origin);
        finding.related.push((earlier.0, earlier.1.to_owned()));
        self.push(finding);
    }
}

/// Words of other systems, and what they are called here.
const SYNONYMS: &[(&str, &str)] = &[
    ("after", "needs"),
    ("cmd", "run"),
    ("command", "run"),
    ("commands", "run"),
    ("container", "image"),
    ("continue-on-error", "allow-failure"),
    ("cron", "on"),
    ("depends_on", "needs"),
    ("depends-on", "needs"),
    ("docker", "image"),
    ("if", "when"),
    ("job", "stage"),
    ("outputs", "artifacts"),
    ("parameter", "param"),
    ("retries", "retry"),
    ("schedule", "on"),
    ("script", "run"),
    ("step", "run"),
    ("steps", "run"),
    ("strategy", "matrix"),
    ("task", "stage"),
    ("triggers", "on"),
    ("variables", "env"),
    ("working-directory", "workdir"),
];

/// A name longer than this is no misspelt word of ours, and comparing it would cost its length.
const LONGEST_WORD: usize = 40;

/// The known word that was probably meant.
pub(crate) fn similar<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST_WORD {
        return None;
    }
    let lower = word.to_ascii_lowercase();
    let synonym = SYNONYMS.iter().find(|(other, _)| *other == lower).map(|(_, ours)| *ours);
    let mut best = None;
    for candidate in known {
        if Some(candidate) == synonym {
            return Some(candidate);
        }
        if candidate.len() > LONGEST_WORD {
            continue;
        }
        let allowed = (word.len().max(candidate.len()) / 3).clamp(1, 3);
        // Words of very different lengths need no look: a broken file may hold a hundred thousand of them.
        if word.len().abs_diff(candidate.len()) > allowed {
            continue;
        }
        let distance = strsim::osa_distance(&lower, &candidate.to_ascii_lowercase());
        if distance <= allowed && distance < candidate.len() && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// `did you mean `image`?`, or the list of what is known.
pub(crate) fn suggestion(word: &str, known: &[&str], kind: &str) -> String {
    match similar(word, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if known.is_empty() => format!("no {kind} is known here"),
        None => format!("known here: {}", list(known)),
    }
}

/// `` `a`, `b` and `c` ``
pub(crate) fn list(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// A text as a message quotes it: short, and without control characters.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut shown: String = text.chars().take(LONGEST).map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}
