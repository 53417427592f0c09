//! G3: no byte of a log is lost on its way through our store, and a job waits for nobody who reads it.

use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use buildit::config;
use buildit::engine::{Engine, StartOptions};
use buildit::job::Stream;
use buildit::memory::MemoryStore;
use buildit::pipeline::RunContext;
use buildit::store::LogStore;
use buildit_executors::docker::{self, DockerOptions, Network};
use futures_util::StreamExt;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::world::{World, address, is_podman};

/// What a job prints: this many lines of a hundred bytes, each with its number.
fn print(lines: usize) -> String {
    format!(r#"awk 'BEGIN {{ for (i = 0; i < {lines}; i++) printf "%099d\n", i }}'"#)
}

fn digest_of(lines: usize) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    (0..lines).for_each(|line| _ = hasher.update(format!("{line:099}\n").as_bytes()));
    hasher.finalize()
}

/// Runs a pipeline of one stage `print` with an engine and its store, and gives the digest of what the log holds
/// after its line `ready`. Makes the file `up` when that line is stored.
async fn stored(command: &str, up: &Path) -> blake3::Hash {
    let options = DockerOptions::new().with_network(Network::None);
    let executor = docker::connect_to(&address(), options).await.unwrap();
    let store = Arc::new(MemoryStore::new());
    let builder = Engine::builder().executor(Arc::new(executor)).store(store.clone());
    let engine = builder.blobs(store.clone()).caches(store.clone()).build().unwrap();
    let text = format!(r##"stage "print" {{ image "busybox:local" pull="never"; run "echo ready" #"{command}"# }}"##);
    let pipeline = config::parse("log.kdl", &text, &config::Options::default()).unwrap();
    let run = engine.start(&pipeline, StartOptions::new(RunContext::manual())).await.unwrap();
    let mut logs = run.logs("print");
    let up = up.to_owned();
    tokio::spawn(async move {
        while let Some(log) = logs.next().await {
            if log.unwrap().chunk.text.starts_with(b"ready") {
                std::fs::write(&up, "").unwrap();
                return;
            }
        }
    });
    run.wait().await.unwrap();
    engine.shutdown().await;
    let job = store.logs_of_run(run.id()).await.unwrap().remove(0);
    let (mut hasher, mut after) = (blake3::Hasher::new(), 0);
    loop {
        let page = store.read_log(&job, after, 4 * 1024 * 1024).await.unwrap();
        let Some(last) = page.chunks.last() else { return hasher.finalize() };
        after = last.last_line();
        for chunk in page.chunks.iter().filter(|chunk| chunk.stream == Stream::Stdout) {
            hasher.update(chunk.text.strip_prefix(b"ready\n").unwrap_or(&chunk.text));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs docker"]
async fn two_hundred_mebibytes_are_stored_byte_for_byte() {
    const LINES: usize = 2 * 1024 * 1024;
    World::docker().await;
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(stored(&print(LINES), &folder.path().join("up")).await, digest_of(LINES));
}

/// Names the folder to the process that is stopped.
const FOLDER: &str = "BUILDIT_STOPPED_ENGINE";
/// More than any buffer between a container and its reader holds.
const MANY: usize = 400_000;

/// Not a test of its own: the engine that is stopped. It does nothing unless it was called for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_engine() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    // It goes on when the test says so, by which time this process is stopped.
    let command = format!("while [ ! -e /tmp/go ]; do sleep 0.05; done; {}", print(MANY));
    let digest = stored(&command, &folder.join("up")).await;
    std::fs::write(folder.join("digest"), digest.to_hex().as_bytes()).unwrap();
}

/// The engine's process, which is killed when the test fails.
struct StoppedEngine(Child);

impl StoppedEngine {
    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id().cast_signed()), signal).unwrap();
    }

    fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        stat.contains(") T ")
    }
}

impl Drop for StoppedEngine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
#[ignore = "needs docker"]
async fn a_job_waits_for_no_engine_that_is_stopped() {
    if is_podman() {
        return; // Its log is read anew, never followed.
    }
    let world = World::docker().await;
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["log::stopped_engine", "--exact", "--nocapture"]).env(FOLDER, folder.path());
    let mut engine = StoppedEngine(child.spawn().unwrap());
    let begun = Instant::now();
    while !folder.path().join("up").exists() {
        assert!(engine.0.try_wait().unwrap().is_none() && begun.elapsed() < Duration::from_secs(60), "no job came up");
        tokio::task::yield_now().await;
    }
    let name = of_the_only_job(&world).await;
    engine.signal(Signal::SIGSTOP);
    while !engine.is_stopped() {
        tokio::task::yield_now().await;
    }
    let told = Command::new("docker").args(["exec", &name, "touch", "/tmp/go"]).status().unwrap();
    assert!(told.success());
    let mut ends = world.docker.wait_container(&name, None::<bollard::query_parameters::WaitContainerOptions>);
    let ended = tokio::time::timeout(Duration::from_secs(120), ends.next()).await;
    assert_eq!(ended.expect("the job waits for its reader").unwrap().unwrap().status_code, 0);
    assert!(engine.is_stopped());
    engine.signal(Signal::SIGCONT);
    assert!(engine.0.wait().unwrap().success());
    let digest = std::fs::read_to_string(folder.path().join("digest")).unwrap();
    assert_eq!(digest, digest_of(MANY).to_hex().as_str());
}

/// The container of the stage that this test alone runs.
async fn of_the_only_job(world: &World) -> String {
    let filters = std::collections::HashMap::from([("label".to_owned(), vec!["buildit.stage=print".to_owned()])]);
    let options = bollard::query_parameters::ListContainersOptionsBuilder::new().filters(&filters).build();
    let mut found = world.docker.list_containers(Some(options)).await.unwrap();
    found.retain(|container| container.command.as_deref().is_some_and(|command| !command.is_empty()));
    assert!(!found.is_empty(), "the job's container is not there");
    found.remove(0).id.unwrap()
}
