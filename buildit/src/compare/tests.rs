use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::event::{Event, EventBody, RunStatus, StageResult};
use crate::id::Digest;
use crate::job::JobOutcome;
use crate::pipeline::{PipelineBuilder, RunContext, StageBuilder};
use crate::store::{NewRun, RunRecord};

fn facts(pipeline: PipelineBuilder, context: RunContext) -> RunFacts {
    let run =
        NewRun { source: Some(Digest::of(b"source")), ..NewRun::new(pipeline.build(), context, Timestamp::UNIX_EPOCH) };
    RunFacts::new(RunRecord { run, number: 1, status: RunStatus::Succeeded, last_seq: 0 })
}

fn ran(facts: &mut RunFacts, stage: &str, took: Duration, exit_code: i32) {
    let outcome = if exit_code == 0 { JobOutcome::succeeded() } else { JobOutcome::failed(exit_code) };
    let result = StageResult { status: outcome.status, ..StageResult::succeeded() };
    let begun = Timestamp::UNIX_EPOCH;
    let bodies = [
        (begun, EventBody::AttemptStarted { stage: stage.into(), attempt: 1, executor: "local".into() }),
        (begun + took, EventBody::AttemptFinished { stage: stage.into(), attempt: 1, outcome }),
        (begun + took, EventBody::StageFinished { stage: stage.into(), result }),
    ];
    bodies.into_iter().zip(1..).for_each(|((time, body), seq)| facts.apply(&Event { seq, time, body }));
}

fn lines(differences: &[Difference]) -> Vec<String> {
    let side = |value: &Option<serde_json::Value>| value.as_ref().map_or("-".to_owned(), ToString::to_string);
    let line = |difference: &Difference| {
        let Difference { kind, stage, name, before, after } = difference;
        let words = [format!("{kind:?}"), stage.clone().unwrap_or_default(), name.clone()];
        let words: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
        format!("{} {} -> {}", words.join(" "), side(before), side(after))
    };
    differences.iter().map(line).collect()
}

#[test]
fn two_runs_of_the_same_are_the_same() {
    let pipeline = || PipelineBuilder::new("shop").stage(StageBuilder::run("a", "true").image("busybox"));
    let (mut one, mut other) = (facts(pipeline(), RunContext::manual()), facts(pipeline(), RunContext::manual()));
    for facts in [&mut one, &mut other] {
        ran(facts, "a", Duration::from_millis(5), 0);
    }
    assert_eq!(difference(&one, &other), []);
}

#[test]
fn what_was_asked_comes_before_how_it_went() {
    let before = PipelineBuilder::new("shop")
        .stage(StageBuilder::run("build", "make").image("busybox:1"))
        .stage(StageBuilder::run("gone", "true"))
        .stage(StageBuilder::run("same", "true"));
    let after = PipelineBuilder::new("shop")
        .stage(StageBuilder::run("build", "make all").image("busybox:2").env("A", "1"))
        .stage(StageBuilder::run("same", "true"))
        .stage(StageBuilder::run("new", "true"));
    let mut given = RunContext::manual();
    given.params.insert("region".into(), "eu".into());
    given.env.insert("OLD".into(), "1".into());
    let mut one = facts(before, given.clone());
    given.params.insert("region".into(), "us".into());
    given.env.clear();
    given.git.sha = "abc".into();
    let mut other = facts(after, given);
    other.record.run.source = Some(Digest::of(b"another"));
    ran(&mut one, "build", Duration::from_secs(2), 0);
    ran(&mut other, "build", Duration::from_secs(3), 1);
    ran(&mut one, "same", Duration::from_secs(1), 0);
    ran(&mut one, "gone", Duration::from_secs(1), 0);
    insta::assert_snapshot!(lines(&difference(&one, &other)).join("\n"));
}

#[test]
fn where_something_is_written_is_no_difference() {
    let text = |head: &str| format!("{head}pipeline \"p\"\nstage \"a\" {{ run \"true\"; artifacts \"x\" }}");
    let parse = |text: &str| crate::config::parse("p.kdl", text, &crate::config::Options::default()).unwrap();
    let of = |text: String| {
        let mut facts = facts(PipelineBuilder::new("p"), RunContext::manual());
        facts.record.run.plan = Arc::clone(parse(&text).spec());
        facts
    };
    assert_eq!(difference(&of(text("")), &of(text("\n\n\n"))), []);
}
