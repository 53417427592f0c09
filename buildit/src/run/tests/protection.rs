//! What the environment of a stage demands before the stage starts.

use std::time::Duration;

use super::support::{Driven, START, drive_with};
use crate::event::{Approval, EventBody, RunStatus};
use crate::pipeline::{
    ApprovalField, ApprovalSpec, EnvironmentSpec, PipelineBuilder, Protection, PullRequest, RunContext, StageBuilder,
};
use crate::run::{ApprovalError, Input, InputError, StagePhase};

const MINUTE: Duration = Duration::from_secs(60);

fn context(branch: &str, protection: Protection) -> RunContext {
    let mut context = RunContext::manual();
    context.git.branch = branch.into();
    let variables = [("REGION".to_owned(), "eu".to_owned())].into_iter().collect();
    context.environments.insert("production".into(), EnvironmentSpec { variables, protection });
    context
}

fn ship() -> StageBuilder {
    StageBuilder::run("ship", "true").environment("production")
}

fn driven(stage: StageBuilder, context: RunContext) -> Driven {
    drive_with(PipelineBuilder::new("shop").stage(stage), context)
}

fn refused(run: &mut Driven, approval: Approval) -> ApprovalError {
    match run.approve("ship", approval) {
        Err(InputError::Approval(error)) => error,
        other => panic!("it is taken: {other:?}"),
    }
}

#[test]
fn a_stage_waits_for_as_many_people_as_its_environment_wants() {
    let mut run = driven(ship(), context("main", Protection { approvals: 2, ..Protection::default() }));
    assert_eq!((run.status(), run.run.stage(run.at("ship"))), (RunStatus::Waiting, StagePhase::Waiting));
    run.approve("ship", Approval::yes("ann")).unwrap();
    assert_eq!(run.status(), RunStatus::Waiting, "one is not enough");
    assert_eq!(refused(&mut run, Approval::yes("ann")), ApprovalError::Again { by: "ann".into() });
    run.approve("ship", Approval::yes("bob")).unwrap();
    assert_eq!(run.run.approval(run.at("ship")).unwrap().by, "ann, bob");
    run.succeeds("ship");
    assert_eq!(run.status(), RunStatus::Succeeded);
    let needed = run.events.iter().find_map(|event| match &event.body {
        EventBody::ApprovalRequested { needed, message, .. } => Some((*needed, message.to_string())),
        _ => None,
    });
    assert_eq!(needed, Some((2, "Approve `ship` in `production`?".to_owned())));
}

#[test]
fn one_who_refuses_is_enough() {
    let mut run = driven(ship(), context("main", Protection { approvals: 3, ..Protection::default() }));
    run.approve("ship", Approval::yes("ann")).unwrap();
    run.approve("ship", Approval::no("ann")).unwrap();
    assert_eq!(run.ended("ship"), "failed: rejected by ann");
}

#[test]
fn the_stages_own_question_is_part_of_it() {
    let fields = vec![ApprovalField { name: "note".into(), required: true, ..ApprovalField::default() }];
    let asks = ApprovalSpec { fields, ..ApprovalSpec::default() };
    let mut run = driven(ship().approval(asks), context("main", Protection { approvals: 2, ..Protection::default() }));
    assert_eq!(refused(&mut run, Approval::yes("ann")), ApprovalError::Missing { field: "note".into() });
    for (by, note) in [("ann", "one"), ("bob", "two")] {
        run.approve("ship", Approval::yes(by).with_field("note", note)).unwrap();
    }
    assert_eq!(run.run.approval(run.at("ship")).unwrap().fields["note"], "two");
    assert_eq!(run.ready(), ["ship"]);
}

#[test]
fn a_branch_that_is_not_allowed_fails_the_stage_before_it_starts() {
    let rules = || Protection { branches: vec!["main".into(), "release/*".into()], approvals: 1, ..Default::default() };
    let ended = |context| driven(ship(), context).ended("ship");
    let only = "only for main, release/*";
    assert_eq!(
        ended(context("dev", rules())),
        format!("failed: environment `production` is not for the branch `dev`, {only}")
    );
    let none = "failed: environment `production` is only for the branches main, release/*";
    assert_eq!(ended(context("", rules())), none);
    // Whoever has a fork calls its branch as they like.
    let mut fork = context("main", rules());
    fork.pull_request = Some(PullRequest { fork: true, ..PullRequest::default() });
    assert_eq!(ended(fork), none);
    let run = driven(ship(), context("release/1", rules()));
    assert_eq!(run.status(), RunStatus::Waiting);
}

#[test]
fn a_stage_is_held_as_long_as_its_environment_wants() {
    let mut run = driven(ship(), context("main", Protection { wait: MINUTE, ..Protection::default() }));
    assert_eq!(run.run.stage(run.at("ship")), StagePhase::Held);
    assert_eq!(run.run.held_until(run.at("ship")), Some(START + MINUTE));
    assert_eq!(run.run.next_wakeup(run.now), Some(START + MINUTE));
    assert_eq!(run.status(), RunStatus::Running, "nobody is asked");
    run.pass(MINUTE);
    assert_eq!(run.ready(), ["ship"]);
    run.succeeds("ship");
    assert_eq!(run.status(), RunStatus::Succeeded);
}

#[test]
fn people_may_answer_while_a_stage_is_held() {
    let rules = Protection { wait: MINUTE, approvals: 1, ..Protection::default() };
    let mut run = driven(ship(), context("main", rules.clone()));
    run.approve("ship", Approval::yes("ann")).unwrap();
    assert_eq!(run.run.stage(run.at("ship")), StagePhase::Held);
    run.pass(MINUTE);
    assert_eq!(run.ready(), ["ship"]);
    let mut run = driven(ship(), context("main", rules));
    run.pass(2 * MINUTE);
    assert_eq!(run.run.stage(run.at("ship")), StagePhase::Waiting);
    run.approve("ship", Approval::yes("ann")).unwrap();
    assert_eq!(run.ready(), ["ship"], "the time has passed already");
}

#[test]
fn a_held_stage_ends_with_a_cancelled_run() {
    let mut run = driven(ship(), context("main", Protection { wait: MINUTE, ..Protection::default() }));
    run.tell(Input::Cancel { reason: "enough" }).unwrap();
    assert_eq!((run.status(), run.ended("ship").as_str()), (RunStatus::Cancelled, "cancelled: the run was cancelled"));
    assert_eq!(run.run.next_wakeup(run.now), None);
}

#[test]
fn conditions_see_the_variables_of_the_environment() {
    let open = || context("main", Protection::default());
    assert_eq!(driven(ship().when("environment.REGION == 'eu'"), open()).ready(), ["ship"]);
    let run = driven(ship().when("environment.REGION == 'us'"), open());
    assert_eq!(run.status(), RunStatus::Succeeded, "it was skipped");
}

#[test]
fn it_is_told_what_is_waited_for() {
    let rules = Protection { wait: MINUTE, approvals: 2, by: vec!["role:admin".into()], ..Protection::default() };
    let mut run = driven(ship(), context("main", rules));
    let why = |run: &Driven| run.run.explain(&run.events, None)[0].why.to_string();
    assert_eq!(why(&run), "waits for an approval by role:admin");
    run.approve("ship", Approval::yes("ann")).unwrap();
    run.approve("ship", Approval::yes("bob")).unwrap();
    assert_eq!(why(&run), format!("waits until {}: `production` wants it", START + MINUTE));
}
