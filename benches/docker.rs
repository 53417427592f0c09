//! Jobs in containers: the cost of a stage, and of its log. Needs Docker with the image `busybox:local`.
//!
//! | bench | against | goal |
//! |---|---|---|
//! | `docker_stage` | create + start + wait + remove by the raw API on the same network | at most 1.05 |
//! | the same | `docker run --rm` | at most 1.0 |
//! | `docker_stage`, 8 at once | containers a second by the raw API | at least 0.95, that is 1 / 0.95 of the time |
//! | `logs_docker`: 200 MiB | a bare `logs?follow=1` reader | at least 0.95, that is 1 / 0.95 of the time |
//! | the same | `docker logs -f` | at most 1.0 |
//! | the same, the engine stopped (SIGSTOP) for a minute in the middle | - | the job ends meanwhile |
//!
//! The lines are numbered, and each is looked at in the store after the clock has stopped: none is missing, doubled or
//! out of order.
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::io::{BufRead, BufReader};
use std::num::NonZeroU32;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptions, InspectContainerOptions, LogsOptions, RemoveContainerOptions, StartContainerOptions,
    WaitContainerOptions,
};
use buildit::engine::{Engine, StartOptions};
use buildit::event::RunStatus;
use buildit::id::{JobId, RunId};
use buildit::memory::MemoryStore;
use buildit::pipeline::{ImageSpec, PipelineBuilder, PullPolicy, RunContext, StageBuilder};
use buildit_benches::{Bench, Comparison, stage_log};
use buildit_executors::docker::{self, DockerOptions};
use futures_util::{StreamExt, stream};
use tokio::process::Command;
use tokio::runtime::Runtime;

const IMAGE: &str = "busybox:local";
/// What a job prints, in each line.
const LINE: usize = 100;
/// Set in the process that is an engine to be stopped: how many lines its job prints.
const ENGINE_TO_STOP: &str = "BUILDIT_BENCH_ENGINE_TO_STOP";

fn main() -> ExitCode {
    let runtime = Runtime::new().expect("a runtime");
    if let Some(lines) = std::env::var(ENGINE_TO_STOP).ok().and_then(|lines| lines.parse().ok()) {
        runtime.block_on(log(lines, |run| println!("{run}")));
        return ExitCode::SUCCESS;
    }
    let mut bench = Bench::default();
    let Some(raw) = runtime.block_on(raw_client()) else {
        bench.leave_out("docker", &format!("no daemon with the image {IMAGE} answers"));
        return bench.end();
    };
    bench.compare(
        Comparison::new("docker_stage: 1 at once", 11, || runtime.block_on(stages(1, 1)))
            .against("raw API", 1.05, || runtime.block_on(raw_stages(&raw, 1, 1)))
            .against("docker run --rm", 1.0, || runtime.block_on(docker_run())),
    );
    let (count, at_once) = bench.choose((2, 2), (32, 8));
    let name = format!("docker_stage: {count} stages, {at_once} at once");
    bench.compare(Comparison::new(name, 5, || runtime.block_on(stages(count, at_once))).against(
        "raw API",
        1.0 / 0.95,
        || runtime.block_on(raw_stages(&raw, count, at_once)),
    ));

    let lines = bench.choose(1_000, (200 << 20) / LINE);
    bench.compare(
        Comparison::new(format!("logs_docker: {lines} lines of {LINE} bytes"), 3, || {
            runtime.block_on(log(lines, |_| {}))
        })
        .against("bare logs?follow=1", 1.0 / 0.95, || runtime.block_on(raw_logs(&raw, lines)))
        .against("docker logs -f", 1.0, || runtime.block_on(docker_logs(&raw, lines))),
    );
    let stopped = bench.choose(Duration::from_secs(2), Duration::from_secs(60));
    println!("\nlogs_docker: the engine is stopped for {stopped:?}");
    let ended = runtime.block_on(engine_stopped(&raw, lines, stopped));
    bench.at_most("the job ended after", ended.as_secs_f64(), stopped.as_secs_f64(), "s");
    bench.end()
}

async fn raw_client() -> Option<Docker> {
    let docker = Docker::connect_with_defaults().ok()?.negotiate_version().await.ok()?;
    docker.inspect_image(IMAGE).await.ok()?;
    Some(docker)
}

/// Time of a run of so many stages that do nothing.
async fn stages(count: usize, at_once: u32) -> Duration {
    let folder = tempfile::tempdir().expect("a temporary folder");
    run(folder.path(), "true", count, at_once, |_| {}).await.0
}

