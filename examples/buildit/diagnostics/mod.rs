//! Findings about a pipeline, for people and for scripts.

mod graphical;
mod json;

use buildit::config::Sources;
use buildit::diagnostic::{Diagnostics, Severity};

use crate::out::Out;
use crate::report::Theme;

pub(crate) use json::json;

/// How findings are told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Teller {
    /// To people, on standard error.
    Human(Theme),
    /// To scripts, on standard output.
    Json,
}

impl Teller {
    /// Tells the findings. `file` is what they are about when they have no place of their own.
    pub(crate) fn tell(self, diagnostics: &Diagnostics, sources: &Sources, file: &str) {
        match self {
            Self::Json => {
                let mut out = Out::stdout();
                diagnostics.0.iter().for_each(|finding| out.line(&json(finding, Some(file))));
            }
            Self::Human(theme) => {
                let mut out = Out::stderr();
                diagnostics.0.iter().for_each(|finding| out.text(&graphical::graphical(finding, sources, theme)));
                if let Some(count) = count(diagnostics) {
                    out.line(&count);
                }
            }
        }
    }
}

/// `2 errors, 1 warning`.
fn count(diagnostics: &Diagnostics) -> Option<String> {
    let number = |severity| diagnostics.0.iter().filter(|finding| finding.severity == severity).count();
    let words: Vec<String> = [(number(Severity::Error), "error"), (number(Severity::Warning), "warning")]
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, word)| format!("{number} {word}{}", if number == 1 { "" } else { "s" }))
        .collect();
    (!words.is_empty()).then(|| words.join(", "))
}
