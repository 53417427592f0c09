//! From a pipeline to its graph, with all that is wrong found at once.

use super::csr::Csr;
use super::names::Names;
use super::{Graph, StageIndex, cycle, order};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::id::StageName;
use crate::pipeline::{Origin, PipelineSpec, StageSpec};

/// More edges than ten million stages with ten needs each. Two matrices of a thousand cells already make a million
/// edges out of two lines, so a small text must not be able to ask for all memory.
const MAX_EDGES: usize = 100_000_000;
/// Comparisons that may be spent on guesses at what a mistyped name was meant to be: a second at most.
const GUESSES: usize = 500_000;

pub(super) fn graph(spec: &PipelineSpec) -> Result<Graph, Diagnostics> {
    let mut findings = Vec::new();
    if spec.stages.is_empty() {
        let mut finding = Diagnostic::error("no-stage", format!("the pipeline `{}` has no stage", spec.name))
            .with_help("add a stage: stage \"hello\" { run \"echo hello\" }");
        finding.origin = spec.origins.get("pipeline").cloned();
        return Err(Diagnostics(vec![finding]));
    }
    if spec.stages.len() >= u32::MAX as usize {
        return Err(Diagnostics(vec![Diagnostic::error("too-many-stages", "the pipeline has more than 2^32 stages")]));
    }
    let names = names(spec, &mut findings);
    let Some(Needs { rows, in_degree, backwards }) = needs(spec, &names, &mut findings) else {
        return Err(Diagnostics(findings));
    };
    let dependents = rows.reversed();
    drop(rows);
    let graph = Graph { names, dependents, in_degree };
    // Most pipelines are written in an order in which they could run; that order is the proof.
    if !backwards && !order::is_acyclic(&graph) {
        cycle::report(&graph, spec, &mut findings);
    }
    if findings.is_empty() { Ok(graph) } else { Err(Diagnostics(findings)) }
}

fn names(spec: &PipelineSpec, findings: &mut Vec<Diagnostic>) -> Names {
    let mut names = Names::with_capacity(spec.stages.len());
    let mut has_cells = false;
    for (place, stage) in spec.stages.iter().enumerate() {
        if let Err(first) = names.push(&stage.name) {
            findings.push(duplicate(&stage.name, stage, &spec.stages[first.index()]));
        }
        if let Some(cell) = &stage.cell {
            has_cells = true;
            let place = StageIndex(place as u32);
            // The cells of one matrix stand together and were written at one place; others of the same name are
            // those of a second stage.
            if let [first, .., last] | [first @ last] = *names.push_cell(&cell.of, place) {
                let first = &spec.stages[first.index()];
                let same = last.0 + 1 == place.0
                    && first.origins.get("stage") == stage.origins.get("stage")
                    && first.cell.as_ref().is_some_and(|known| known.values.keys().eq(cell.values.keys()));
                if !same {
                    findings.push(duplicate(&cell.of, stage, first));
                }
            }
        }
    }
    if has_cells {
        for (place, stage) in spec.stages.iter().enumerate() {
            if stage.cell.is_none()
                && let [cell, ..] = names.cells(&stage.name)
            {
                let (first, second) = if cell.index() < place { (cell.index(), place) } else { (place, cell.index()) };
                findings.push(duplicate(&stage.name, &spec.stages[second], &spec.stages[first]));
            }
        }
    }
    names
}

fn duplicate(name: &StageName, second: &StageSpec, first: &StageSpec) -> Diagnostic {
    let mut finding = Diagnostic::error("duplicate-stage", format!("there are two stages named `{name}`"))
        .with_help("give one of them another name")
        .with_part(Some(second.name.clone()), "stage", None);
    finding.origin = second.origins.get("stage").cloned();
    if let Some(origin) = first.origins.get("stage") {
        finding.related.push((origin.clone(), "the first one is here".into()));
    }
    finding
}

/// What stages need.
struct Needs {
    /// What each stage needs.
    rows: Csr,
    /// How many that are.
    in_degree: Box<[u32]>,
    /// Whether every need is on a stage that was written before.
    backwards: bool,
}

