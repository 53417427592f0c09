//! The graph as a picture, left to right, that follows the reader's light or dark theme.

use std::collections::HashMap;
use std::fmt::Write;

use buildit::graph::GraphLayout;

use super::columns::rows;
use crate::text::fit_middle;

/// A box, and the gaps between boxes: those of the run page.
const WIDTH: usize = 168;
const HEIGHT: usize = 40;
const GAP_X: usize = 48;
const GAP_Y: usize = 12;
const MARGIN: usize = 24;
/// Characters of the label that fit into a box at 12 px of a monospaced font.
const LABEL: usize = 20;

const STYLE: &str = "
  .stage { fill: #f6f7f9; stroke: #c9ccd4 } .critical { stroke: #4338ca; stroke-width: 1.5 }
  text { font: 12px 'JetBrains Mono', ui-monospace, monospace; fill: #17181c }
  path { fill: none; stroke: #8a8d99 }
  @media (prefers-color-scheme: dark) {
    .stage { fill: #1b1d21; stroke: #3a3d45 } .critical { stroke: #8b93ff } text { fill: #ececf0 } path { stroke: #6b6f7a }
  }
";

/// The picture.
pub(crate) fn svg(layout: &GraphLayout) -> String {
    let rows = rows(layout);
    let place = |index: usize| {
        let stage = &layout.stages[index];
        (MARGIN + stage.level as usize * (WIDTH + GAP_X), MARGIN + rows[index] * (HEIGHT + GAP_Y))
    };
    let columns = layout.stages.iter().map(|stage| stage.level as usize + 1).max().unwrap_or(0);
    let tallest = rows.iter().map(|row| row + 1).max().unwrap_or(0);
    let width = 2 * MARGIN + (columns * (WIDTH + GAP_X)).saturating_sub(GAP_X);
    let height = 2 * MARGIN + (tallest * (HEIGHT + GAP_Y)).saturating_sub(GAP_Y);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n",
        escape(&layout.pipeline)
    );
    let index: HashMap<&str, usize> =
        layout.stages.iter().enumerate().map(|(index, stage)| (stage.name.as_str(), index)).collect();
    for (need, stage) in &layout.edges {
        let (Some(&need), Some(&stage)) = (index.get(need.as_str()), index.get(stage.as_str())) else { continue };
        let ((x1, y1), (x2, y2)) = (place(need), place(stage));
        let (x1, y1, y2) = (x1 + WIDTH, y1 + HEIGHT / 2, y2 + HEIGHT / 2);
        let bend = x1 + (x2 - x1) / 2;
        // Writing into a string cannot fail.
        let _ = writeln!(text, "<path d=\"M{x1} {y1} C{bend} {y1} {bend} {y2} {x2} {y2}\"/>");
    }
    for (index, stage) in layout.stages.iter().enumerate() {
        let (x, y) = place(index);
        let class = if stage.critical { "stage critical" } else { "stage" };
        let label = escape(&fit_middle(&stage.name, LABEL));
        let _ = writeln!(
            text,
            "<g><title>{}</title><rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"6\"/>\
             <text x=\"{}\" y=\"{}\">{label}</text></g>",
            escape(&stage.name),
            x + 12,
            y + HEIGHT / 2 + 4,
        );
    }
    text.push_str("</svg>\n");
    text
}

/// Text for XML. Controls may not stand in a document at all.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            character if character.is_control() || matches!(character, '\u{fffe}' | '\u{ffff}') => {
                escaped.push('\u{fffd}')
            }
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use buildit::graph::Graph;
    use buildit::pipeline::{PipelineBuilder, StageBuilder};

    use super::*;

    fn layout(stages: &[(&str, &[&str])]) -> GraphLayout {
        let spec = PipelineBuilder::new("a <b>")
            .stages(stages.iter().map(|(name, needs)| StageBuilder::run(*name, "true").needs(needs.iter().copied())))
            .build();
        Graph::new(&spec).unwrap().layout(&spec)
    }

    #[test]
    fn names_never_become_markup() {
        let text = svg(&layout(&[("<script>\u{1}&\"", &[])]));
        assert!(text.contains("&lt;script&gt;\u{fffd}&amp;&quot;"), "{text}");
        assert!(!text.contains("<script"));
    }

    #[test]
    fn no_two_boxes_stand_on_each_other() {
        let layout = layout(&[("a", &[]), ("b", &[]), ("c", &["b"]), ("d", &["a"]), ("e", &["a", "d"]), ("f", &[])]);
        let rows = rows(&layout);
        let mut places: Vec<_> = layout.stages.iter().zip(&rows).map(|(stage, row)| (stage.level, *row)).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), layout.stages.len());
        let row = |name: &str| rows[layout.stages.iter().position(|stage| stage.name == *name).unwrap()];
        assert!(row("d") < row("c"), "each stands beside what it needs");
    }
}
