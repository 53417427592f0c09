//! `--shell-on-failure`: a shell where a stage failed.

use std::process::Stdio;

use anyhow::Context;
use buildit::event::RunStatus;
use buildit::id::JobId;
use buildit_executors::docker::DockerBackend;
use secrecy::ExposeSecret;
use tokio::process::Command;

use crate::look::Look;
use crate::out::Out;
use crate::report::{Board, Mark};
use crate::session::{Executors, Remains, Scene, Signal, Signals};
use crate::text::clean;

/// The workspace of a job in its container.
const IN_CONTAINER: &str = "/buildit/workspace";

/// Keeps a container there while a shell is opened in it.
const IDLE: &str = "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done";

/// The best shell that an image has.
const BEST: &str = "command -v bash >/dev/null 2>&1 && exec bash; exec sh";

/// Opens a shell for each stage that failed, one after another, if there is a person who has not cancelled the run.
pub(crate) async fn open_shells(board: &Board, executors: &Executors, look: Look, signals: &mut Signals) {
    let mut out = Out::stderr();
    if board.status == RunStatus::Cancelled {
        return;
    }
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
        let scene = executors.scene(&job).unwrap_or_else(|| {
            out.line(&format!("buildit: {stage} failed before this process followed it: its variables are not known"));
            Scene::default()
        });
        out.line(&format!("{}a shell where {stage} failed; exit leaves it", look.stderr().shape(Mark::Failed)));
        let opened = match (remains, executors.containers()) {
            (Remains::Folder(folder), _) => {
                let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
                let mut command = Command::new(shell);
                command.current_dir(folder.join(&scene.workdir)).envs(&scene.variables);
                command.envs(scene.secrets.iter().map(|(name, value)| (name, value.expose_secret())));
                // The job's own are gone, and its commands may write to them when they are tried again.
                command.env("BUILDIT_OUTPUT", "/dev/null").env("BUILDIT_SUMMARY", "/dev/null");
                command.env("BUILDIT_WORKSPACE", folder);
                watch(command, signals).await
            }
            (Remains::Container(name), Some(engine)) => in_container(engine, &name, &scene, signals).await,
            (Remains::Container(_), None) => Err(anyhow::Error::msg("there is no container engine")),
        };
        match opened {
            Ok(Left::ByPerson) => {}
            Ok(Left::BySignal) => return,
            Err(error) => out.line(&format!("buildit: {}", clean(&format!("{error:#}")))),
        }
    }
}

/// Who left a shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    ByPerson,
    BySignal,
}

/// Waits for a shell. Ctrl-C is meant for what runs in it; when this process is asked to end, the shell ends.
async fn watch(mut command: Command, signals: &mut Signals) -> anyhow::Result<Left> {
    let mut shell = command.kill_on_drop(true).spawn().context("cannot open a shell")?;
    loop {
        tokio::select! {
            ended = shell.wait() => return ended.context("cannot wait for the shell").map(|_| Left::ByPerson),
            signal = signals.next() => if let Signal::Cancel(reason) = signal && reason != "Ctrl-C" {
                shell.kill().await.context("cannot end the shell")?;
                return Ok(Left::BySignal);
            },
        }
    }
}

/// A container that has ended cannot be entered: an image is made of it as it is, and a shell opened in a container
/// of that. Its secrets are handed to the shell alone: what is in a container's configuration lies on a disk.
async fn in_container(
    engine: &DockerBackend,
    name: &str,
    scene: &Scene,
    signals: &mut Signals,
) -> anyhow::Result<Left> {
    let client =
        client(engine).await.context("no command line of the container engine is there to open a shell with")?;
    let image = said(client.command().args(["commit", name])).await?;
    let shell = format!("{name}-shell");
    let workdir = format!("{IN_CONTAINER}/{}", scene.workdir);
    let mut run = client.command();
    run.args(["run", "--detach", "--name", &shell, "--workdir", IN_CONTAINER, "--entrypoint", "sh"]);
    if scene.has_services {
        run.args(["--network", name]);
    }
    let begun = said(run.args([&*image, "-c", IDLE])).await;
    let entered = match begun {
        Ok(_) => {
            let mut exec = client.command();
            exec.args(["exec", "--interactive", "--tty", "--workdir", &workdir]);
            for (name, value) in scene.secrets.iter().filter(|(name, _)| !client.reads(name)) {
                exec.args(["--env", name]).env(name, value.expose_secret());
            }
            exec.args(["--env", "BUILDIT_OUTPUT=/dev/null", "--env", "BUILDIT_SUMMARY=/dev/null"]);
            exec.args([&*shell, "sh", "-c", BEST]);
            watch(exec, signals).await
        }
        Err(error) => Err(error),
    };
    let removed = said(client.command().args(["rm", "--force", &shell])).await;
    let forgotten = said(client.command().args(["rmi", "--force", &image])).await;
    let left = entered?;
    removed.and(forgotten)?;
    Ok(left)
}

/// The command line of a container engine.
struct Client {
    program: &'static str,
    address: [String; 2],
}

impl Client {
    fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command.args(&self.address).stdin(Stdio::inherit());
        command
    }

    /// Whether the program itself goes by this variable, so that it cannot be handed on.
    fn reads(&self, variable: &str) -> bool {
        let own = ["PATH", "HOME", "TERM", "XDG_RUNTIME_DIR"];
        own.contains(&variable) || ["DOCKER_", "CONTAINER_", "LD_"].iter().any(|prefix| variable.starts_with(prefix))
    }
}

/// The command line that reaches this engine. Docker's reaches Podman too, and not the other way round.
async fn client(engine: &DockerBackend) -> Option<Client> {
    let docker = ("docker", "--host");
    let known = if engine.is_podman() { vec![("podman", "--url"), docker] } else { vec![docker] };
    for (program, option) in known {
        let asked = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().await;
        if asked.is_ok_and(|status| status.success()) {
            return Some(Client { program, address: [option.to_owned(), engine.address()] });
        }
    }
    None
}

/// What a command prints; what it complains of when it fails.
async fn said(command: &mut Command) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).output().await?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
