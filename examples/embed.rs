//! The smallest program that runs a pipeline: an engine, an executor, a pipeline as text.
//!
//!     cargo run -p buildit-examples --example embed

use buildit::config::{self, Options};
use buildit::engine::{Engine, StartOptions};
use buildit::pipeline::RunContext;
use buildit_executors::local;
use futures_util::StreamExt;

const PIPELINE: &str = r##"
pipeline "greeting"

param "name" default="world"

stage "hello" {
    run #"echo "Hello, ${params.name}""#
    run #"echo "letters=$(printf %s "${params.name}" | wc -c)" >> "$BUILDIT_OUTPUT""#
}

stage "count" {
    needs "hello"
    run #"echo "That has ${stages.hello.outputs.letters} letters""#
}
"##;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let state = tempfile::tempdir()?;
    let engine = Engine::builder().executor(local::executor(state.path())).build()?;

    let pipeline = config::parse("greeting.kdl", PIPELINE, &Options::default())?;
    let mut context = RunContext::manual();
    context.params.insert("name".into(), "BuildIt".into());
    let run = engine.start(&pipeline, StartOptions::new(context)).await?;

    for stage in ["hello", "count"] {
        let mut log = run.logs(stage);
        while let Some(page) = log.next().await.transpose()? {
            page.chunk.iter().for_each(|line| print_line(stage, &line.text));
        }
    }
    let report = run.wait().await?;
    print_line("run", report.status.as_str());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a program that shows what it does")]
fn print_line(stage: &str, text: &str) {
    println!("{stage} | {text}");
}
