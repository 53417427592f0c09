//! `--shell-on-failure`: a shell where a stage failed.

use std::process::{Command, Stdio};

use anyhow::Context;
use buildit::id::JobId;
use buildit::pipeline::PipelineSpec;

use crate::look::Look;
use crate::out::Out;
use crate::report::{Board, Mark};
use crate::session::{Executors, Remains};

/// The workspace of a job in its container.
const IN_CONTAINER: &str = "/buildit/workspace";

/// Opens a shell for each stage that failed, one after another, if there is a person.
pub(crate) async fn open_shells(board: &Board, executors: &Executors, plan: &PipelineSpec, look: Look) {
    let mut out = Out::stderr();
    if !look.is_interactive() {
        out.line("buildit: --shell-on-failure needs a terminal");
        return;
    }
    for (stage, shown) in board.stages.iter().filter(|(_, shown)| shown.has_failed()) {
        let job = JobId { run: board.run, stage: stage.clone(), attempt: shown.attempt };
        let Some(remains) = executors.remains(&job) else {
            out.line(&format!("buildit: nothing is left of {stage} to look at"));
            continue;
        };
        out.line(&format!("{}a shell where {stage} failed; exit leaves it", look.stderr().shape(Mark::Failed)));
        let variables = plan.stage(stage).map(|stage| stage.env.clone()).unwrap_or_default();
        let opened = tokio::task::spawn_blocking(move || match remains {
            Remains::Folder(folder) => {
                let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
                Command::new(shell)
                    .current_dir(folder)
                    .envs(variables)
                    .status()
                    .context("cannot open a shell")
                    .map(drop)
            }
            Remains::Container(name) => in_container(&name),
        });
        match opened.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => out.line(&format!("buildit: {error:#}")),
            Err(error) => out.line(&format!("buildit: {error}")),
        }
    }
}

/// A container that has ended cannot be entered: an image is made of it as it is, and a shell opened in that.
fn in_container(name: &str) -> anyhow::Result<()> {
    let client = ["docker", "podman"]
        .into_iter()
        .find(|client| Command::new(client).arg("--version").stdout(Stdio::null()).status().is_ok())
        .context("neither docker nor podman is there to open a shell with")?;
    let committed = Command::new(client).args(["commit", "--quiet", name]).output()?;
    anyhow::ensure!(committed.status.success(), "{}", String::from_utf8_lossy(&committed.stderr).trim());
    let image = String::from_utf8(committed.stdout)?;
    let image = image.trim();
    let options = ["run", "--rm", "--interactive", "--tty", "--workdir", IN_CONTAINER, "--entrypoint", "sh", image];
    let entered = Command::new(client).args(options).status();
    Command::new(client).args(["rmi", "--force", image]).stdout(Stdio::null()).status()?;
    entered.map(drop).context("cannot open a shell")
}
