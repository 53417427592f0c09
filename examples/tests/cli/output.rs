//! How a run looks.

use crate::common::{Project, steady};

const SHOP: &str = r##"
pipeline "shop"
stage "fmt" { run "echo formatted" }
stage "test" {
    needs "fmt"
    matrix { db "postgres" "sqlite" }
    run #"test "${matrix.db}" = postgres || { echo "no such table: orders" >&2; exit 7; }"#
}
stage "ship" { needs "test"; run "echo shipped" }
"##;

#[test]
fn plain_is_a_line_for_each_line() {
    let done = Project::new(SHOP).buildit(&["run", "--max-parallel", "1"]).exits(1);
    insta::assert_snapshot!("plain_stdout", done.stdout);
    insta::assert_snapshot!("plain_stderr", steady(&done.stderr));
}

#[test]
fn human_ends_with_what_failed_and_a_summary() {
    let done = Project::new(SHOP).buildit(&["run", "--max-parallel", "1", "--output", "human"]).exits(1);
    insta::assert_snapshot!("human_stdout", steady(&done.stdout));
    insta::assert_snapshot!("human_stderr", steady(&done.stderr));
    assert!(!done.stdout.contains('\u{1b}') && !done.stderr.contains('\u{1b}'), "no terminal, no colours");
}
