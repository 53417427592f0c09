//! `buildit run` as a whole process, release build, journal on, against the bare shell and against `act`.
//!
//! Goals: one local stage at most 20 times `sh -c 'echo hi'`; each further stage of a chain at most 2.2 times; ahead
//! of `act` on the same stages, on the host and in Docker. `act` takes part when it is on the PATH
//! (`go install github.com/nektos/act@latest`), Docker when its daemon has the image `busybox:local`.

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use buildit_benches::{Comparison, is_test_run};

/// Stages of the chain whose slope is measured: enough that one stage's noise does not show.
const CHAIN: usize = 21;

fn main() {
    let repetitions = if is_test_run() { 1 } else { 15 };
    let buildit = built();
    let one = project(1, None);
    let chain = project(CHAIN, None);

    Comparison::new("cli: one local stage", repetitions, || run(&buildit, &one))
        .against("20 x sh -c 'echo hi'", 1.0, || shell() * 20)
        .run();
    Comparison::new("cli: each further stage of a chain", repetitions, || {
        run(&buildit, &chain).saturating_sub(run(&buildit, &one)) / (CHAIN as u32 - 1)
    })
    .against("sh -c 'echo hi'", 2.2, shell)
    .run();

    if found("act") {
        Comparison::new(format!("cli: {CHAIN} stages on the host"), repetitions.min(5), || run(&buildit, &chain))
            .against("act -self-hosted", 1.0, || act(&chain, "-self-hosted"))
            .run();
    } else {
        println!("act is not on the PATH: that comparison is left out");
    }
    if found("act") && image_is_there() {
        let in_docker = project(3, Some("busybox:local"));
        Comparison::new("cli: 3 stages in Docker", repetitions.min(5), || run(&buildit, &in_docker))
            .against("act", 1.0, || act(&in_docker, "busybox:local"))
            .run();
    } else {
        println!("act or the image busybox:local is missing: the comparison in Docker is left out");
    }
}

/// The command line, built as a release.
fn built() -> PathBuf {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "-p", "buildit-examples", "--example", "buildit"])
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the command line does not build");
    // …/target/release/deps/cli-…: the examples lie beside `deps`.
    let own = std::env::current_exe().expect("a bench has a path");
    own.parent().and_then(Path::parent).expect("deps lies in a profile's folder").join("examples/buildit")
}

/// A folder with a chain of stages for both tools.
fn project(stages: usize, image: Option<&str>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut kdl = String::from("pipeline \"chain\"\n");
    let mut yaml = String::from("on: push\njobs:\n");
    for stage in 0..stages {
        let needs = stage.checked_sub(1).map(|before| format!("needs \"s{before}\"; ")).unwrap_or_default();
        let image = image.map(|image| format!("image \"{image}\" pull=\"never\"; ")).unwrap_or_default();
        kdl.push_str(&format!("stage \"s{stage}\" {{ {needs}{image}run \"echo hi\" }}\n"));
        yaml.push_str(&format!("  s{stage}:\n    runs-on: ubuntu-latest\n"));
        if let Some(before) = stage.checked_sub(1) {
            yaml.push_str(&format!("    needs: s{before}\n"));
        }
        yaml.push_str("    steps:\n      - run: echo hi\n        shell: sh\n");
    }
    std::fs::write(folder.path().join(".buildit.kdl"), kdl).expect("the folder is ours");
    let workflows = folder.path().join(".github/workflows");
    std::fs::create_dir_all(&workflows).expect("the folder is ours");
    std::fs::write(workflows.join("chain.yml"), yaml).expect("the folder is ours");
    for arguments in [
        &["init", "-q", "-b", "main"][..],
        &["add", "."],
        &["-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "-q", "-m", "bench"],
    ] {
        let status = Command::new("git").arg("-C").arg(folder.path()).args(arguments).status().expect("git runs");
        assert!(status.success());
    }
    folder
}

fn run(buildit: &Path, project: &tempfile::TempDir) -> Duration {
    let journal = tempfile::tempdir().expect("a temporary folder");
    let state = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(buildit);
    command.args(["run", "--output", "plain", "--journal"]).arg(journal.path());
    timed(command.env("XDG_STATE_HOME", state.path()).current_dir(project.path()))
}

fn act(project: &tempfile::TempDir, platform: &str) -> Duration {
    let mut command = Command::new("act");
    command.args(["push", "--quiet", "--pull=false", "-P", &format!("ubuntu-latest={platform}")]);
    timed(command.current_dir(project.path()))
}

fn shell() -> Duration {
    timed(Command::new("/bin/sh").args(["-c", "echo hi"]))
}

fn timed(command: &mut Command) -> Duration {
    let started = Instant::now();
    let output = command.stdin(Stdio::null()).output().expect("the command starts");
    let took = started.elapsed();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    took
}

fn found(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

fn image_is_there() -> bool {
    Command::new("docker")
        .args(["image", "inspect", "busybox:local"])
        .output()
        .is_ok_and(|output| output.status.success())
}
