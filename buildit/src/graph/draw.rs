//! The graph as DOT and as Mermaid.

use std::fmt::Write;

use super::{Graph, StageIndex};
use crate::pipeline::PipelineSpec;

impl Graph {
    /// The graph in Graphviz's language, the cells of a matrix in a box; without edges that a longer path implies.
    #[must_use]
    pub fn to_dot(&self, spec: &PipelineSpec) -> String {
        let mut text = format!("digraph {} {{\n  rankdir=LR\n  node [shape=box, style=rounded]\n", dot(&spec.name));
        self.each_group(spec, |group, stages| {
            let indent = if group.is_some() { "    " } else { "  " };
            if let Some((number, name)) = group {
                let _ = writeln!(text, "  subgraph cluster_{number} {{\n    label={}", dot(name));
            }
            for stage in stages {
                let _ = writeln!(text, "{indent}{}", dot(self.name(*stage)));
            }
            if group.is_some() {
                text.push_str("  }\n");
            }
        });
        for (need, stage) in self.transitive_reduction() {
            let _ = writeln!(text, "  {} -> {}", dot(self.name(need)), dot(self.name(stage)));
        }
        text.push_str("}\n");
        text
    }

    /// The graph in Mermaid's language, the cells of a matrix in a box; without edges that a longer path implies.
    #[must_use]
    pub fn to_mermaid(&self, spec: &PipelineSpec) -> String {
        let mut text = String::from("flowchart LR\n");
        self.each_group(spec, |group, stages| {
            let indent = if group.is_some() { "    " } else { "  " };
            if let Some((number, name)) = group {
                let _ = writeln!(text, "  subgraph m{number} [{}]", mermaid(name));
            }
            for stage in stages {
                let _ = writeln!(text, "{indent}s{}[{}]", stage.index(), mermaid(self.name(*stage)));
            }
            if group.is_some() {
                text.push_str("  end\n");
            }
        });
        for (need, stage) in self.transitive_reduction() {
            let _ = writeln!(text, "  s{} --> s{}", need.index(), stage.index());
        }
        text
    }

    /// Walks the stages as they were written, cells of one matrix together; `group` numbers the matrices.
    fn each_group(&self, spec: &PipelineSpec, mut each: impl FnMut(Option<(usize, &str)>, &[StageIndex])) {
        let all: Vec<StageIndex> = self.stages().collect();
        let of = |stage: &StageIndex| spec.stages[stage.index()].cell.as_ref().map(|cell| cell.of.as_str());
        let mut number = 0;
        for group in all.chunk_by(|a, b| of(a) == of(b)) {
            let name = of(&group[0]);
            each(name.map(|name| (number, name)), group);
            number += usize::from(name.is_some());
        }
    }
}

/// A quoted name: in DOT only the quote and the backslash are special, and a line break would break the line.
fn dot(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 2);
    text.push('"');
    for letter in name.chars() {
        match letter {
            '"' | '\\' => text.extend(['\\', letter]),
            '\n' => text.push_str("\\n"),
            letter if letter.is_control() => text.push('\u{fffd}'),
            letter => text.push(letter),
        }
    }
    text.push('"');
    text
}

/// A quoted label: Mermaid renders labels as HTML and knows character references by number only.
fn mermaid(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 2);
    text.push('"');
    for letter in name.chars() {
        match letter {
            '"' | '<' | '>' | '&' | '#' | ';' | '`' | '\\' => {
                let _ = write!(text, "#{};", u32::from(letter));
            }
            letter if letter.is_control() => text.push(' '),
            letter => text.push(letter),
        }
    }
    text.push('"');
    text
}
