//! What runs beside a job.

use std::time::Duration;

use buildit::executor::Executor;
use buildit::job::{Cause, Status, Stream};
use buildit::pipeline::{ImageSpec, ReadySpec, ServiceSpec};

use super::world::{IMAGE, World, with};

fn web(ready: &str, timeout: Duration) -> ServiceSpec {
    ServiceSpec {
        name: "web".into(),
        image: ImageSpec::new(IMAGE),
        command: vec![
            "sh".into(),
            "-c".into(),
            "echo starting; mkdir /www; echo $WORD >/www/x; exec httpd -f -p 80 -h /www".into(),
        ],
        env: [("WORD".to_owned(), "hello".to_owned())].into_iter().collect(),
        ready: Some(ReadySpec { command: ready.into(), timeout }),
        ..Default::default()
    }
}

#[tokio::test]
#[ignore = "needs docker"]
async fn a_service_is_ready_and_has_its_name() {
    let world = World::docker().await;
    let service = web("wget -q -O /dev/null http://127.0.0.1/x", Duration::from_secs(30));
    let job = with(world.job("client", &["wget -q -O - http://web/x"]), |stage| stage.services.push(service));
    let other = with(world.job("other", &["wget -q -O - http://web/x"]), |stage| {
        let mut service = web("wget -q -O /dev/null http://127.0.0.1/x", Duration::from_secs(30));
        service.env.insert("WORD".into(), "other".into());
        stage.services.push(service);
    });
    // Two stages at a time with a service of the same name.
    let (outcome, outcome_of_other) = tokio::join!(world.run(&job), world.run(&other));
    assert_eq!(outcome.status, Status::Succeeded, "{:?}", world.host.lines());
    assert_eq!(outcome_of_other.status, Status::Succeeded, "{:?}", world.host.lines());
    let mut text = world.host.text(Stream::Stdout);
    text.sort();
    assert_eq!(text, ["hello", "other"]);
    world.executor.release(&job.id).await.unwrap();
    world.end().await;
}

#[tokio::test]
#[ignore = "needs docker"]
async fn a_service_that_does_not_get_ready_is_shown() {
    let world = World::docker().await;
    let job = with(world.job("client", &["echo ran"]), |stage| {
        stage.services.push(web("false", Duration::from_millis(500)));
    });
    let outcome = world.run(&job).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Failed, Some(Cause::Start)));
    assert_eq!(outcome.message.as_deref(), Some("service `web` was not ready within 0.5 s"));
    assert_eq!(world.host.lines(), ["command buildit: web: starting"]);
    let job = with(world.job("ends", &["echo ran"]), |stage| {
        let mut service = web("false", Duration::from_secs(60));
        service.command = vec!["sh".into(), "-c".into(), "echo broken; exit 1".into()];
        stage.services.push(service);
    });
    let outcome = world.run(&job).await;
    assert_eq!(outcome.message.as_deref(), Some("service `web` ended before it was ready"));
    world.end().await;
}
