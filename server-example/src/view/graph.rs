//! Where the boxes and arrows of a run's graph are drawn: columns by longest path, from left to right.
//!
//! The cells of a matrix share a box. With more boxes than a reader can take in, all of one column share one. The
//! layout depends on the pipeline alone, so nothing moves while a run goes.

use std::collections::HashMap;

use buildit::graph::GraphLayout;
use buildit::id::StageName;

/// The size of a box, and the room between two: beside each other and one above the other. In pixels.
const WIDTH: u32 = 168;
const HEIGHT: u32 = 40;
const GAP_X: u32 = 48;
const GAP_Y: u32 = 12;

/// The room around all of it, for the outline of a chosen box.
const MARGIN: u32 = 8;

/// How many boxes are drawn one by one.
const MOST: usize = 150;

/// How often the boxes of each column are put in the order of their neighbours.
const SWEEPS: usize = 4;

/// A drawing, in pixels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Drawing {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) nodes: Vec<Node>,
    pub(crate) edges: Vec<Edge>,
}

/// A box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) kind: Kind,
    /// The stages that it stands for, by their places in the pipeline.
    pub(crate) stages: Vec<usize>,
}

/// What a box stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Stage(StageName),
    Matrix(StageName),
    /// All stages of a column, from 1.
    Level(u32),
}

/// An arrow between two boxes, by their places in the drawing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edge {
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// What to draw: the `d` of an SVG path.
    pub(crate) path: String,
}

impl Node {
    pub(crate) fn label(&self) -> String {
        match &self.kind {
            Kind::Stage(name) | Kind::Matrix(name) => name.to_string(),
            Kind::Level(level) => format!("level {level}"),
        }
    }
}

impl Drawing {
    /// For each arrow, whether it is on a way to this box or on one that leads on from it.
    pub(crate) fn ways_through(&self, node: usize) -> Vec<bool> {
        let follow = |from: fn(&Edge) -> usize, to: fn(&Edge) -> usize| {
            let mut next = vec![Vec::new(); self.nodes.len()];
            self.edges.iter().enumerate().for_each(|(place, edge)| next[from(edge)].push(place));
            let (mut seen, mut ahead, mut passed) = (vec![false; self.nodes.len()], vec![node], Vec::new());
            while let Some(at) = ahead.pop() {
                if std::mem::replace(&mut seen[at], true) {
                    continue;
                }
                passed.extend(&next[at]);
                ahead.extend(next[at].iter().map(|&place| to(&self.edges[place])));
            }
            passed
        };
        let mut lit = vec![false; self.edges.len()];
        follow(|edge| edge.to, |edge| edge.from).into_iter().for_each(|place: usize| lit[place] = true);
        follow(|edge| edge.from, |edge| edge.to).into_iter().for_each(|place: usize| lit[place] = true);
        lit
    }
}

