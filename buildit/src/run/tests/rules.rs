use std::num::NonZeroU32;
use std::time::Duration;

use super::support::{START, drive, drive_with, queued};
use crate::event::{Approval, EventBody, RunStatus, StopReason};
use crate::job::{Cause, JobOutcome, JobProducts, Status};
use crate::pipeline::{ApprovalField, ApprovalSpec, PipelineBuilder, RetryCause, RunContext, StageBuilder};
use crate::run::{ApprovalError, Input, InputError, StagePhase};

const SECOND: Duration = Duration::from_secs(1);

fn stage(name: &str, needs: &[&str]) -> StageBuilder {
    StageBuilder::run(name, "true").needs(needs.iter().copied())
}

fn pipeline(stages: impl IntoIterator<Item = StageBuilder>) -> PipelineBuilder {
    PipelineBuilder::new("test").stages(stages)
}

#[test]
fn stages_become_ready_in_order_once_what_they_need_has_ended() {
    let mut run = drive(pipeline([stage("c", &["a", "b"]), stage("a", &[]), stage("b", &[]), stage("d", &["a"])]));
    assert_eq!(run.ready(), ["a", "b"]);
    run.start("a");
    assert_eq!(run.ready(), ["b"]);
    run.start("b");
    run.end("a", JobOutcome::succeeded());
    assert_eq!(run.ready(), ["d"]);
    run.end("b", JobOutcome::succeeded());
    assert_eq!(run.ready(), ["d", "c"]);
    run.succeeds("c");
    assert_eq!(run.status(), RunStatus::Running);
    run.succeeds("d");
    assert_eq!(run.status(), RunStatus::Succeeded);
    assert_eq!(run.run.ended(Status::Succeeded), 4);
}

#[test]
fn a_failure_skips_all_that_follow_and_names_the_need() {
    let mut run = drive(pipeline([stage("a", &[]), stage("b", &["a"]), stage("c", &["b"]), stage("other", &[])]));
    run.fails("a");
    assert_eq!(run.ended("b"), "skipped: needs `a`, which did not succeed");
    assert_eq!(run.ended("c"), "skipped: needs `b`, which did not succeed");
    assert_eq!(run.status(), RunStatus::Running);
    run.succeeds("other");
    assert_eq!(run.status(), RunStatus::Failed);
}

#[test]
fn an_allowed_failure_does_not_count() {
    let mut run = drive(pipeline([stage("a", &[]).allow_failure(), stage("b", &["a"])]).fail_fast());
    run.fails("a");
    assert!(run.result("a").allowed);
    run.succeeds("b");
    assert_eq!(run.status(), RunStatus::Succeeded);
}

#[test]
fn a_stage_that_its_own_condition_skips_is_fine_for_others() {
    let mut run = drive(pipeline([stage("a", &[]).when("false"), stage("b", &["a"])]));
    assert_eq!(run.result("a").status, Status::Skipped);
    run.succeeds("b");
    assert_eq!(run.status(), RunStatus::Succeeded);
    let run = drive(pipeline([stage("a", &[]).when("false")]));
    assert_eq!(run.status(), RunStatus::Succeeded, "all skipped by their own condition");
}

#[test]
fn failure_and_always_get_their_turn_after_a_failure() {
    let stages = [
        stage("a", &[]),
        stage("b", &["a"]),
        stage("cleanup", &["b"]).when("always()"),
        stage("alarm", &["b"]).when("failure()"),
        stage("after", &["cleanup"]),
    ];
    let mut run = drive(pipeline(stages.clone()));
    run.fails("a");
    assert_eq!(run.ready(), ["cleanup", "alarm"]);
    run.succeeds("cleanup");
    run.succeeds("alarm");
    run.succeeds("after");
    assert_eq!(run.status(), RunStatus::Failed);
    let mut run = drive(pipeline(stages));
    run.succeeds("a");
    run.succeeds("b");
    assert_eq!(run.result("alarm").status, Status::Skipped);
    assert_eq!(run.ready(), ["cleanup"]);
}

#[test]
fn retries_wait_twice_as_long_each_time() {
    let mut run = drive(pipeline([stage("a", &[]).retry(2, SECOND)]));
    run.fails("a");
    assert_eq!(run.ready(), [""; 0]);
    assert_eq!(run.run.next_wakeup(run.now), Some(START + SECOND));
    assert_eq!(run.run.stage(run.at("a")), StagePhase::Backoff);
    run.pass(SECOND);
    assert_eq!(run.ready(), ["a"]);
    assert_eq!(run.run.next_wakeup(run.now), None, "a stage that may start wakes nobody");
    run.runs("a", JobOutcome::lost());
    run.pass(SECOND);
    assert_eq!(run.ready(), [""; 0]);
    run.pass(SECOND);
    run.runs("a", JobOutcome::failed(7));
    assert_eq!(run.result("a").exit_code, Some(7));
    assert_eq!(run.run.attempts(run.at("a")), 3);
    assert_eq!(run.status(), RunStatus::Failed);
}

