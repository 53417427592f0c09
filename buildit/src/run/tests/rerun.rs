//! Reruns of what failed.

use std::collections::HashMap;

use super::support::{Driven, drive, drive_with, queued};
use crate::event::{Approval, EventBody, RunStatus, TakenResult};
use crate::id::{RunId, StageName};
use crate::job::{JobOutcome, JobProducts};
use crate::pipeline::{ApprovalSpec, PipelineBuilder, RunContext, StageBuilder};
use crate::run::{CarriedStage, Input};

fn stage(name: &str, needs: &[&str]) -> StageBuilder {
    StageBuilder::run(name, "true").needs(needs.iter().copied())
}

fn pipeline(stages: impl IntoIterator<Item = StageBuilder>) -> PipelineBuilder {
    PipelineBuilder::new("test").stages(stages)
}

fn with_output(key: &str, value: &str) -> JobOutcome {
    let outputs = [(key.to_owned(), value.to_owned())].into();
    JobOutcome {
        products: Some(Box::new(JobProducts { outputs, ..JobProducts::default() })),
        ..JobOutcome::succeeded()
    }
}

/// What the run itself took from others.
fn taken(run: &Driven) -> HashMap<StageName, TakenResult> {
    let each = run.events.iter().filter_map(|event| match &event.body {
        EventBody::ResultTaken { stage, result } => Some((stage.clone(), (**result).clone())),
        _ => None,
    });
    each.collect()
}

fn names(carried: &[CarriedStage]) -> Vec<&str> {
    carried.iter().map(|carried| &*carried.stage).collect()
}

/// A run of the same pipeline that goes on from this one.
fn again(pipeline: PipelineBuilder, carried: Vec<CarriedStage>) -> Driven {
    let mut run = queued(pipeline, RunContext::manual());
    run.run = run.run.carrying(carried.into());
    run.tell(Input::Begin).unwrap();
    run
}

fn release() -> PipelineBuilder {
    pipeline([
        stage("fmt", &[]).allow_failure(),
        stage("build", &["fmt"]),
        stage("gate", &["build"]).approval(ApprovalSpec::default()),
        stage("test", &["gate"]),
        stage("ship", &["test"]),
        stage("notify", &["test"]).when("failure()"),
        stage("never", &["fmt"]).when("false"),
        stage("docs", &[]),
    ])
}

fn failed() -> Driven {
    let mut run = drive(release());
    run.fails("fmt");
    run.runs("build", with_output("version", "1.2"));
    run.approve("gate", Approval::yes("ann")).unwrap();
    run.succeeds("gate");
    run.fails("test");
    run.succeeds("notify");
    run.succeeds("docs");
    assert_eq!(run.status(), RunStatus::Failed);
    run
}

#[test]
fn what_failed_runs_again_with_all_that_follows_it() {
    let first = failed();
    let carried = first.run.carried(&HashMap::new()).unwrap();
    assert_eq!(names(&carried), ["fmt", "build", "gate", "docs"]);
    let mut run = again(release(), carried);
    assert_eq!(run.ready(), ["test"], "nobody is asked again");
    let build = run.at("build");
    assert_eq!(run.run.products(build).unwrap().outputs["version"], "1.2");
    assert!(run.result("build").cached && run.result("fmt").allowed);
    assert_eq!(run.ended("never"), "skipped: its condition is false: false");
    run.succeeds("test");
    assert_eq!(run.ready(), ["ship"]);
    run.succeeds("ship");
    assert_eq!(run.status(), RunStatus::Succeeded);
    assert!(run.ended("notify").starts_with("skipped"));
}

#[test]
fn a_rerun_of_a_rerun_names_the_run_that_made_it() {
    let first = failed();
    let carried = first.run.carried(&HashMap::new()).unwrap();
    let mut second = again(release(), carried.clone());
    second.fails("test");
    second.succeeds("notify");
    let again = second.run.carried(&taken(&second)).unwrap();
    assert_eq!(names(&again), names(&carried));
    assert!(again.iter().zip(&carried).all(|(one, other)| one.taken == other.taken));
    // A result that was kept under a key has its log in the run that took it.
    let kept = TakenResult { key: Some(crate::id::Digest::of(b"key")), run: RunId::new(), ..carried[1].taken.clone() };
    let own = second.run.carried(&[("build".into(), kept)].into()).unwrap();
    assert_eq!((own[1].taken.run, own[1].taken.attempt, own[1].taken.key), (second.run.info().id, 0, None));
}

#[test]
fn what_was_cancelled_or_never_asked_for_is_told_apart() {
    let mut run = drive(pipeline([stage("a", &[]), stage("b", &["a"]), stage("c", &[])]));
    run.succeeds("a");
    run.tell(Input::Cancel { reason: "enough" }).unwrap();
    assert_eq!(names(&run.run.carried(&HashMap::new()).unwrap()), ["a"]);

    let all = || pipeline([stage("a", &[]), stage("b", &["a"]), stage("c", &[])]);
    let only = RunContext { only: vec!["b".into()], ..RunContext::manual() };
    let mut run = drive_with(all(), only.clone());
    run.succeeds("a");
    run.fails("b");
    let carried = run.run.carried(&HashMap::new()).unwrap();
    assert_eq!(names(&carried), ["a"]);
    let mut again = queued(all(), only);
    again.run = again.run.carrying(carried.into());
    again.tell(Input::Begin).unwrap();
    assert_eq!((again.ready(), again.ended("c").as_str()), (vec!["b".to_owned()], "skipped: not selected"));
}

#[test]
fn a_run_in_which_nothing_failed_has_nothing_to_go_on_with() {
    let mut run = drive(pipeline([stage("a", &[]).allow_failure(), stage("b", &["a"])]));
    run.fails("a");
    run.succeeds("b");
    assert_eq!(run.run.carried(&HashMap::new()), None);
}

#[test]
fn a_stage_that_the_plan_does_not_have_is_no_stage_of_the_run() {
    let carried = failed().run.carried(&HashMap::new()).unwrap();
    let mut run = again(pipeline([stage("other", &[])]), carried);
    run.succeeds("other");
    assert_eq!(run.status(), RunStatus::Succeeded);
}
