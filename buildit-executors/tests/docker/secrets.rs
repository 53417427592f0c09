//! G4: secrets are in nothing that the container engine keeps.

use std::process::Command;

use buildit::executor::Executor;
use buildit::executor::JobSecrets;
use buildit::job::{Status, Stream};
use buildit::pipeline::{ImageSpec, ReadySpec, ServiceSpec};

use super::world::{IMAGE, World, with};

/// Lines, quotes, and what a shell would expand.
pub(crate) const VALUE: &str = "s3cret 'and' \"more\"\n$(touch /pwned) `x` \\n end";

#[tokio::test]
#[ignore = "needs docker"]
async fn a_secret_reaches_the_job_and_no_configuration() {
    let world = World::docker().await;
    let service = ServiceSpec {
        name: "db".into(),
        image: ImageSpec::new(IMAGE),
        command: vec!["sh".into(), "-c".into(), "printf %s \"$PASSWORD\" | md5sum >/tmp/sum; sleep 600".into()],
        env: [("PASSWORD".to_owned(), "${secrets.TOKEN}".to_owned())].into_iter().collect(),
        ready: Some(ReadySpec { command: "grep -q - /tmp/sum".into(), timeout: ReadySpec::DEFAULT_TIMEOUT }),
        ..Default::default()
    };
    let job = with(world.job("secret", &["printf %s \"$TOKEN\" | md5sum", "[ ! -e /pwned ]", "sleep 0.2"]), |stage| {
        stage.env.insert("TOKEN".into(), "${secrets.TOKEN}".into());
        stage.services.push(service);
    });
    let secret = || [("TOKEN".to_owned(), VALUE.to_owned().into())].into_iter().collect();
    let secrets = JobSecrets {
        env: secret(),
        services: [("db".to_owned(), [("PASSWORD".to_owned(), VALUE.to_owned().into())].into_iter().collect())]
            .into_iter()
            .collect(),
        ..Default::default()
    };
    let ctx = world.context().secrets(secrets).build();
    let outcome = world.executor.run(&job, ctx).await.unwrap();
    assert_eq!(outcome.status, Status::Succeeded, "{outcome:?} {:?}", world.host.lines());
    let sum = Command::new("sh").arg("-c").arg("printf %s \"$V\" | md5sum").env("V", VALUE).output().unwrap();
    assert_eq!(world.host.text(Stream::Stdout), [String::from_utf8(sum.stdout).unwrap().trim()]);
    for container in [job.id.backend_name(), format!("{}-s0", job.id.backend_name())] {
        let inspected = world.docker.inspect_container(&container, None).await.unwrap();
        let text = serde_json::to_string(&inspected).unwrap();
        assert!(!text.contains("s3cret") && !text.contains("pwned)"), "{text}");
        // What the engine keeps on disk, where this host may look at it.
        let folder = format!("/var/lib/docker/containers/{}", inspected.id.unwrap());
        let found = Command::new("grep").args(["-rl", "s3cret", &folder]).output().unwrap();
        assert!(found.stdout.is_empty(), "{}", String::from_utf8_lossy(&found.stdout));
    }
    world.end().await;
}

#[tokio::test]
#[ignore = "needs docker"]
async fn a_secret_that_no_shell_can_name_is_refused() {
    let world = World::docker().await;
    let job = world.job("bad", &["echo ran"]);
    let secrets =
        JobSecrets { env: [("A-B".to_owned(), "value".to_owned().into())].into_iter().collect(), ..Default::default() };
    let outcome = world.executor.run(&job, world.context().secrets(secrets).build()).await.unwrap();
    assert_eq!(outcome.message.as_deref(), Some("no variable can be named `A-B`"));
    world.end().await;
}
