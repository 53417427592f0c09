//! Circles, named stage by stage.

use std::collections::VecDeque;

use hashbrown::HashMap;
use petgraph::algo::kosaraju_scc;

use super::build::origin_of_need;
use super::reduce::View;
use super::{Graph, StageIndex};
use crate::diagnostic::Diagnostic;
use crate::pipeline::PipelineSpec;

/// A longer circle is named by its first stages only.
const NAMED: usize = 20;

/// One finding for each knot of stages that need each other, with a shortest circle in it. A stage that needs itself
/// has its own finding already.
pub(super) fn report(graph: &Graph, spec: &PipelineSpec, findings: &mut Vec<Diagnostic>) {
    let mut knots = kosaraju_scc(&View::new(graph));
    knots.retain(|knot| knot.len() > 1);
    for knot in &mut knots {
        knot.sort_unstable();
    }
    knots.sort_unstable();
    for knot in knots {
        let circle = shortest_circle(graph, &knot);
        let named = circle.iter().take(NAMED).chain((circle.len() <= NAMED).then_some(&circle[0]));
        let mut path = named.map(|&stage| format!("`{}`", graph.name(stage))).collect::<Vec<_>>().join(" -> ");
        if circle.len() > NAMED {
            path.push_str(&format!(" -> … ({} stages)", circle.len()));
        }
        let message = format!("stages need each other in a circle: {path}");
        // `a -> b` reads as "`a` needs `b`", so the place is the need of the first on the second.
        let stage = &spec.stages[circle[0].index()];
        let mut finding = Diagnostic::error("cycle", message).with_help("take one of these needs away").with_part(
            Some(stage.name.clone()),
            format!("needs.{}", graph.name(circle[1])),
            None,
        );
        finding.origin = origin_of_need(stage, written(spec, circle[1]));
        for pair in circle[1..].iter().zip(circle[2..].iter().chain(&circle[..1])).take(NAMED) {
            let stage = &spec.stages[pair.0.index()];
            if let Some(origin) = origin_of_need(stage, written(spec, *pair.1)) {
                finding.related.push((origin, format!("`{}` needs `{}`", stage.name, graph.name(*pair.1))));
            }
        }
        findings.push(finding);
    }
}

fn written(spec: &PipelineSpec, stage: StageIndex) -> &str {
    let stage = &spec.stages[stage.index()];
    // A need is noted under what it says: the name of a matrix, where a cell was not named itself.
    stage.written_name()
}

/// A shortest circle through the first stage of a knot, each followed by one that it needs.
fn shortest_circle(graph: &Graph, knot: &[u32]) -> Vec<StageIndex> {
    let start = StageIndex(knot[0]);
    let mut reached_from: HashMap<StageIndex, StageIndex, foldhash::fast::FixedState> = HashMap::default();
    let mut queue = VecDeque::from([start]);
    while let Some(stage) = queue.pop_front() {
        for &dependent in graph.dependents(stage) {
            if dependent == start {
                // Walking back over the edges goes from dependents to needs: the order in which it reads.
                let mut circle = vec![start];
                let mut at = stage;
                while at != start {
                    circle.push(at);
                    at = reached_from[&at];
                }
                return circle;
            }
            if knot.binary_search(&dependent.0).is_ok() && !reached_from.contains_key(&dependent) {
                reached_from.insert(dependent, stage);
                queue.push_back(dependent);
            }
        }
    }
    // Every stage of a knot reaches every other, so the walk above comes back to its start.
    vec![start, start]
}
