//! How jobs end, and what they log.

use buildit::executor::Executor;
use buildit::job::{Cause, JobOutcome, Status, Stream};
use buildit::pipeline::{Action, ImageSpec, ResourceSpec, Shell};
use rstest::rstest;

use crate::World;
use crate::host::{context, job, job_with};

#[tokio::test]
async fn a_job_succeeds_and_its_log_has_each_command_before_its_output() {
    let world = World::new();
    let job = job(&["echo one\necho 'to stderr' >&2", "echo two"]);
    assert_eq!(world.run(&job).await, JobOutcome::succeeded());
    let expected = [
        "command echo one",
        "command echo 'to stderr' >&2",
        "stdout one",
        "stderr to stderr",
        "command echo two",
        "stdout two",
    ];
    assert_eq!(world.host.lines(), expected);
    world.leaves_nothing(&job).await;
}

#[rstest]
#[case::exit_code(&["exit 3"], Some(3), Cause::Exit)]
#[case::first_failure_ends_it(&["echo a; false; echo b", "echo c"], Some(1), Cause::Exit)]
#[case::not_found(&["no-such-program"], Some(127), Cause::Exit)]
#[case::signal(&["kill -SEGV $$; sleep 10", "echo c"], None, Cause::Lost)]
#[case::signal_of_a_command(&["sh -c 'kill -SEGV $$'"], Some(139), Cause::Signal)]
#[case::syntax(&["echo 'a", "echo c"], Some(2), Cause::Exit)]
#[case::closing_the_subshell(&[") ; exit 0 ; ("], Some(2), Cause::Exit)]
#[case::exec(&["exec sh -c 'exit 4'"], Some(4), Cause::Exit)]
#[tokio::test]
async fn a_job_fails(#[case] commands: &[&str], #[case] code: Option<i32>, #[case] cause: Cause) {
    let world = World::new();
    let job = job(commands);
    let outcome = world.run(&job).await;
    assert_eq!((outcome.exit_code, outcome.cause), (code, Some(cause)), "{outcome:?}");
    assert!(!world.host.text(Stream::Stdout).contains('c'));
    world.leaves_nothing(&job).await;
}

/// Plain commands run in the shell that records their exit code: one that ends it early, in whatever way, is recorded.
#[rstest]
#[case::succeeds(&["true\ncd /\npwd", "echo c"], Some(0), "/\nc\n")]
#[case::first_failure_ends_it(&["echo a\nfalse\necho b", "echo c"], Some(1), "a\n")]
#[case::not_found(&["no-such-program", "echo c"], Some(127), "")]
#[case::joined(&["echo a | cat >b && cat <b\ntrue | false; echo c"], Some(1), "a\n")]
#[case::syntax(&["echo a && ", "echo c"], None, "")]
#[case::no_folder(&["cd no-such-folder", "echo c"], None, "")]
#[tokio::test]
async fn plain_commands_leave_their_exit_code(
    #[case] commands: &[&str],
    #[case] code: Option<i32>,
    #[case] output: &str,
    #[values("sh", "bash")] shell: &str,
) {
    let world = World::new();
    let job = job_with(commands, |stage| {
        if let Action::Run(run) = &mut stage.action {
            run.shell = Shell::new(shell);
        }
    });
    let outcome = world.run(&job).await;
    match code {
        Some(0) => assert_eq!(outcome, JobOutcome::succeeded()),
        // Shells differ in the number.
        None => assert_eq!(outcome.cause, Some(Cause::Exit), "{outcome:?}"),
        code => assert_eq!((outcome.exit_code, outcome.cause), (code, Some(Cause::Exit)), "{outcome:?}"),
    }
    assert_eq!(world.host.text(Stream::Stdout), output);
    world.leaves_nothing(&job).await;
}

#[rstest]
#[case("bash", "x=(a b); echo ${x[1]}", "b\n")]
#[case("cat", "only text", "only text\n")]
#[tokio::test]
async fn another_shell_reads_the_commands(#[case] shell: &str, #[case] command: &str, #[case] output: &str) {
    let world = World::new();
    let job = job_with(&[command], |stage| {
        if let Action::Run(run) = &mut stage.action {
            run.shell = Shell::new(shell);
        }
    });
    assert_eq!(world.run(&job).await, JobOutcome::succeeded());
    assert_eq!(world.host.text(Stream::Stdout), output);
    world.leaves_nothing(&job).await;
}

#[tokio::test]
async fn commands_share_one_shell_without_pipefail() {
    let world = World::new();
    let job =
        job(&["x=1; cd /; exec 2>&1", "false | true; echo $x $PWD >&2; exec >/dev/null", "echo lost", "set -x; x=2"]);
    assert_eq!(world.run(&job).await, JobOutcome::succeeded());
    let log = world.host.lines();
    assert!(log.contains(&"stdout 1 /".to_owned()), "{log:?}");
    assert!(log.contains(&"command set -x; x=2".to_owned()), "{log:?}");
    assert!(!log.iter().any(|line| line.contains("printf") || line.contains('\u{1e}')), "{log:?}");
}

