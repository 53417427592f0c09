//! An executor of one's own: the commands of a stage in a plain child process, whose output is its log.
//!
//!     cargo run -p buildit-examples --example custom_executor
//!     cargo test -p buildit-examples --example custom_executor     # the conformance suite
//!
//! Its jobs end with the engine. One whose jobs outlive it implements `buildit::backend::Backend` instead.

use std::path::Path;
use std::process::Stdio;

use async_trait::async_trait;
use buildit::cancel::Stop;
use buildit::engine::{Engine, StartOptions};
use buildit::executor::{Executor, ExecutorError, JobContext, LogWrite, RetryClass, Unsupported};
use buildit::job::{JobOutcome, JobSpec, Stream};
use buildit::pipeline::{PipelineBuilder, RunContext, StageBuilder};
use buildit_executors::workspace::{Folders, harvest, lay_out};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use secrecy::ExposeSecret;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

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
        let home = tempfile::tempdir().map_err(broken)?;
        let [workspace, output, summary] = ["work", "output", "summary"].map(|name| home.path().join(name));
        std::fs::create_dir(&workspace).map_err(broken)?;
        lay_out(ctx.inputs(), ctx.blobs(), &workspace, None).await.map_err(broken)?;
        // A stage that was stopped before it started never runs, nor does one that another engine has taken over.
        if ctx.cancel().is_raised() {
            return Ok(JobOutcome::cancelled());
        }
        ctx.confirm_lease(&job.id).await?;
        let mut child = spawn(job, &ctx, &workspace, [("BUILDIT_OUTPUT", &output), ("BUILDIT_SUMMARY", &summary)])?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (status, ..) = tokio::try_join!(
            ended(&mut child, &ctx),
            log(job, &ctx, Stream::Stdout, stdout),
            log(job, &ctx, Stream::Stderr, stderr),
        )?;
        ctx.flush(&job.id).await?;
        let outcome = match status.code() {
            _ if ctx.cancel().is_raised() => JobOutcome::cancelled(),
            Some(0) => JobOutcome::succeeded(),
            code => JobOutcome::failed(code.unwrap_or(-1)),
        };
        harvest(&Folders { workspace, home: None, output, summary }, job, &ctx, outcome).await.map_err(broken)
    }
}

fn broken(error: impl std::error::Error + Send + Sync + 'static) -> ExecutorError {
    ExecutorError::backend("child-process", "cannot run a child process", RetryClass::Never, error)
}

/// Starts the commands in a process group of their own. Secrets go into the environment at the last moment.
fn spawn(
    job: &JobSpec,
    ctx: &JobContext,
    workspace: &Path,
    files: [(&str, &std::path::PathBuf); 2],
) -> Result<Child, ExecutorError> {
    let commands = job.stage.run().map(|run| run.commands.as_slice()).unwrap_or_default();
    let script: String = commands.iter().map(|command| format!("{}\n", command.script())).collect();
    let secrets = ctx.secrets().env.iter().map(|(name, value)| (name, value.expose_secret()));
    let mut command = Command::new("sh");
    command.args(["-ec", &script]).current_dir(workspace).process_group(0).kill_on_drop(true);
    command.env_clear().envs(std::env::var("PATH").map(|path| ("PATH", path))).envs(files);
    command.envs(job.environment()).envs(secrets);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(broken)
}

/// Passes an output on until its end.
async fn log(
    job: &JobSpec,
    ctx: &JobContext,
    stream: Stream,
    output: Option<impl AsyncRead + Unpin>,
) -> Result<(), ExecutorError> {
    let Some(mut output) = output else { return Ok(()) };
    let mut buffer = bytes::BytesMut::with_capacity(64 * 1024);
    while output.read_buf(&mut buffer).await.map_err(broken)? > 0 {
        ctx.log(&job.id, LogWrite { stream, bytes: buffer.split().freeze(), position: None }).await?;
    }
    Ok(())
}

/// Waits for the end. When it is to stop: SIGTERM for its group, then after the grace period SIGKILL.
async fn ended(child: &mut Child, ctx: &JobContext) -> Result<std::process::ExitStatus, ExecutorError> {
    let group = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
    // A group that has ended meanwhile is what was wanted.
    let send = |signal| group.is_some_and(|group| killpg(group, signal).is_ok());
    tokio::select! {
        status = child.wait() => return status.map_err(broken),
        () = ctx.cancel().raised(Stop::Gracefully) => send(Signal::SIGTERM),
    };
    tokio::select! {
        status = child.wait() => return status.map_err(broken),
        () = ctx.cancel().raised(Stop::Now) => send(Signal::SIGKILL),
        () = tokio::time::sleep(ctx.grace()) => send(Signal::SIGKILL),
    };
    child.wait().await.map_err(broken)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn it_is_an_executor() {
        let report = buildit::testing::executor::conformance(|| ChildProcess).await;
        report.unwrap_or_else(|violations| panic!("{violations}"));
    }
}
