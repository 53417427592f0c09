//! Jobs in containers: the cost of a stage, and of its log. Needs Docker with the image `busybox:local`.
//!
//! Goals: a stage at most 1.05 times create + start + wait + remove by the raw API on the same network, so below
//! `docker run`; with 8 at once at least 0.95 of the raw containers a second; a log of 200 MiB at 0.95 of the speed of
//! a bare `logs?follow=1` reader and ahead of `docker logs -f`, with no byte lost.
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::num::NonZeroU32;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptions, LogsOptions, RemoveContainerOptions, StartContainerOptions, WaitContainerOptions,
};
use buildit::engine::{Engine, StartOptions};
use buildit::event::RunStatus;
use buildit::memory::MemoryStore;
use buildit::pipeline::{ImageSpec, PipelineBuilder, PullPolicy, RunContext, StageBuilder};
use buildit_benches::{Comparison, is_test_run};
use buildit_executors::docker::{self, DockerOptions};
use futures_util::{StreamExt, stream};
use tokio::process::Command;
use tokio::runtime::Runtime;

const IMAGE: &str = "busybox:local";

fn main() {
    let runtime = Runtime::new().expect("a runtime");
    let Some(raw) = runtime.block_on(raw_client()) else {
        println!("no Docker daemon with the image {IMAGE}: nothing is measured");
        return;
    };
    let test = is_test_run();
    let name = |what: &str| format!("docker_stage, {what}");
    Comparison::new(name("1 at once"), if test { 1 } else { 11 }, || runtime.block_on(stages("true", 1, 1)))
        .against("raw API", 1.05, || runtime.block_on(raw_stages(&raw, 1, 1)))
        .against("docker run --rm", 1.0, || runtime.block_on(docker_run()))
        .run();
    if test {
        return;
    }
    Comparison::new(name("16 stages, 8 at once"), 5, || runtime.block_on(stages("true", 16, 8)))
        .against("raw API", 1.0 / 0.95, || runtime.block_on(raw_stages(&raw, 16, 8)))
        .run();

    let bytes = 200 << 20;
    let printer = format!("yes {} | head -c {bytes}", "x".repeat(99));
    Comparison::new("logs_docker: 200 MiB", 3, || runtime.block_on(stages(&printer, 1, 1)))
        .against("bare logs?follow=1", 1.0 / 0.95, || runtime.block_on(raw_logs(&raw, &printer, bytes)))
        .against("docker logs -f", 1.0, || runtime.block_on(docker_logs(&raw, &printer)))
        .run();
}

async fn raw_client() -> Option<Docker> {
    let docker = Docker::connect_with_defaults().ok()?.negotiate_version().await.ok()?;
    docker.inspect_image(IMAGE).await.ok()?;
    Some(docker)
}

/// Time of a run of so many stages of this command.
async fn stages(command: &str, count: usize, at_once: u32) -> Duration {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Arc::new(MemoryStore::journaled(folder.path()).expect("the journal opens"));
    let executor = docker::connect(DockerOptions::new()).await.expect("the daemon answers");
    let engine = Engine::builder()
        .executor(Arc::new(executor))
        .store(store.clone())
        .blobs(store)
        .build()
        .expect("the parts fit");
    let image = ImageSpec { pull: PullPolicy::Never, ..ImageSpec::new(IMAGE) };
    let pipeline = (0..count)
        .map(|stage| StageBuilder::run(format!("s{stage}"), command).image_spec(image.clone()))
        .fold(PipelineBuilder::new("bench"), PipelineBuilder::stage)
        .build();
    let options = StartOptions::new(RunContext::manual()).max_parallel(NonZeroU32::new(at_once).expect("not 0"));
    let started = Instant::now();
    let run = engine.start(&pipeline, options).await.expect("the run starts");
    let report = run.wait().await.expect("the run ends");
    let took = started.elapsed();
    assert_eq!(report.status, RunStatus::Succeeded);
    engine.shutdown().await;
    took
}

async fn raw_stages(docker: &Docker, count: usize, at_once: usize) -> Duration {
    let started = Instant::now();
    stream::iter(0..count)
        .map(|_| async {
            let id = create(docker, "true").await;
            docker.start_container(&id, None::<StartContainerOptions>).await.expect("it starts");
            wait(docker, &id).await;
            remove(docker, &id).await;
        })
        .buffer_unordered(at_once)
        .collect::<Vec<()>>()
        .await;
    started.elapsed()
}

async fn create(docker: &Docker, command: &str) -> String {
    let body = ContainerCreateBody {
        image: Some(IMAGE.into()),
        cmd: Some(vec!["sh".into(), "-c".into(), command.into()]),
        host_config: Some(HostConfig::default()),
        ..ContainerCreateBody::default()
    };
    docker.create_container(None::<CreateContainerOptions>, body).await.expect("it is created").id
}

async fn wait(docker: &Docker, id: &str) {
    let mut ended = docker.wait_container(id, None::<WaitContainerOptions>);
    while ended.next().await.is_some() {}
}

async fn remove(docker: &Docker, id: &str) {
    let options = RemoveContainerOptions { force: true, v: true, ..RemoveContainerOptions::default() };
    docker.remove_container(id, Some(options)).await.expect("it is removed");
}

async fn raw_logs(docker: &Docker, printer: &str, bytes: usize) -> Duration {
    let started = Instant::now();
    let id = create(docker, printer).await;
    docker.start_container(&id, None::<StartContainerOptions>).await.expect("it starts");
    let options = LogsOptions { follow: true, stdout: true, stderr: true, ..LogsOptions::default() };
    let mut logs = docker.logs(&id, Some(options));
    let mut read = 0;
    while let Some(piece) = logs.next().await {
        read += piece.expect("the log is read").as_ref().len();
    }
    assert_eq!(read, bytes, "the limit itself lost bytes");
    wait(docker, &id).await;
    remove(docker, &id).await;
    started.elapsed()
}

async fn docker_logs(docker: &Docker, printer: &str) -> Duration {
    let started = Instant::now();
    let id = create(docker, printer).await;
    docker.start_container(&id, None::<StartContainerOptions>).await.expect("it starts");
    let status = Command::new("docker").args(["logs", "-f", &id]).stdout(Stdio::null()).status().await;
    assert!(status.expect("docker starts").success());
    remove(docker, &id).await;
    started.elapsed()
}

async fn docker_run() -> Duration {
    let started = Instant::now();
    let status = Command::new("docker").args(["run", "--rm", IMAGE, "true"]).status().await;
    assert!(status.expect("docker starts").success());
    started.elapsed()
}
