//! An executor of one's own: the commands of a stage in a plain child process, whose output is its log.
//!
//!     cargo run -p buildit-examples --example custom_executor
//!     cargo test -p buildit-examples --example custom_executor     # the conformance suite
//!
//! Its jobs end with the engine. One whose jobs outlive it implements `buildit::backend::Backend` instead.

use async_trait::async_trait;
use buildit::cancel::Stop;
use buildit::engine::{Engine, StartOptions};
use buildit::executor::{Executor, ExecutorError, JobContext, LogWrite, RetryClass, Unsupported};
use buildit::job::{JobOutcome, JobSpec, Stream};
use buildit::pipeline::{PipelineBuilder, RunContext, StageBuilder};
use secrecy::ExposeSecret;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

#[derive(Debug)]
struct ChildProcess;

#[async_trait]
impl Executor for ChildProcess {
    fn name(&self) -> &str {
        "child-process"
    }

    fn supports(&self, job: &JobSpec) -> Result<(), Unsupported> {
        match (&job.stage.image, job.stage.run()) {
            (None, Some(_)) => Ok(()),
            (Some(_), _) => Err(Unsupported::new("image", "child processes run no images")),
            (None, None) => Err(Unsupported::new(job.stage.action.name(), "child processes only run commands")),
        }
    }

    async fn run(&self, job: &JobSpec, ctx: JobContext) -> Result<JobOutcome, ExecutorError> {
        let failed = |error| ExecutorError::backend("child-process", "cannot run sh", RetryClass::Never, error);
        let commands = job.stage.run().map(|run| run.commands.as_slice()).unwrap_or_default();
        let script = commands.iter().map(|command| format!("{}\n", command.script())).collect::<String>();
        let secrets = ctx.secrets().env.iter().map(|(name, value)| (name.as_str(), value.expose_secret()));
        let mut child = Command::new("sh")
            .args(["-ec", &format!("exec 2>&1\n{script}")])
            .env_clear()
            .envs(std::env::var("PATH").map(|path| ("PATH", path)))
            .envs(job.environment())
            .envs(secrets)
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let mut output = child.stdout.take().ok_or_else(|| failed(std::io::Error::other("no output")))?;
        let mut buffer = bytes::BytesMut::with_capacity(64 * 1024);
        loop {
            tokio::select! {
                read = output.read_buf(&mut buffer) => match read.map_err(failed)? {
                    0 => break,
                    _ => {
                        let bytes = buffer.split().freeze();
                        ctx.log(&job.id, LogWrite { stream: Stream::Stdout, bytes, position: None }).await?;
                    }
                },
                () = ctx.cancel().raised(Stop::Gracefully) => {
                    child.kill().await.map_err(failed)?;
                    ctx.flush(&job.id).await?;
                    return Ok(JobOutcome::cancelled());
                }
            }
        }
        ctx.flush(&job.id).await?;
        let status = child.wait().await.map_err(failed)?;
        Ok(if status.success() { JobOutcome::succeeded() } else { JobOutcome::failed(status.code().unwrap_or(-1)) })
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let engine = Engine::builder().executor(ChildProcess).build()?;
    let pipeline = PipelineBuilder::new("custom")
        .stage(StageBuilder::run("greet", "echo Hello from an executor of our own"))
        .stage(StageBuilder::run("fail", "exit 3").needs(["greet"]).allow_failure())
        .build();
    let run = engine.start(&pipeline, StartOptions::new(RunContext::manual())).await?;
    for (stage, result) in run.wait().await?.stages() {
        print_line(stage, result.status.as_str());
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a program that shows what it does")]
fn print_line(stage: &str, text: &str) {
    println!("{stage} | {text}");
}
