//! The graph as text: level by level, each stage with what it needs.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use buildit::graph::{GraphLayout, StageLayout};
use indexmap::IndexSet;

use crate::text::{clean, pad, width};

/// The stages in the order in which they can run. Stages of one level wait for nothing in it.
pub(crate) fn text(layout: &GraphLayout) -> String {
    let levels = layout.stages.iter().map(|stage| stage.level + 1).max().unwrap_or(0);
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let mut text = format!(
        "{}: {}, {}\n",
        clean(&layout.pipeline),
        plural(layout.stages.len(), "stage"),
        plural(levels as usize, "level")
    );
    let number = levels.to_string().len();
    let longest = layout.stages.iter().map(|stage| width(&stage.name)).max().unwrap_or(0).min(48);
    let mut stages: Vec<&StageLayout> = layout.stages.iter().collect();
    stages.sort_by_key(|stage| stage.level);
    let matrices = Matrices::new(layout);
    let mut before = None;
    for stage in stages {
        let shown = if before == Some(stage.level) { String::new() } else { (stage.level + 1).to_string() };
        if before != Some(stage.level) {
            text.push('\n');
        }
        before = Some(stage.level);
        let needs = matrices.needs(stage);
        let after = if needs.is_empty() { String::new() } else { format!("  after {}", needs.join(", ")) };
        let line = format!("  {shown:>number$}  {}{after}", pad(&stage.name, longest));
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// Which cells there are, and of what.
struct Matrices<'a> {
    of: HashMap<&'a str, &'a str>,
    cells: HashMap<&'a str, Vec<&'a str>>,
}

impl<'a> Matrices<'a> {
    fn new(layout: &'a GraphLayout) -> Self {
        let mut matrices = Self { of: HashMap::new(), cells: HashMap::new() };
        for stage in &layout.stages {
            if let Some(matrix) = &stage.matrix {
                matrices.of.insert(&stage.name, matrix);
                matrices.cells.entry(matrix).or_default().push(&stage.name);
            }
        }
        matrices
    }

    /// What a stage needs, a matrix by its own name when all of its cells are meant.
    fn needs(&self, stage: &'a StageLayout) -> Vec<&'a str> {
        let all: HashSet<&str> = stage.needs.iter().map(|need| need.as_str()).collect();
        let mut whole: HashMap<&str, bool> = HashMap::new();
        let mut names: IndexSet<&str> = IndexSet::new();
        for need in &stage.needs {
            let matrix = self.of.get(need.as_str()).filter(|matrix| {
                *whole.entry(matrix).or_insert_with(|| self.cells[**matrix].iter().all(|cell| all.contains(cell)))
            });
            names.insert(matrix.copied().unwrap_or(need.as_str()));
        }
        names.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use buildit::graph::Graph;
    use buildit::pipeline::{ExpandLimits, PipelineBuilder, StageBuilder};

    #[test]
    fn levels_and_needs_are_told() {
        let spec = PipelineBuilder::new("shop")
            .stage(StageBuilder::run("fmt", "true"))
            .stage(StageBuilder::run("test", "true").needs(["fmt"]).matrix([("db", ["postgres", "sqlite"])]))
            .stage(StageBuilder::run("docs", "true"))
            .stage(StageBuilder::run("ship", "true").needs(["test", "docs"]))
            .build()
            .expand(ExpandLimits::default())
            .unwrap();
        let layout = Graph::new(&spec).unwrap().layout(&spec);
        insta::assert_snapshot!(super::text(&layout));
    }
}
