//! What is said of each stage.

use std::num::NonZeroU32;
use std::time::Duration;

use super::support::{drive, drive_with, queued};
use crate::event::{Approval, Difference, IngredientKind, Miss, TakenResult};
use crate::id::{Digest, RunId};
use crate::job::JobOutcome;
use crate::pipeline::{ApprovalSpec, GitContext, PipelineBuilder, RunContext, StageBuilder, WhenProperties};
use crate::run::{Holder, Input};

use super::support::Driven;

fn said(driven: &Driven, holder: Option<Holder>) -> Vec<String> {
    let all = driven.run.explain(&driven.events, holder);
    all.iter().map(|one| format!("{} [{}] {}", one.stage, one.state, one.why)).collect()
}

fn shop() -> PipelineBuilder {
    let approval = ApprovalSpec {
        by: vec!["role:admin".into()],
        timeout: Some(Duration::from_secs(60)),
        ..ApprovalSpec::default()
    };
    let main = WhenProperties { branch: vec!["main".into()], ..WhenProperties::default() };
    PipelineBuilder::new("shop")
        .max_parallel(NonZeroU32::MIN)
        .stage(StageBuilder::run("build", "true").cacheable(["src/**"]))
        .stage(StageBuilder::run("lint", "true").cacheable(["src/**"]))
        .stage(StageBuilder::run("test", "true").needs(["build", "lint"]).retry(1, Duration::from_secs(10)))
        .stage(StageBuilder::run("other", "true"))
        .stage(StageBuilder::run("ship", "true").needs(["test"]).approval(approval))
        .stage(StageBuilder::run("docs", "true").when_properties(main))
        .stage(StageBuilder::run("after", "true").needs(["ship"]))
}

#[test]
fn each_stage_says_why_it_is_where_it_is() {
    let git = GitContext { branch: "dev".into(), ..GitContext::default() };
    let mut driven = drive_with(shop(), RunContext { git, ..RunContext::manual() });
    let nil = RunId::from(uuid::Uuid::nil());
    let result = Box::new(TakenResult {
        key: Some(Digest::of(b"key")),
        run: nil,
        stage: "compile".into(),
        attempt: 2,
        products: None,
    });
    driven.tell(Input::Take { stage: driven.at("build"), result }).unwrap();
    let change = crate::event::Change::Changed;
    let differences = vec![Difference { kind: IngredientKind::File, name: "src/a".into(), change }];
    let miss = Box::new(Miss::Changed { run: nil, differences, more: 0 });
    driven.tell(Input::Miss { stage: driven.at("lint"), miss }).unwrap();
    driven.tell(Input::Start { stage: driven.at("lint"), executor: "local".into() }).unwrap();
    let hit = "build [succeeded] taken from `compile` of run 00000000-0000-0000-0000-000000000000, attempt 2: nothing \
               that it is made of changed";
    assert_eq!(
        said(&driven, None),
        [
            hit,
            "lint [running] ran: file `src/a` changed",
            "test [pending] waits for `lint`",
            "other [ready] waits for room: 1 of its pipeline's 1 jobs are under way",
            "ship [pending] waits for `test`",
            "docs [skipped] did not run: its condition is false: branch=\"main\"",
            "after [pending] waits for `ship`",
        ]
    );
    let all = driven.run.explain(&driven.events, None);
    assert!(all[0].host_tools && all[1].host_tools && !all[2].host_tools);
    driven.tell(Input::Finished { stage: driven.at("lint"), attempt: 1, outcome: JobOutcome::succeeded() }).unwrap();
    driven.tell(Input::Start { stage: driven.at("test"), executor: "local".into() }).unwrap();
    driven.tell(Input::Finished { stage: driven.at("test"), attempt: 1, outcome: JobOutcome::failed(1) }).unwrap();
    assert_eq!(said(&driven, None)[2], "test [retrying] waits for attempt 2, not before 1970-01-01T00:00:10Z");
    driven.now += Duration::from_secs(10);
    driven.tell(Input::Start { stage: driven.at("test"), executor: "local".into() }).unwrap();
    driven.tell(Input::Finished { stage: driven.at("test"), attempt: 2, outcome: JobOutcome::succeeded() }).unwrap();
    let told = said(&driven, None);
    assert_eq!(told[2], "test [succeeded] ran: what it needs is done: `build`, `lint`; 2 attempts");
    assert_eq!(told[4], "ship [waiting] waits for an approval by role:admin until 1970-01-01T00:01:10Z");
    driven.tell(Input::Approve { stage: driven.at("ship"), approval: Approval::no("ann") }).unwrap();
    let told = said(&driven, None);
    assert_eq!(told[4], "ship [failed] did not run: rejected by ann");
    assert_eq!(told[6], "after [skipped] did not run: needs `ship`, which did not succeed");
}

#[test]
fn a_run_that_has_not_begun_says_who_holds_its_turn() {
    let driven = queued(PipelineBuilder::new("shop").stage(StageBuilder::run("a", "true")), RunContext::manual());
    assert_eq!(said(&driven, None), ["a [pending] waits for an engine that takes the run up"]);
    let holder = Holder { run: RunId::from(uuid::Uuid::nil()), number: 7 };
    let turn = "a [pending] waits for its turn: run #7 holds the concurrency group";
    assert_eq!(said(&driven, Some(holder)), [turn]);
}

#[test]
fn what_ran_says_what_let_it() {
    let pipeline = PipelineBuilder::new("shop")
        .stage(StageBuilder::run("a", "true"))
        .stage(StageBuilder::run("b", "true").when("git.branch == ''"))
        .stage(StageBuilder::run("c", "true").cacheable(["src"]).needs(["a"]));
    let mut driven = drive(pipeline);
    for (stage, outcome) in [("a", JobOutcome::failed(3)), ("b", JobOutcome::succeeded())] {
        let stage = driven.at(stage);
        driven.tell(Input::Start { stage, executor: "local".into() }).unwrap();
        driven.tell(Input::Finished { stage, attempt: 1, outcome }).unwrap();
    }
    assert_eq!(
        said(&driven, None),
        [
            "a [failed] ran: it needs nothing; exit",
            "b [succeeded] ran: its condition holds: git.branch == ''",
            "c [skipped] did not run: needs `a`, which did not succeed",
        ]
    );
}