#[rstest]
#[case::shell("no-such-shell", None, "the shell `no-such-shell` is not installed")]
#[case::workdir("sh", Some("sub"), "the workspace has no folder `sub`")]
#[case::outside("sh", Some("../x"), "`../x` is outside of the workspace")]
#[tokio::test]
async fn what_cannot_start_is_told(#[case] shell: &str, #[case] workdir: Option<&str>, #[case] message: &str) {
    let world = World::new();
    let job = job_with(&["true"], |stage| {
        stage.workdir = workdir.map(str::to_owned);
        if let Action::Run(run) = &mut stage.action {
            run.shell = Shell::new(shell);
        }
    });
    assert_eq!(world.run(&job).await, JobOutcome::failed_because(Cause::Start, message));
    world.leaves_nothing(&job).await;
}

#[tokio::test]
async fn an_environment_that_no_process_takes_is_told() {
    let world = World::new();
    let job = job_with(&["true"], |stage| drop(stage.env.insert("LONG".into(), "x".repeat(200_000))));
    let outcome = world.run(&job).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Failed, Some(Cause::Start)), "{outcome:?}");
    world.leaves_nothing(&job).await;
}

#[tokio::test]
async fn a_secret_is_in_the_environment_and_nowhere_else() {
    let world = World::new();
    let job =
        job(&["test \"$TOKEN\" = hunter2 && ! grep -r hunter2 ..  && ! tr '\\0' ' ' </proc/$$/cmdline | grep hunter2"]);
    let mut secrets = buildit::executor::JobSecrets::default();
    secrets.env.insert("TOKEN".into(), "hunter2".into());
    let ctx = context(&world.host, &world.blobs).secrets(secrets).build();
    let outcome = world.executor.run(&job, ctx).await.unwrap();
    assert_eq!(outcome, JobOutcome::succeeded(), "{:?}", world.host.lines());
}

#[tokio::test]
async fn standard_signals_and_input_are_as_a_shell_has_them() {
    let world = World::new();
    // With SIGPIPE ignored, `yes` would complain of a broken pipe.
    let job = job(&["yes | head -n 1; cat; ps -o sid= -p $$ | tr -d ' ' | grep -qx $$"]);
    assert_eq!(world.run(&job).await, JobOutcome::succeeded(), "{:?}", world.host.lines());
    assert_eq!(world.host.text(Stream::Stdout), "y\n");
    assert_eq!(world.host.text(Stream::Stderr), "");
}

#[test]
fn all_that_is_missing_is_told_at_once() {
    let world = World::new();
    let job = job_with(&["true"], |stage| {
        stage.image = Some(Box::new(ImageSpec::new("rust:1.90")));
        stage.resources = ResourceSpec { cpu_millis: Some(500), memory_bytes: None };
        stage.privileged = true;
        stage.runs_on = vec!["gpu".into()];
    });
    let missing = world.executor.supports(&job).unwrap_err().missing;
    let parts: Vec<&str> = missing.iter().map(|missing| missing.part.as_str()).collect();
    assert_eq!(parts, ["image", "resources", "privileged", "runs-on"]);
    assert!(world.executor.supports(&crate::host::job(&["true"])).is_ok());
}

/// A shell that a signal kills half-way has not done what it was told, whatever its last command said.
#[rstest]
#[tokio::test]
async fn a_job_that_a_signal_kills_has_not_succeeded(
    #[values("sh", "bash")] shell: &str,
    #[values("HUP", "INT", "USR1", "ALRM", "PIPE", "KILL")] signal: &str,
    #[values("0", "$PPID")] target: &str,
) {
    let world = World::new();
    // The inner shell has the job's own shell as its parent.
    let command = format!("true; sh -c 'kill -{signal} {target}'; sleep 1; true");
    let job = job_with(&[&command, "echo never"], |stage| {
        if let Action::Run(run) = &mut stage.action {
            run.shell = Shell::new(shell);
        }
    });
    let outcome = world.run(&job).await;
    // bash goes on after SIGINT where the command that it waits for did.
    let is_whole = world.host.text(Stream::Stdout) == "never\n";
    assert_eq!(outcome == JobOutcome::succeeded(), is_whole, "{outcome:?}");
    world.leaves_nothing(&job).await;
}

/// The job owns its spool: what it puts in the place of a file there is not followed.
#[tokio::test]
async fn links_in_place_of_the_files_of_the_spool_are_not_followed() {
    let world = World::new();
    let other = tempfile::tempdir().unwrap();
    let (claim, refused) = (other.path().join("claim"), other.path().join("refused"));
    std::fs::write(&claim, "1\n0\n").unwrap();
    std::fs::write(&refused, "forged").unwrap();
    let command =
        format!("rm ../claim; ln -s {} ../claim; ln -s {} ../refused; kill -9 $$", claim.display(), refused.display());
    let job = job(&[&command]);
    let outcome = world.run(&job).await;
    assert_eq!(outcome.status, Status::Lost, "{outcome:?}");
    assert_ne!(outcome.message.as_deref(), Some("forged"));
    world.leaves_nothing(&job).await;
}
