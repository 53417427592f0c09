//! Whether the stages whose results a text reads exist and come before it.

use std::collections::HashMap;
use std::ops::Range;

use super::findings::Findings;
use crate::diagnostic::Diagnostic;
use crate::graph::{Graph, StageIndex};
use crate::id::StageName;
use crate::pipeline::{PipelineSpec, StageSpec};
use crate::variables::{Variable, closest};

/// How many steps the search for the stages before one may take in all. A pipeline in which it takes more still runs:
/// what is not there then fails the reader with that reason.
const MOST_STEPS: usize = 50_000_000;

/// A text that reads the result of a stage.
#[derive(Debug)]
pub(super) struct StageUse {
    /// The reader, by its place in the pipeline before matrices were expanded.
    pub(super) reader: usize,
    /// What it reads.
    pub(super) variable: Variable,
    /// Where.
    pub(super) path: String,
    /// The bytes of the text.
    pub(super) range: Option<Range<usize>>,
}

/// Checks all uses against the graph of the expanded pipeline.
pub(super) fn check(
    written: &PipelineSpec,
    expanded: &PipelineSpec,
    graph: &Graph,
    uses: &[StageUse],
    out: &mut Findings,
) {
    let mut after = After { graph, reached: HashMap::new(), steps: 0 };
    for used in uses {
        let reader = &*written.stages[used.reader];
        let Some(name) = used.variable.stage() else { continue };
        if let Some(finding) = check_one(expanded, graph, reader, name, &mut after) {
            out.stage(reader, used.path.clone(), used.range.clone(), finding);
        }
    }
}

fn check_one(
    spec: &PipelineSpec,
    graph: &Graph,
    reader: &StageSpec,
    name: &str,
    after: &mut After<'_>,
) -> Option<Diagnostic> {
    let Some(target) = graph.index(name) else {
        let mut cells = graph.resolve(name).map(|cell| graph.name(cell)).peekable();
        if let Some(cell) = cells.peek() {
            return Some(
                Diagnostic::error(
                    "matrix-result",
                    format!("`{name}` is a matrix: each of its cells has a result of its own"),
                )
                .with_help(format!("name a cell: `stages[\"{cell}\"]`")),
            );
        }
        let finding = Diagnostic::error("unknown-stage", format!("there is no stage `{name}`"));
        // Names are compared one by one, which a pipeline of a million stages would feel.
        let known = spec.stages.iter().take(10_000).map(|stage| stage.name.as_str());
        return Some(match closest(name, known) {
            Some(meant) => finding.with_help(format!("did you mean `{meant}`?")),
            None => finding,
        });
    };
    if reader.needs.iter().any(|need| need == name) {
        return None;
    }
    let own = graph.resolve(&reader.name).next()?;
    if own != target && after.is_before(target, own) {
        return None;
    }
    let reader = &reader.name;
    Some(
        Diagnostic::error("not-a-need", format!("`{reader}` does not wait for `{name}`, so it cannot read its result"))
            .with_help(format!("add `needs \"{}\"`", needed(spec, target))),
    )
}

fn needed(spec: &PipelineSpec, target: StageIndex) -> &StageName {
    spec.stages[target.index()].written_name()
}

/// The stages that come after others; each set is worked out once.
struct After<'g> {
    graph: &'g Graph,
    reached: HashMap<StageIndex, Vec<u64>>,
    steps: usize,
}

impl After<'_> {
    /// Whether `first` has ended when `second` starts; `true` when telling would take too long.
    fn is_before(&mut self, first: StageIndex, second: StageIndex) -> bool {
        if !self.reached.contains_key(&first) {
            if self.steps > MOST_STEPS {
                return true;
            }
            let reached = self.walk(first);
            self.reached.insert(first, reached);
        }
        self.reached[&first][second.index() / 64] & (1 << (second.index() % 64)) != 0
    }

    fn walk(&mut self, first: StageIndex) -> Vec<u64> {
        let mut reached = vec![0u64; self.graph.len().div_ceil(64)];
        self.steps += reached.len();
        let mut open = vec![first];
        while let Some(stage) = open.pop() {
            for next in self.graph.dependents(stage) {
                self.steps += 1;
                let (word, bit) = (next.index() / 64, 1 << (next.index() % 64));
                if reached[word] & bit == 0 {
                    reached[word] |= bit;
                    open.push(*next);
                }
            }
        }
        reached
    }
}
