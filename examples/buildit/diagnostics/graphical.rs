//! A finding with the text that it is about, its place underlined.

use buildit::config::{Report, Sources};
use buildit::diagnostic::Diagnostic;
use miette::{GraphicalReportHandler, GraphicalTheme, ThemeCharacters, ThemeStyles};

use crate::report::{Palette, Theme, keep};
use crate::text::sanitize;

/// The finding as a person reads it.
pub(crate) fn graphical(finding: &Diagnostic, sources: &Sources, theme: Theme) -> String {
    let plain = theme.0 == Palette::Plain;
    let styles = if plain { ThemeStyles::none() } else { ThemeStyles::ansi() };
    let look = GraphicalTheme { characters: ThemeCharacters::unicode(), styles };
    let columns =
        console::Term::stderr().size_checked().map_or(100, |(_, columns)| usize::from(columns).clamp(40, 120));
    let handler = GraphicalReportHandler::new_themed(look).with_width(columns).with_context_lines(1).with_links(false);
    let mut text = String::new();
    if handler.render_report(&mut text, &Report::new(finding, sources)).is_err() {
        // A place outside of its text: the message alone is better than nothing.
        text = finding.to_string();
    }
    // Names and lines come from files that anybody may have written.
    let keep = keep(theme);
    text.lines().map(|line| format!("{}\n", sanitize(line, keep).trim_end())).chain(["\n".to_owned()]).collect()
}