/// What each stage needs. `None` when that is too much to hold.
fn needs(spec: &PipelineSpec, names: &Names, findings: &mut Vec<Diagnostic>) -> Option<Needs> {
    let mut offsets = Vec::with_capacity(spec.stages.len() + 1);
    let mut targets = Vec::with_capacity(spec.stages.iter().map(|stage| stage.needs.len()).sum());
    let mut guesses = GUESSES;
    let mut backwards = true;
    // Needs are often written in the order of the stages that they name: a chain, the rows of a layer.
    let mut next = StageIndex(0);
    offsets.push(0);
    for (place, stage) in spec.stages.iter().enumerate() {
        let start = targets.len();
        for need in &stage.needs {
            match names.index_near(need, next) {
                Some(target) => {
                    next = StageIndex(target.0 + 1);
                    if target.index() == place {
                        findings.push(self_need(stage));
                    }
                    targets.push(target);
                }
                None => match names.cells(need) {
                    [] => findings.push(unknown_need(stage, need, names, &mut guesses)),
                    _ if stage.written_name() == need => findings.push(self_need(stage)),
                    cells => targets.extend_from_slice(cells),
                },
            }
        }
        unique(&mut targets, start);
        backwards &= targets[start..].iter().all(|target| target.index() < place);
        if targets.len() > MAX_EDGES {
            findings.push(
                Diagnostic::error("too-many-needs", format!("the stages have more than {MAX_EDGES} needs in all"))
                    .with_help("put a stage between two large matrices: one needs the first, the second needs it"),
            );
            return None;
        }
        offsets.push(targets.len() as u32);
    }
    let in_degree = offsets.windows(2).map(|row| row[1] - row[0]).collect();
    Some(Needs { rows: Csr::from_rows(offsets, targets), in_degree, backwards })
}

/// Takes doubles out of the row that begins at `start`, without an allocation for the usual few needs.
fn unique(targets: &mut Vec<StageIndex>, start: usize) {
    /// Up to here comparing each with each is faster than sorting.
    const FEW: usize = 16;
    let row = &targets[start..];
    if row.len() <= FEW {
        if (1..row.len()).any(|at| row[..at].contains(&row[at])) {
            let mut kept = start;
            for at in start..targets.len() {
                if !targets[start..kept].contains(&targets[at]) {
                    targets[kept] = targets[at];
                    kept += 1;
                }
            }
            targets.truncate(kept);
        }
    } else {
        let mut row = targets.split_off(start);
        row.sort_unstable();
        row.dedup();
        targets.append(&mut row);
    }
}

pub(super) fn origin_of_need(stage: &StageSpec, need: &str) -> Option<Origin> {
    let written = || stage.origins.get(&format!("needs.{need}"));
    if stage.origins.is_empty() {
        return None;
    }
    written().or_else(|| stage.origins.get("needs")).or_else(|| stage.origins.get("stage")).cloned()
}

fn self_need(stage: &StageSpec) -> Diagnostic {
    let name = stage.written_name();
    let mut finding = Diagnostic::error("self-need", format!("stage `{name}` needs itself"))
        .with_help("take that need away")
        .with_part(Some(stage.name.clone()), format!("needs.{name}"), None);
    finding.origin = origin_of_need(stage, name);
    finding
}

fn unknown_need(stage: &StageSpec, need: &StageName, names: &Names, guesses: &mut usize) -> Diagnostic {
    let message = format!("stage `{}` needs `{need}`, and there is no such stage", stage.name);
    let mut finding =
        Diagnostic::error("unknown-need", message).with_part(Some(stage.name.clone()), format!("needs.{need}"), None);
    finding.help = guess(need, names.all(), guesses).map(|name| format!("did you mean `{name}`?"));
    finding.origin = origin_of_need(stage, need);
    finding
}

/// The name that was probably meant: the nearest one, if it is near enough. `budget` bounds the comparisons of a
/// whole pipeline.
pub(super) fn guess<'a>(
    meant: &str,
    names: impl Iterator<Item = &'a StageName>,
    budget: &mut usize,
) -> Option<&'a StageName> {
    let mut best: Option<(usize, &StageName)> = None;
    for name in names {
        if name.len().abs_diff(meant.len()) > 3 {
            continue;
        }
        *budget = budget.checked_sub(1)?;
        let distance = strsim::osa_distance(meant, name);
        // A third of the letters may differ: `tset` is `test`, but `a` is not `b`.
        if distance * 3 <= meant.chars().count().max(3) && best.is_none_or(|(nearest, _)| distance < nearest) {
            best = Some((distance, name));
        }
    }
    best.map(|(_, name)| name)
}
