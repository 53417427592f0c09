use std::time::Duration;

use super::*;
use crate::pipeline::{ExpandLimits, Origin, PipelineBuilder, StageBuilder};

fn pipeline(stages: &[(&str, &[&str])]) -> PipelineSpec {
    PipelineBuilder::new("shop")
        .stages(stages.iter().map(|(name, needs)| StageBuilder::run(*name, "true").needs(needs.iter().copied())))
        .build()
}

fn findings(stages: &[(&str, &[&str])]) -> String {
    let found = Graph::new(&pipeline(stages)).unwrap_err().0;
    found.iter().map(|finding| format!("{}: {finding}\n", finding.code)).collect()
}

fn shop() -> PipelineSpec {
    PipelineBuilder::new("shop")
        .stage(StageBuilder::run("fmt", "true"))
        .stage(StageBuilder::run("lint", "true").needs(["fmt"]))
        .stage(StageBuilder::run("test", "true").needs(["fmt", "lint"]).matrix([("db", ["pg", "\"lite\""])]))
        .stage(StageBuilder::run("build", "true").needs(["test", "fmt"]))
        .build()
        .expand(ExpandLimits::default())
        .unwrap()
}

fn name_all(graph: &Graph, stages: impl IntoIterator<Item = StageIndex>) -> Vec<String> {
    stages.into_iter().map(|stage| graph.name(stage).to_string()).collect()
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    insta::assert_snapshot!(findings(&[
        ("fmt", &[]),
        ("test", &["ftm", "fmt"]),
        ("test", &["nothing-like-it"]),
        ("a", &["b"]),
        ("b", &["c"]),
        ("c", &["a", "fmt"]),
        ("d", &["c", "d"]),
        ("x", &["y"]),
        ("y", &["x"]),
    ]), @r"
    duplicate-stage: there are two stages named `test` (give one of them another name)
    unknown-need: stage `test` needs `ftm`, and there is no such stage (did you mean `fmt`?)
    unknown-need: stage `test` needs `nothing-like-it`, and there is no such stage
    self-need: stage `d` needs itself (take that need away)
    cycle: stages need each other in a circle: `a` -> `b` -> `c` -> `a` (take one of these needs away)
    cycle: stages need each other in a circle: `x` -> `y` -> `x` (take one of these needs away)
    ");
    assert_eq!(
        findings(&[]).lines().next(),
        Some("no-stage: the pipeline `shop` has no stage (add a stage: stage \"hello\" { run \"echo hello\" })")
    );
}

#[test]
fn a_finding_has_the_place_where_it_was_written() {
    let mut spec = pipeline(&[("a", &["b"]), ("b", &["a"])]);
    let origin = Origin { file: ".buildit.kdl".into(), line: 7, column: 3, ..Origin::default() };
    std::sync::Arc::make_mut(&mut spec.stages[0]).origins.insert("needs.b", origin.clone());
    assert_eq!(Graph::new(&spec).unwrap_err().0[0].origin, Some(origin));
}

#[test]
fn a_need_on_a_matrix_means_all_its_cells() {
    let spec = shop();
    let graph = Graph::new(&spec).unwrap();
    let build = graph.index("build").unwrap();
    assert_eq!(graph.in_degree(build), 3);
    assert_eq!(name_all(&graph, graph.needs(&spec.stages[build.index()])), ["test[db=pg]", "test[db=\"lite\"]", "fmt"]);
    assert_eq!(graph.resolve("test").count(), 2);
    assert!(graph.resolve("tests").is_empty());
    assert_eq!(graph.levels(), [0, 1, 2, 2, 3]);
    assert_eq!(name_all(&graph, graph.topological_order()).len(), 5);
}

#[test]
fn two_matrices_of_one_name_are_a_duplicate() {
    let matrix = |axis: &str| StageBuilder::run("test", "true").matrix([(axis.to_owned(), ["1"])]);
    let build = |spec: PipelineBuilder| spec.build().expand(ExpandLimits::default()).unwrap();
    let two = build(PipelineBuilder::new("p").stage(matrix("a")).stage(matrix("b")));
    assert_eq!(Graph::new(&two).unwrap_err().0[0].code, "duplicate-stage");
    let plain = build(PipelineBuilder::new("p").stage(matrix("a")).stage(StageBuilder::run("test", "true")));
    assert_eq!(Graph::new(&plain).unwrap_err().0[0].code, "duplicate-stage");
}

#[test]
fn drawings() {
    let spec = shop();
    let graph = Graph::new(&spec).unwrap();
    insta::assert_snapshot!(graph.to_dot(&spec), @r#"
    digraph "shop" {
      rankdir=LR
      node [shape=box, style=rounded]
      "fmt"
      "lint"
      subgraph cluster_0 {
        label="test"
        "test[db=pg]"
        "test[db=\"lite\"]"
      }
      "build"
      "fmt" -> "lint"
      "lint" -> "test[db=pg]"
      "lint" -> "test[db=\"lite\"]"
      "test[db=pg]" -> "build"
      "test[db=\"lite\"]" -> "build"
    }
    "#);
    insta::assert_snapshot!(graph.to_mermaid(&spec), @r#"
    flowchart LR
      s0["fmt"]
      s1["lint"]
      subgraph m0 ["test"]
        s2["test[db=pg]"]
        s3["test[db=#34;lite#34;]"]
      end
      s4["build"]
      s0 --> s1
      s1 --> s2
      s1 --> s3
      s2 --> s4
      s3 --> s4
    "#);
    insta::assert_json_snapshot!(graph.layout(&spec));
}

#[test]
fn the_critical_path_follows_the_durations() {
    let graph = Graph::new(&pipeline(&[("a", &[]), ("b", &["a"]), ("c", &["a"]), ("d", &["b", "c"])])).unwrap();
    let slow = graph.index("c").unwrap();
    let path = graph.critical_path(|stage| Duration::from_secs(if stage == slow { 9 } else { 1 }));
    assert_eq!(name_all(&graph, path), ["a", "c", "d"]);
}

#[test]
fn a_part_brings_what_it_needs() {
    let spec = shop();
    let graph = Graph::new(&spec).unwrap();
    assert_eq!(graph.select(&spec, ["test[db=pg]"]).unwrap(), [true, true, true, false, false]);
    assert_eq!(graph.select(&spec, ["test"]).unwrap(), [true, true, true, true, false]);
    assert_eq!(graph.select(&spec, []).unwrap(), [true; 5]);
    let error = graph.select(&spec, ["biuld"]).unwrap_err();
    assert_eq!(error.to_string(), "there is no stage `biuld` (did you mean `build`?)");
}

#[test]
fn g7_a_deep_pipeline_costs_no_stack() {
    let depth = 200_000_usize;
    let stage = |at: usize, need: usize| StageBuilder::run(at.to_string(), "true").needs([need.to_string()]);
    let chain = PipelineBuilder::new("deep")
        .stage(StageBuilder::run("0", "true"))
        .stages((1..depth).map(|at| stage(at, at - 1)))
        .build();
    assert_eq!(Graph::new(&chain).unwrap().levels().last(), Some(&(depth as u32 - 1)));
    let circle = PipelineBuilder::new("round").stages((0..depth).map(|at| stage(at, (at + depth - 1) % depth))).build();
    let found = Graph::new(&circle).unwrap_err();
    assert_eq!(found.0.len(), 1);
    assert!(found.to_string().contains("(200000 stages)"), "{found}");
}