#[test]
fn retries_follow_the_causes_that_are_named() {
    let on = |cause| pipeline([stage("a", &[]).retry_on(1, Duration::ZERO, [cause])]);
    let outcomes = [
        (JobOutcome::failed(1), RetryCause::Failed),
        (JobOutcome::timed_out(), RetryCause::Timeout),
        (JobOutcome::lost(), RetryCause::Lost),
        (JobOutcome::failed_because(Cause::Infrastructure, "gone"), RetryCause::Lost),
        (JobOutcome::failed_because(Cause::Oom, "too much"), RetryCause::Oom),
    ];
    for (outcome, cause) in &outcomes {
        for named in [RetryCause::Failed, RetryCause::Timeout, RetryCause::Lost, RetryCause::Oom] {
            let mut run = drive(on(named));
            run.runs("a", outcome.clone());
            assert_eq!(run.status().is_final(), named != *cause, "{outcome:?} on {named:?}");
        }
    }
}

#[test]
fn an_attempt_that_takes_too_long_is_stopped_and_timed_out() {
    let mut run = drive(pipeline([stage("a", &[]).timeout(60 * SECOND).retry(1, Duration::ZERO)]));
    run.start("a");
    assert_eq!(run.run.next_wakeup(run.now), Some(START + 60 * SECOND));
    run.pass(59 * SECOND);
    assert_eq!(run.run.wanted().next().unwrap().stop, None);
    run.pass(SECOND);
    assert_eq!(run.run.wanted().next().unwrap().stop, Some(StopReason::Timeout));
    assert_eq!(run.run.next_wakeup(run.now), None);
    run.end("a", JobOutcome::cancelled());
    run.start("a");
    run.pass(60 * SECOND);
    run.end("a", JobOutcome::cancelled());
    assert_eq!(run.ended("a"), "timed_out: timeout: it took longer than 1m");
    assert_eq!(run.status(), RunStatus::Failed);
}

#[test]
fn a_job_that_ended_by_itself_keeps_its_outcome() {
    let mut run = drive(pipeline([stage("a", &[]).timeout(SECOND)]));
    run.start("a");
    run.pass(SECOND);
    run.end("a", JobOutcome::succeeded());
    assert_eq!(run.status(), RunStatus::Succeeded);
}

#[test]
fn cancel_ends_what_waits_and_stops_what_runs() {
    let mut run = drive(pipeline([
        stage("runs", &[]).retry(3, SECOND),
        stage("ready", &[]),
        stage("gate", &[]).approval(ApprovalSpec::default()),
        stage("cleanup", &["runs"]).when("always()"),
    ]));
    run.start("runs");
    run.tell(Input::Cancel { reason: "ann" }).unwrap();
    run.tell(Input::Cancel { reason: "bob" }).unwrap();
    assert_eq!(run.run.cancel_reason(), Some("ann"));
    for ended in ["ready", "gate", "cleanup"] {
        assert_eq!(run.ended(ended), "cancelled: the run was cancelled");
    }
    assert_eq!(run.run.wanted().next().unwrap().stop, Some(StopReason::Cancel));
    run.end("runs", JobOutcome::cancelled());
    assert_eq!(run.ended("runs"), "cancelled: the run was cancelled");
    assert_eq!(run.status(), RunStatus::Cancelled);
    assert_eq!(run.tell(Input::Cancel { reason: "late" }), Err(InputError::RunEnded));
}

#[test]
fn a_run_can_be_cancelled_before_it_begins() {
    let mut run = queued(pipeline([stage("a", &[])]), RunContext::manual());
    assert_eq!(run.status(), RunStatus::Queued);
    run.tell(Input::Cancel { reason: "newer run" }).unwrap();
    assert_eq!(run.status(), RunStatus::Cancelled);
    assert_eq!(run.tell(Input::Begin), Err(InputError::RunEnded));
}

