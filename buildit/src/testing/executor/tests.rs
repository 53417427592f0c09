//! The suite accepts an executor that does everything right, and rejects each flaw by the clause that it breaks.

use std::sync::Arc;

use super::broken::{Hoarder, Player, World};
use super::*;
use crate::testing::{Script, ScriptedExecutor};
use crate::wrap::{Limit, Named, Retry};

fn suite(flaw: Option<Clause>) -> Suite {
    let world = Arc::new(World::default());
    let seen = Arc::clone(&world);
    Suite::new(move || Player { world: Arc::clone(&world), flaw }).leftovers(move |run| seen.left(run))
}

#[tokio::test(start_paused = true)]
async fn an_executor_that_does_everything_right_passes_every_clause() {
    let report = suite(None).check().await.unwrap();
    assert_eq!((report.passed.len(), report.left_out.len()), (Clause::ALL.len(), 0));
}

#[tokio::test(start_paused = true)]
async fn each_flaw_is_rejected_by_its_clause() {
    for clause in Clause::ALL {
        let checked = suite(Some(clause)).check_one(clause).await;
        assert!(checked.is_err(), "{clause:?} does not reject an executor that breaks it");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_left_behind_is_found() {
    let world = Arc::new(World::default());
    let seen = Arc::clone(&world);
    let make = move || Hoarder(Player { world: Arc::clone(&world), flaw: None });
    let error = Suite::new(make).leftovers(move |run| seen.left(run)).check_one(Clause::Success).await.unwrap_err();
    assert!(error.reason.starts_with("this is left"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn wrappers_pass_what_their_executor_passes() {
    let world = Arc::new(World::default());
    let make = move || {
        let player = Player { world: Arc::clone(&world), flaw: None };
        Named::new("wrapped", Retry::new(Limit::new(player, 2), 1, Duration::from_secs(1)))
    };
    conformance(make).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_has_no_probe_is_left_out_and_said_so() {
    let probes = Probes::none().succeeds(crate::pipeline::StageBuilder::run("any", "true").build());
    let suite = Suite::new(|| ScriptedExecutor::new("local", Script::new())).probes(probes);
    let report = suite.check_one(Clause::Success).await;
    assert_eq!(report, Ok(true));
    assert_eq!(suite.check_one(Clause::Outputs).await, Ok(false));
}
