//! A job from its start to its end.

use buildit::executor::Executor;
use buildit::job::{Cause, Status, Stream};
use buildit::pipeline::{ImageSpec, PullPolicy, ResourceSpec, Shell};

use super::world::{World, is_podman, with};

#[tokio::test]
#[ignore = "needs docker"]
async fn a_job_succeeds_with_its_log_in_order() {
    let world = World::docker().await;
    let mut job = world.job("a b[x=1]", &["echo one; echo err >&2; printf open", "echo two\npwd"]);
    job.variables.insert("X".into(), "a 'quoted' $value".into());
    let job = with(job, |stage| _ = stage.env.insert("Y".into(), "lines\nof it".into()));
    let outcome = world.run(&job).await;
    assert_eq!(outcome.status, Status::Succeeded, "{outcome:?} {:?}", world.host.lines());
    let command = ["echo one; echo err >&2; printf open", "echo two", "pwd"];
    assert_eq!(world.host.text(Stream::Command), command);
    assert_eq!(world.host.text(Stream::Stdout), ["one", "open", "two", "/buildit/workspace"]);
    assert_eq!(world.host.text(Stream::Stderr), ["err"]);
    let lines = world.host.lines();
    let at = |line: &str| lines.iter().position(|found| found == line).unwrap();
    assert!(at("command echo two") > at("stderr err") && at("command echo two") > at("stdout open"), "{lines:?}");
    world.executor.release(&job.id).await.unwrap();
    world.end().await;
}

#[tokio::test]
#[ignore = "needs docker"]
async fn the_environment_is_whole() {
    let world = World::docker().await;
    let mut job = world.job(
        "env",
        &["printf '%s|' \"$X\" \"$Y\" \"$BUILDIT_JOB_ID\"; tr '\\0' '\\n' </proc/self/environ | grep -c __ || :"],
    );
    job.variables.insert("X".into(), "a 'quoted' $value".into());
    let job = with(job, |stage| _ = stage.env.insert("Y".into(), "lines\nof it".into()));
    assert_eq!(world.run(&job).await.status, Status::Succeeded);
    let text = world.host.text(Stream::Stdout).join("\n");
    assert_eq!(text, format!("a 'quoted' $value|lines\nof it|{}|0", job.id.backend_name()));
    world.end().await;
}

#[tokio::test]
#[ignore = "needs docker"]
async fn the_first_failing_command_ends_the_job_with_its_code() {
    let world = World::docker().await;
    let outcome = world.run(&world.job("fails", &["(exit 3)", "echo never"])).await;
    assert_eq!((outcome.status, outcome.cause, outcome.exit_code), (Status::Failed, Some(Cause::Exit), Some(3)));
    assert_eq!(world.host.lines(), ["command (exit 3)"]);
    let outcome = world.run(&world.job("killed", &["kill -9 $$"])).await;
    assert_eq!((outcome.status, outcome.cause, outcome.exit_code), (Status::Failed, Some(Cause::Signal), Some(137)));
    let outcome = world.run(&world.job("quote", &["echo 'open", "echo never"])).await;
    assert_eq!(outcome.status, Status::Failed);
    assert!(!world.host.lines().contains(&"stdout never".to_owned()));
    world.end().await;
}

#[tokio::test]
#[ignore = "needs docker"]
async fn what_cannot_start_says_why() {
    let world = World::docker().await;
    let image = |reference: &str, pull| Some(Box::new(ImageSpec { pull, ..ImageSpec::new(reference) }));
    let cases = [
        (with(world.job("never", &["true"]), |stage| stage.image = image("no-such:image", PullPolicy::Never)), "never"),
        (
            with(world.job("pull", &["true"]), |stage| {
                stage.image = image("localhost:1/no-such:image", PullPolicy::Missing)
            }),
            "cannot be pulled",
        ),
        (
            with(world.job("shell", &["true"]), |stage| {
                let buildit::pipeline::Action::Run(run) = &mut stage.action else { unreachable!() };
                run.shell = Shell::new("bash");
            }),
            "the image has no `bash`",
        ),
        (with(world.job("folder", &["true"]), |stage| stage.workdir = Some("no/such".into())), "no folder `no/such`"),
        (with(world.job("entry", &["true"]), |stage| stage.entrypoint = vec!["/no/entry".into()]), "/no/entry"),
        (
            with(world.job("user", &["true"]), |stage| {
                stage.image =
                    Some(Box::new(ImageSpec { user: Some("nobody-here".into()), ..ImageSpec::new("busybox:local") }));
            }),
            "does not know the user",
        ),
    ];
    for (job, why) in cases {
        let outcome = world.run(&job).await;
        let message = outcome.message.clone().unwrap_or_default();
        assert_eq!(
            (outcome.status, outcome.cause),
            (Status::Failed, Some(Cause::Start)),
            "{}: {outcome:?}",
            job.id.stage
        );
        assert!(message.contains(why), "{}: {message}", job.id.stage);
    }
    world.end().await;
}

#[tokio::test]
#[ignore = "needs docker"]
async fn an_entry_point_gets_the_script() {
    let world = World::docker().await;
    let job =
        with(world.job("entry", &["echo $MARK"]), |stage| stage.entrypoint = vec!["env".into(), "MARK=there".into()]);
    assert_eq!(world.run(&job).await.status, Status::Succeeded, "{:?}", world.host.lines());
    assert_eq!(world.host.text(Stream::Stdout), ["there"]);
    world.end().await;
}

#[tokio::test]
#[ignore = "needs docker"]
async fn another_shell_reads_the_commands_alone() {
    let world = World::docker().await;
    let job = with(world.job("awk", &["one", "two"]), |stage| {
        let buildit::pipeline::Action::Run(run) = &mut stage.action else { unreachable!() };
        run.shell = Shell::new("cat");
    });
    assert_eq!(world.run(&job).await.status, Status::Succeeded, "{:?}", world.host.lines());
    assert_eq!(world.host.lines(), ["command one", "command two", "stdout one", "stdout two"]);
    world.end().await;
}

#[tokio::test]
#[ignore = "needs docker"]
async fn a_job_over_its_memory_ends_with_that_cause() {
    let world = World::docker().await;
    let hungry = "tail /dev/zero";
    let job = with(world.job("oom", &[hungry]), |stage| {
        stage.resources = ResourceSpec { memory_bytes: Some(16 << 20), cpu_millis: Some(500) };
    });
    let outcome = world.run(&job).await;
    // Podman tells only when the first process of a container is what ran out of memory.
    let cause = if is_podman() { Cause::Signal } else { Cause::Oom };
    assert_eq!((outcome.status, outcome.cause), (Status::Failed, Some(cause)), "{outcome:?}");
    world.end().await;
}

#[tokio::test]
#[ignore = "needs docker"]
async fn a_long_log_arrives_whole() {
    let world = World::docker().await;
    let outcome =
        world.run(&world.job("long", &["i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done"])).await;
    assert_eq!(outcome.status, Status::Succeeded);
    let lines = world.host.text(Stream::Stdout);
    let wrong = lines.iter().enumerate().find(|(index, line)| **line != format!("line {index}"));
    assert_eq!((wrong, lines.len()), (None, 20000));
    world.end().await;
}