#[test]
fn fail_fast_ends_the_rest_but_what_asks_for_failure() {
    let mut run = drive(
        pipeline([
            stage("a", &[]),
            stage("slow", &[]),
            stage("later", &["slow"]),
            stage("both", &["a", "slow"]),
            stage("needs-a", &["a"]),
            stage("rollback", &["a", "slow"]).when("failure()"),
        ])
        .fail_fast(),
    );
    run.start("slow");
    run.fails("a");
    assert_eq!(run.ended("needs-a"), "skipped: needs `a`, which did not succeed");
    assert_eq!(run.ended("later"), "cancelled: `a` failed, and the pipeline fails fast");
    assert_eq!(run.ended("both"), "cancelled: `a` failed, and the pipeline fails fast");
    assert_eq!(run.run.wanted().next().unwrap().stop, Some(StopReason::FailFast));
    run.end("slow", JobOutcome::cancelled());
    assert_eq!(run.ended("slow"), "cancelled: `a` failed, and the pipeline fails fast");
    assert_eq!(run.ready(), ["rollback"]);
    run.succeeds("rollback");
    assert_eq!(run.status(), RunStatus::Failed);
}

fn gate() -> ApprovalSpec {
    let field = |name: &str| ApprovalField { name: name.into(), ..ApprovalField::default() };
    ApprovalSpec {
        message: Some("Ship?".into()),
        fields: vec![
            ApprovalField { required: true, ..field("note") },
            ApprovalField { choices: vec!["eu".into(), "us".into()], default: Some("eu".into()), ..field("region") },
        ],
        timeout: Some(60 * SECOND),
        ..ApprovalSpec::default()
    }
}

#[test]
fn an_approval_waits_for_a_good_answer() {
    let mut run = drive(pipeline([stage("build", &[]), stage("ship", &["build"]).approval(gate())]));
    let yes = || Approval::yes("ann");
    assert_eq!(run.approve("ship", yes()), Err(ApprovalError::NotWaiting.into()), "it is not asked yet");
    run.succeeds("build");
    assert_eq!(run.status(), RunStatus::Waiting);
    assert_eq!(run.run.waiting().collect::<Vec<_>>(), [run.at("ship")]);
    assert_eq!(run.run.next_wakeup(run.now), Some(START + 60 * SECOND));
    let before = run.run.snapshot();
    let missing = ApprovalError::Missing { field: "note".into() };
    assert_eq!(run.approve("ship", yes()), Err(missing.into()));
    let error = run.approve("ship", yes().with_field("note", "x").with_field("region", "mars")).unwrap_err();
    assert_eq!(error.to_string(), "`region` cannot be `mars`: choose eu, us");
    let error = run.approve("ship", yes().with_field("notes", "x")).unwrap_err();
    assert_eq!(error.to_string(), "there is no field `notes` (did you mean `note`?)");
    assert_eq!(run.run.snapshot(), before, "a bad answer changes nothing");
    run.approve("ship", yes().with_field("note", "x")).unwrap();
    assert_eq!(run.run.approval(run.at("ship")).unwrap().fields["region"], "eu");
    assert_eq!(run.approve("ship", yes()), Err(ApprovalError::NotWaiting.into()));
    assert_eq!(run.ready(), ["ship"]);
    run.succeeds("ship");
    assert_eq!(run.status(), RunStatus::Succeeded);
}

#[test]
fn a_refused_or_forgotten_approval_fails_the_stage() {
    let mut run = drive(pipeline([stage("ship", &[]).approval(gate()), stage("after", &["ship"])]));
    run.approve("ship", Approval::no("bob")).unwrap();
    assert_eq!(run.ended("ship"), "failed: rejected by bob");
    assert_eq!(run.status(), RunStatus::Failed);
    assert!(!run.events.iter().any(|event| matches!(event.body, EventBody::AttemptStarted { .. })));
    let mut run = drive(pipeline([stage("ship", &[]).approval(gate())]));
    run.now = START + 61 * SECOND;
    let late = run.approve("ship", Approval::yes("ann").with_field("note", "x"));
    assert_eq!(late, Err(InputError::RunEnded));
    assert_eq!(run.ended("ship"), "failed: nobody approved in time");
}

#[test]
fn a_part_of_a_pipeline_brings_what_it_needs() {
    let context = RunContext { only: vec!["b".into()], ..RunContext::manual() };
    let mut run =
        drive_with(pipeline([stage("a", &[]), stage("b", &["a"]), stage("c", &["b"]), stage("d", &[])]), context);
    assert_eq!(run.ended("c"), "skipped: not selected");
    assert_eq!(run.ended("d"), "skipped: not selected");
    run.succeeds("a");
    run.succeeds("b");
    assert_eq!(run.status(), RunStatus::Succeeded);
}

