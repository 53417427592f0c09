//! The crash matrix: the engine's process is killed (SIGKILL) at every crash point that a run meets, restarted, and
//! the world is counted. Guarantees G1 (no side effect twice), G2 (no run lost), G3 (the log is whole), G8 (nothing is
//! left behind) and G10 (a replay gives the state), on each store that a run outlives its engine in.
//!
//! Data flow: [`matrix`] (the parent) first lets a [`child`] of a [`world`] run a pipeline with a plan that records how often each
//! crash point is reached. Then, for each point and each time it was reached, a child runs the pipeline in a fresh
//! folder with a plan that harms it there: kills it, has it stand still for longer than its lease, cuts its connections,
//! kills its database's server, or fills its disk;
//! further children resume until one ends; and the parent counts the side effects in a file that only the jobs write,
//! reads the log out of the store, and looks for remains.
//!
//! The children are this test binary again, filtered to `engine_process`, so that nothing else must be built.
#![cfg(unix)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the matrix prints what it found")]

mod check;
mod child;
mod disk;
mod executors;
mod follow;
mod lane;
mod matrix;
mod pipelines;
mod rivals;
#[cfg(feature = "postgres")]
mod server;
mod stores;
mod world;

use child::Harm;
use matrix::Target;
use stores::Keep;

/// Not a test of its own: the process that the matrix kills. It does nothing unless the matrix called it.
#[test]
fn engine_process() {
    child::run_if_asked();
}

#[test]
fn g1_g2_g3_g8_g10_local_jobs_survive_a_kill_at_every_crash_point() {
    matrix::run(Target::Local, Keep::Journal, Harm::Kill);
}

#[test]
fn g1_g2_g3_g8_g10_local_jobs_on_sqlite_survive_a_kill_at_every_crash_point() {
    matrix::run(Target::Local, Keep::Sqlite, Harm::Kill);
}

#[test]
#[ignore = "needs docker"]
fn g1_g2_g3_g8_g10_docker_jobs_survive_a_kill_at_every_crash_point() {
    matrix::run(Target::Docker, Keep::Journal, Harm::Kill);
}

#[test]
#[ignore = "needs docker"]
fn g1_g2_g3_g8_g10_docker_jobs_on_sqlite_survive_a_kill_at_every_crash_point() {
    matrix::run(Target::Docker, Keep::Sqlite, Harm::Kill);
}

#[test]
fn g3_a_log_on_sqlite_is_followed_while_its_engine_is_killed() {
    follow::run(Keep::Sqlite);
}

#[cfg(feature = "postgres")]
#[test]
#[ignore = "needs postgres"]
fn g3_a_log_on_postgres_is_followed_while_its_engine_is_killed() {
    follow::run(Keep::Postgres);
}

#[test]
fn g1_g11_two_engines_on_sqlite_that_are_paused_at_random_start_no_attempt_twice() {
    rivals::run(Keep::Sqlite);
}

#[cfg(feature = "postgres")]
#[test]
#[ignore = "needs postgres"]
fn g1_g11_two_engines_on_postgres_that_are_paused_at_random_start_no_attempt_twice() {
    rivals::run(Keep::Postgres);
}

#[cfg(feature = "postgres")]
#[test]
#[ignore = "needs postgres"]
fn g1_g2_g3_g8_g10_local_jobs_on_postgres_survive_a_kill_at_every_crash_point() {
    matrix::run(Target::Local, Keep::Postgres, Harm::Kill);
}

#[test]
#[ignore = "takes minutes"]
fn g1_g11_an_engine_on_sqlite_that_stood_still_at_any_crash_point_does_no_harm() {
    matrix::run(Target::Local, Keep::Sqlite, Harm::Pause);
}

#[cfg(feature = "postgres")]
#[test]
#[ignore = "needs postgres"]
fn g1_g11_an_engine_on_postgres_that_stood_still_at_any_crash_point_does_no_harm() {
    matrix::run(Target::Local, Keep::Postgres, Harm::Pause);
}

#[cfg(feature = "postgres")]
#[test]
#[ignore = "needs postgres"]
fn g1_g2_connections_to_postgres_may_be_cut_at_any_crash_point() {
    matrix::run(Target::Local, Keep::Postgres, Harm::Cut);
}

#[cfg(feature = "postgres")]
#[test]
#[ignore = "needs docker and postgres"]
fn g1_g2_g3_g8_g10_docker_jobs_on_postgres_survive_a_kill_at_every_crash_point() {
    matrix::run(Target::Docker, Keep::Postgres, Harm::Kill);
}

#[cfg(feature = "postgres")]
#[test]
#[ignore = "needs postgres"]
fn g1_g2_g3_g8_g10_the_server_of_postgres_may_be_killed_at_any_crash_point() {
    matrix::run(Target::Local, Keep::Postgres, Harm::Server);
}

#[test]
#[ignore = "needs root to mount a tmpfs"]
fn g1_g2_g3_g8_g10_the_disk_of_the_journal_may_be_full_at_any_crash_point() {
    matrix::run(Target::Local, Keep::Journal, Harm::FullDisk);
}

#[test]
#[ignore = "needs root to mount a tmpfs"]
fn g1_g2_g3_g8_g10_the_disk_of_sqlite_may_be_full_at_any_crash_point() {
    matrix::run(Target::Local, Keep::Sqlite, Harm::FullDisk);
}
