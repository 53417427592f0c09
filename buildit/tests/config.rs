//! The language as files are written in it.
#![cfg(feature = "kdl")]

use std::time::Duration;

use buildit::config::{self, Options};
use buildit::pipeline::{Action, PipelineSpec, When};

fn read(text: &str) -> std::sync::Arc<PipelineSpec> {
    match config::parse("test.kdl", text, &Options::default()) {
        Ok(pipeline) => std::sync::Arc::clone(pipeline.spec()),
        Err(invalid) => panic!("{invalid}"),
    }
}

#[test]
fn upstream_style_files_lose_nothing() {
    let text = r#"
pipeline "x"
trigger "push" {
    branches "main"
}
trigger "pull_request" { }
stage "fmt" { image "rust:1.90"; run "cargo fmt --check" }
stage "clippy" { image "rust:1.90"; run "cargo clippy" }
stage "test" needs="fmt" needs="clippy" {
    image "rust:1.90"
    env "RUST_BACKTRACE" "1"
    run "cargo test"
    artifacts "path"
    manual #true
}
"#;
    let pipeline = config::parse("test.kdl", text, &Options::default()).unwrap();
    let warnings = &pipeline.warnings().0;
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].code, "repeated-property");
    assert!(warnings[0].help.as_ref().unwrap().contains(r#"needs "fmt" "clippy""#));
    let spec = pipeline.spec();
    assert_eq!(spec.name, "x");
    assert_eq!(spec.triggers[0].branches, ["main"]);
    assert_eq!(spec.triggers[1].event, "pull_request");
    let test = spec.stage("test").unwrap();
    assert_eq!(test.needs, ["fmt", "clippy"]);
    assert_eq!(test.image.as_ref().unwrap().reference, "rust:1.90");
    assert_eq!(test.env["RUST_BACKTRACE"], "1");
    assert_eq!(test.run().unwrap().commands[0].source, "cargo test");
    assert_eq!(test.artifacts[0].path, "path");
    assert!(test.approval.is_some());
}

#[test]
fn the_whole_language_is_read() {
    let spec = read(include_str!("corpus/valid/everything.kdl"));
    assert_eq!(spec.max_parallel.unwrap().get(), 8);
    assert!(spec.fail_fast && spec.checkout.submodules && spec.checkout.lfs);
    assert_eq!(spec.concurrency.as_ref().unwrap().group, "deploy-${git.branch}");
    assert_eq!(spec.triggers.len(), 6);
    assert_eq!(spec.params[0].choices, ["eu", "us"]);
    assert_eq!(spec.env.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(), ["A=1", "B=1.10", "C=3"]);
    assert_eq!(spec.caches[0].restore_keys, ["cargo-"]);
    let test = spec.stage("test").unwrap();
    assert_eq!(test.matrix.as_ref().unwrap().exclude[0]["arch"], "arm64");
    assert_eq!(test.services[0].ready.as_ref().unwrap().timeout, Duration::from_secs(30));
    assert_eq!(test.retry.as_ref().unwrap().limit, 2);
    assert_eq!(test.resources.memory_bytes, Some(2 << 30));
    assert_eq!(test.runs_on, ["linux", "gpu"]);
    assert_eq!(test.run().unwrap().commands[0].source, r#"cargo test --no-fail-fast -- --format "terse""#);
    let ship = spec.stage("ship").unwrap();
    assert!(matches!(ship.when.as_deref(), Some(When::Properties(p)) if p.branch == ["main"] && p.event == ["push"]));
    assert_eq!(ship.approval.as_ref().unwrap().fields[0].name, "note");
    assert!(ship.allow_failure);
    let deploy = spec.stage("rollout").unwrap();
    assert!(matches!(&deploy.action, Action::Deploy(deploy) if deploy.service == "shop"));
}