#[test]
fn no_more_stages_are_ready_than_may_run() {
    let mut run =
        drive(pipeline(["a", "b", "c"].map(|name| stage(name, &[]))).max_parallel(NonZeroU32::new(2).unwrap()));
    assert_eq!(run.ready(), ["a", "b"]);
    run.start("b");
    assert_eq!(run.ready(), ["a"]);
    run.start("a");
    assert_eq!(run.ready(), [""; 0]);
    let stage = run.at("c");
    assert_eq!(run.tell(Input::Start { stage, executor: "x".into() }), Err(InputError::NotReady(stage)));
    run.end("b", JobOutcome::succeeded());
    assert_eq!(run.ready(), ["c"]);
}

#[test]
fn only_the_attempt_that_runs_can_finish() {
    let mut run = drive(pipeline([stage("a", &[]).retry(1, Duration::ZERO)]));
    run.fails("a");
    run.start("a");
    let stage = run.at("a");
    let late = Input::Finished { stage, attempt: 1, outcome: JobOutcome::succeeded() };
    assert_eq!(run.tell(late), Err(InputError::NotRunning { stage, attempt: 1 }));
    run.end("a", JobOutcome::succeeded());
    assert_eq!(run.status(), RunStatus::Succeeded);
}

#[test]
fn what_the_last_attempt_left_is_kept() {
    let left = |value: &str| {
        let outputs = [("version".to_owned(), value.to_owned())].into_iter().collect();
        JobProducts { outputs, ..JobProducts::default() }
    };
    let mut run = drive(pipeline([stage("a", &[]).retry(1, Duration::ZERO)]));
    run.runs("a", JobOutcome::failed(1).with_products(left("1")));
    assert_eq!(run.run.products(run.at("a")).unwrap().outputs["version"], "1");
    run.runs("a", JobOutcome::succeeded().with_products(left("2")));
    assert_eq!(run.run.products(run.at("a")).unwrap().outputs["version"], "2");
}

#[test]
fn events_of_another_run_are_refused() {
    use crate::run::{ReplayError, Run};
    let mut run = drive(pipeline([stage("a", &[]), stage("b", &["a"])]));
    run.succeeds("a");
    let replay = |events: &[crate::event::Event]| {
        let of = &run.run;
        Run::replay(of.spec().clone(), of.graph().clone(), of.context().clone(), of.info(), events)
    };
    let mut events = run.events.clone();
    events.remove(1);
    assert_eq!(replay(&events), Err(ReplayError::Gap { expected: 2, found: 3 }));
    let mut events = run.events.clone();
    events[1].body = EventBody::RunFinished { status: RunStatus::Succeeded };
    assert_eq!(replay(&events), Err(ReplayError::Unexpected { seq: 2 }));
    events[1].body = EventBody::RetryScheduled { stage: "zzz".into(), attempt: 2, at: START };
    assert_eq!(replay(&events), Err(ReplayError::UnknownStage { seq: 2, stage: "zzz".into() }));
}

#[test]
fn conditions_and_questions_see_what_stages_did() {
    let outputs = [("version".to_owned(), "1.10".to_owned())].into_iter().collect();
    let built = JobOutcome::succeeded().with_products(JobProducts { outputs, ..JobProducts::default() });
    let ask = |message: &str| ApprovalSpec { message: Some(message.into()), ..ApprovalSpec::default() };
    let mut run = drive(pipeline([
        stage("build", &[]),
        stage("skipped", &[]).when("false"),
        stage("new", &["build"]).when("stages.build.outputs.version == '1.10'"),
        stage("old", &["build"]).when("stages.build.outputs.version == '1.1'"),
        stage("bad", &["build"]).when("stages.build.outputs.size > 3"),
        stage("ship", &["build"]).approval(ask("Ship ${stages.build.outputs.version}?")),
        stage("lost", &["skipped"]).approval(ask("Ship ${stages.skipped.outputs.version}?")),
    ]));
    run.runs("build", built);
    assert_eq!(run.ready(), ["new"]);
    assert_eq!(run.result("old").status, Status::Skipped);
    assert_eq!(run.ended("bad").split(':').next(), Some("failed"), "an error in a condition never counts as true");
    let asked = run.events.iter().find_map(|event| match &event.body {
        EventBody::ApprovalRequested { message, .. } => Some(message.to_string()),
        _ => None,
    });
    assert_eq!(asked.as_deref(), Some("Ship 1.10?"));
    assert_eq!(run.ended("lost"), "failed: start: stage `skipped` was skipped, so it has no output `version`");
}