/// Time of a run of one stage that prints so many numbered lines, all of which are stored. `begun` is told which run
/// it is.
async fn log(lines: usize, begun: impl FnOnce(RunId)) -> Duration {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (took, store, id) = run(folder.path(), &printer(lines), 1, 1, begun).await;
    let mut number = 0;
    stage_log::each_line(&store, id, "s0", |line| {
        let expected = format!("{number:0width$}", width = LINE - 1);
        assert!(line == expected.as_bytes(), "line {number} is {:?}", String::from_utf8_lossy(line));
        number += 1;
    })
    .await;
    assert_eq!(number, lines, "the log is not whole");
    took
}

async fn run(
    folder: &Path,
    command: &str,
    count: usize,
    at_once: u32,
    begun: impl FnOnce(RunId),
) -> (Duration, Arc<MemoryStore>, RunId) {
    let store = Arc::new(MemoryStore::journaled(folder).expect("the journal opens"));
    let executor = docker::connect(DockerOptions::new()).await.expect("the daemon answers");
    let engine = Engine::builder()
        .executor(Arc::new(executor))
        .store(store.clone())
        .blobs(store.clone())
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
    begun(run.id());
    let report = run.wait().await.expect("the run ends");
    let took = started.elapsed();
    assert_eq!(report.status, RunStatus::Succeeded);
    engine.shutdown().await;
    (took, store, run.id())
}

/// Prints lines of 100 bytes, each its number.
fn printer(lines: usize) -> String {
    format!("awk 'BEGIN {{ for (i = 0; i < {lines}; i++) printf \"%0{}d\\n\", i }}'", LINE - 1)
}

/// Stops the process of an engine for so long while its job prints, and gives the time from then to the job's end.
/// The engine then has to find the whole log.
async fn engine_stopped(docker: &Docker, lines: usize, stopped: Duration) -> Duration {
    let mut engine = std::process::Command::new(std::env::current_exe().expect("a bench has a path"))
        .env(ENGINE_TO_STOP, lines.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the bench starts itself");
    let mut id = String::new();
    BufReader::new(engine.stdout.take().expect("it is piped")).read_line(&mut id).expect("the engine says which run");
    let job = JobId { run: id.trim().parse().expect("a run's id"), stage: "s0".into(), attempt: 1 };
    let name = job.backend_name();
    while !has_begun(docker, &name).await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    signal(&engine, "STOP");
    let begun = Instant::now();
    let ended = tokio::time::timeout(stopped, wait(docker, &name)).await;
    let took = if ended.is_ok() { begun.elapsed() } else { Duration::MAX };
    tokio::time::sleep_until((begun + stopped).into()).await;
    signal(&engine, "CONT");
    assert!(engine.wait().expect("the engine ends").success(), "the engine did not find the whole log");
    took
}

async fn has_begun(docker: &Docker, container: &str) -> bool {
    let found = docker.inspect_container(container, None::<InspectContainerOptions>).await;
    let state = found.ok().and_then(|found| found.state);
    state.and_then(|state| state.started_at).is_some_and(|time| !time.starts_with("0001"))
}

fn signal(process: &std::process::Child, name: &str) {
    let status = std::process::Command::new("kill").args([&format!("-{name}"), &process.id().to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "no signal can be sent");
}

async fn raw_stages(docker: &Docker, count: usize, at_once: u32) -> Duration {
    let started = Instant::now();
    stream::iter(0..count)
        .map(|_| async {
            let id = create(docker, "true").await;
            docker.start_container(&id, None::<StartContainerOptions>).await.expect("it starts");
            wait(docker, &id).await;
            remove(docker, &id).await;
        })
        .buffer_unordered(at_once as usize)
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

async fn raw_logs(docker: &Docker, lines: usize) -> Duration {
    let started = Instant::now();
    let id = create(docker, &printer(lines)).await;
    docker.start_container(&id, None::<StartContainerOptions>).await.expect("it starts");
    let options = LogsOptions { follow: true, stdout: true, stderr: true, ..LogsOptions::default() };
    let mut logs = docker.logs(&id, Some(options));
    let mut read = 0;
    while let Some(piece) = logs.next().await {
        read += piece.expect("the log is read").as_ref().len();
    }
    assert_eq!(read, lines * LINE, "the limit itself lost bytes");
    wait(docker, &id).await;
    remove(docker, &id).await;
    started.elapsed()
}

async fn docker_logs(docker: &Docker, lines: usize) -> Duration {
    let started = Instant::now();
    let id = create(docker, &printer(lines)).await;
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