/// Draws the graph of a pipeline.
pub(crate) fn draw(layout: &GraphLayout) -> Drawing {
    let boxes = group_by(layout, |stage| Group::Name(stage.matrix.clone().unwrap_or_else(|| stage.name.clone())));
    let boxes = if boxes.nodes.len() > MOST { group_by(layout, |stage| Group::Level(stage.level)) } else { boxes };
    place(boxes)
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Group {
    Name(StageName),
    Level(u32),
}

/// Boxes with their columns, and which lead to which.
struct Boxes {
    nodes: Vec<(Kind, u32, Vec<usize>)>,
    edges: Vec<(usize, usize)>,
}

fn group_by(layout: &GraphLayout, group: impl Fn(&buildit::graph::StageLayout) -> Group) -> Boxes {
    let (mut nodes, mut of_group, mut of_stage) = (Vec::new(), HashMap::new(), HashMap::new());
    for (place, stage) in layout.stages.iter().enumerate() {
        let group = group(stage);
        let node = *of_group.entry(group.clone()).or_insert_with(|| {
            let kind = match group {
                Group::Name(name) if stage.matrix.is_some() => Kind::Matrix(name),
                Group::Name(name) => Kind::Stage(name),
                Group::Level(level) => Kind::Level(level + 1),
            };
            nodes.push((kind, stage.level, Vec::new()));
            nodes.len() - 1
        });
        nodes[node].1 = nodes[node].1.max(stage.level);
        nodes[node].2.push(place);
        of_stage.insert(&stage.name, node);
    }
    let pairs = layout.edges.iter().filter_map(|(from, to)| Some((*of_stage.get(from)?, *of_stage.get(to)?)));
    let mut edges: Vec<(usize, usize)> = pairs.filter(|(from, to)| from != to).collect();
    edges.sort_unstable();
    edges.dedup();
    Boxes { nodes, edges }
}

fn place(boxes: Boxes) -> Drawing {
    let Boxes { nodes, edges } = boxes;
    let columns = nodes.iter().map(|(_, level, _)| *level as usize + 1).max().unwrap_or(0);
    let mut order: Vec<Vec<usize>> = vec![Vec::new(); columns];
    nodes.iter().enumerate().for_each(|(node, (_, level, _))| order[*level as usize].push(node));
    arrange(&mut order, &edges, nodes.len());
    let most = order.iter().map(Vec::len).max().unwrap_or(0);
    let extent = |count: usize, size: u32, gap: u32| count as u32 * (size + gap) - if count > 0 { gap } else { 0 };
    let (inner_width, inner_height) = (extent(columns, WIDTH, GAP_X), extent(most, HEIGHT, GAP_Y));
    let mut spots = vec![(0, 0); nodes.len()];
    for (column, members) in order.iter().enumerate() {
        let top = MARGIN + (inner_height - extent(members.len(), HEIGHT, GAP_Y)) / 2;
        for (row, &node) in members.iter().enumerate() {
            spots[node] = (MARGIN + column as u32 * (WIDTH + GAP_X), top + row as u32 * (HEIGHT + GAP_Y));
        }
    }
    let edges = edges.into_iter().map(|(from, to)| Edge { from, to, path: arrow(spots[from], spots[to]) }).collect();
    let nodes = nodes.into_iter().zip(&spots).map(|((kind, _, stages), &(x, y))| Node { x, y, kind, stages });
    Drawing { width: inner_width + 2 * MARGIN, height: inner_height + 2 * MARGIN, nodes: nodes.collect(), edges }
}

/// Puts the boxes of each column in the order of the boxes that they are joined to, so that few arrows cross.
fn arrange(order: &mut [Vec<usize>], edges: &[(usize, usize)], nodes: usize) {
    let (mut before, mut after) = (vec![Vec::new(); nodes], vec![Vec::new(); nodes]);
    for &(from, to) in edges {
        before[to].push(from);
        after[from].push(to);
    }
    let mut row = vec![0.0_f64; nodes];
    let note = |order: &[Vec<usize>], row: &mut Vec<f64>| {
        for column in order {
            let half = column.len() as f64 / 2.0;
            column.iter().enumerate().for_each(|(place, &node)| row[node] = place as f64 - half);
        }
    };
    note(order, &mut row);
    for sweep in 0..SWEEPS {
        let neighbours = if sweep % 2 == 0 { &before } else { &after };
        for column in order.iter_mut() {
            let wished = |node: &usize| {
                let of = &neighbours[*node];
                if of.is_empty() {
                    row[*node]
                } else {
                    of.iter().map(|&other| row[other]).sum::<f64>() / of.len() as f64
                }
            };
            column.sort_by(|one, other| wished(one).total_cmp(&wished(other)));
        }
        note(order, &mut row);
    }
}

/// From the right side of a box to the left side of another, as a curve.
fn arrow(from: (u32, u32), to: (u32, u32)) -> String {
    let (x1, y1) = (from.0 + WIDTH, from.1 + HEIGHT / 2);
    let (x2, y2) = (to.0, to.1 + HEIGHT / 2);
    let bend = GAP_X / 2;
    if y1 == y2 {
        return format!("M{x1} {y1}H{x2}");
    }
    format!("M{x1} {y1}H{}C{} {y1} {} {y2} {x2} {y2}", x2 - GAP_X, x2 - bend, x2 - bend)
}

#[cfg(test)]
mod tests {
    use buildit::config;
    use buildit::pipeline::ExpandLimits;
    use buildit::plan::Plan;

    use super::*;

    fn drawing(text: &str) -> Drawing {
        let spec = config::parse("test.kdl", text, &config::Options::default()).unwrap();
        let plan = Plan::compile(spec.spec(), ExpandLimits::default()).unwrap();
        draw(&plan.graph().layout(plan.spec()))
    }

    fn is_clear(drawing: &Drawing) -> bool {
        let nodes = &drawing.nodes;
        let is_apart = |one: &Node, other: &Node| one.x != other.x || one.y.abs_diff(other.y) >= HEIGHT + GAP_Y;
        let is_inside =
            |node: &Node| node.x + WIDTH + MARGIN <= drawing.width && node.y + HEIGHT + MARGIN <= drawing.height;
        nodes.iter().all(is_inside)
            && nodes.iter().enumerate().all(|(at, one)| nodes[..at].iter().all(|other| is_apart(one, other)))
    }

    #[test]
    fn a_diamond_is_three_columns() {
        let stage = |name, needs: &[&str]| {
            let needs: String = needs.iter().map(|need| format!(" needs=\"{need}\"")).collect();
            format!("stage \"{name}\"{needs} {{ run \"true\" }}\n")
        };
        let stages = [stage("a", &[]), stage("b", &["a"]), stage("c", &["a"]), stage("d", &["b", "c"])].concat();
        let drawing = drawing(&format!("pipeline \"p\"\n{stages}"));
        assert_eq!((drawing.width, drawing.height), (3 * WIDTH + 2 * GAP_X + 16, 2 * HEIGHT + GAP_Y + 16));
        assert_eq!(drawing.edges.len(), 4);
        assert!(is_clear(&drawing));
        insta::assert_debug_snapshot!(
            drawing.nodes.iter().map(|node| (node.label(), node.x, node.y)).collect::<Vec<_>>()
        );
        insta::assert_debug_snapshot!(drawing.edges.iter().map(|edge| &edge.path).collect::<Vec<_>>());
    }

    #[test]
    fn the_cells_of_a_matrix_share_a_box() {
        let drawing = drawing(
            "pipeline \"p\"
                stage \"test\" { matrix { os \"a\" \"b\"; version \"1\" \"2\" }; run \"true\" }
                stage \"pack\" needs=\"test\" { run \"true\" }
            ",
        );
        assert_eq!(drawing.nodes.iter().map(|node| node.stages.len()).collect::<Vec<_>>(), [4, 1]);
        assert_eq!(drawing.nodes[0].kind, Kind::Matrix("test".into()));
        assert_eq!(drawing.edges.len(), 1);
    }

    #[test]
    fn a_large_graph_is_drawn_by_its_levels() {
        let stages: String = (0..400)
            .map(|place| {
                let needs = if place < 100 { String::new() } else { format!(" needs=\"s{}\"", place - 100) };
                format!("stage \"s{place}\"{needs} {{ run \"true\" }}\n")
            })
            .collect();
        let drawing = drawing(&format!("pipeline \"p\"\n{stages}"));
        assert_eq!(drawing.nodes.len(), 4);
        assert_eq!(drawing.nodes[3].label(), "level 4");
        assert_eq!(drawing.edges.len(), 3);
        assert!(drawing.nodes.iter().all(|node| node.stages.len() == 100) && is_clear(&drawing));
    }

    #[test]
    fn the_ways_through_a_box_are_those_before_and_behind_it() {
        let drawing = drawing(
            "pipeline \"p\"
                stage \"a\" { run \"true\" }
                stage \"b\" needs=\"a\" { run \"true\" }
                stage \"c\" needs=\"a\" { run \"true\" }
                stage \"d\" needs=\"b\" { run \"true\" }
            ",
        );
        let names: Vec<String> = drawing.nodes.iter().map(Node::label).collect();
        let through = |name: &str| {
            let lit = drawing.ways_through(names.iter().position(|known| known == name).unwrap());
            let edges = drawing.edges.iter().zip(lit).filter(|(_, is_lit)| *is_lit);
            edges.map(|(edge, _)| format!("{}{}", names[edge.from], names[edge.to])).collect::<Vec<_>>()
        };
        assert_eq!(through("b"), ["ab", "bd"]);
        assert_eq!(through("c"), ["ac"]);
        assert_eq!(through("a").len(), 3);
    }

    #[test]
    fn an_empty_graph_is_drawn() {
        assert_eq!(draw(&GraphLayout::default()).nodes, []);
    }
}
