//! Files as people write them.

use std::time::Duration;

use buildit::config::{self, Options};
use buildit::pipeline::{Action, Pipeline, PipelineSpec, RunContext, When};

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
    let spec = read(include_str!("../corpus/valid/everything.kdl"));
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

#[test]
fn templates_replace_and_add_up() {
    let spec = read(
        r#"
cache "a" { path "a"; key "a" }
cache "b" { path "b"; key "b" }
template "t" {
    image "one"
    env { A "1"; B "1" }
    needs "first"
    secrets "S"
    artifacts "x"
    cache "a"
    run "template" "again"
    timeout "1m"
}
stage "first" { run "x" }
stage "second" { run "x" }
stage "t" use="t" {
    image "two" pull="always"
    env { B "2"; C "2" }
    needs "second"
    secrets "T"
    artifacts "y"
    cache "b"
    run "own"
}
stage "plain" use="t" { }
"#,
    );
    let own = spec.stage("t").unwrap();
    assert_eq!(own.image.as_ref().unwrap().reference, "two");
    let env: Vec<_> = own.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(env, ["A=1", "B=2", "C=2"]);
    assert_eq!(own.needs, ["first", "second"]);
    assert_eq!(own.secrets, ["S", "T"]);
    assert_eq!(own.caches, ["a", "b"]);
    assert_eq!(own.artifacts.iter().map(|artifact| &*artifact.path).collect::<Vec<_>>(), ["x", "y"]);
    assert_eq!(own.run().unwrap().commands.len(), 1);
    assert_eq!(own.timeout, Some(Duration::from_secs(60)));
    let plain = spec.stage("plain").unwrap();
    assert_eq!(plain.run().unwrap().commands.len(), 2);
    let origin = plain.origins.get("image").unwrap();
    assert_eq!((origin.line, origin.used_at.as_ref().unwrap().line), (5, 25));
}

#[test]
fn numbers_keep_their_text_and_older_references_are_read() {
    let spec = read("env A=1.10 B=0x1F C=1_000\nstage \"a\" { image \"x:{git.sha}\"; run \"awk '{run.x}'\" }");
    assert_eq!(spec.env.values().map(String::as_str).collect::<Vec<_>>(), ["1.10", "0x1F", "1_000"]);
    let stage = spec.stage("a").unwrap();
    assert_eq!(stage.image.as_ref().unwrap().reference, "x:${git.sha}");
    assert_eq!(stage.run().unwrap().commands[0].source, "awk '{run.x}'");
}

#[test]
fn parts_know_where_they_were_written() {
    let spec = read("pipeline \"p\"\n// ü\nstage \"a\" {\n    env \"A\" \"ü\"; run \"x\" \"y\"\n}\n");
    let stage = spec.stage("a").unwrap();
    let at = |part: &str| {
        let origin = stage.origins.get(part).unwrap_or_else(|| panic!("{part}"));
        (origin.line, origin.column, origin.length)
    };
    assert_eq!(at("stage"), (3, 1, 9));
    assert_eq!(at("env.A"), (4, 13, 4));
    assert_eq!(at("run[1]"), (4, 26, 3));
    assert_eq!(spec.origins.get("pipeline").unwrap().line, 1);
}

#[test]
fn a_pipeline_is_named_by_its_file_unless_it_says_otherwise() {
    let named = |file: &str| {
        let pipeline = config::parse(file, "stage \"a\" { run \"x\" }", &Options::default()).unwrap();
        pipeline.spec().name.clone()
    };
    assert_eq!(named("ci/nightly.kdl"), "nightly");
    assert_eq!(named(".buildit.kdl"), "buildit");
}

#[test]
fn given_parameters_are_checked() {
    let pipeline = config::parse(
        "t.kdl",
        "param \"region\" { choices \"eu\" \"us\" }\nstage \"a\" { run \"x\" }",
        &Options::default(),
    )
    .unwrap();
    let mut context = RunContext::manual();
    assert!(Pipeline::spec(&pipeline, &context).is_err());
    context.params.insert("region".into(), "mars".into());
    assert!(Pipeline::spec(&pipeline, &context).is_err());
    context.params.insert("region".into(), "us".into());
    assert!(Pipeline::spec(&pipeline, &context).is_ok());
}
