//! What a test needs: an executor, a job, and a host that keeps its log.

use std::collections::HashMap;
use std::process::Command as Process;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bollard::Docker;
use bollard::query_parameters::{
    CreateImageOptionsBuilder, ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
};
use buildit::artifact::BlobStore;
use buildit::executor::{
    Executor, JobContext, JobContextBuilder, JobHost, LeaseLost, LogCursor, LogError, LogWrite, Physical,
};
use buildit::id::{JobId, RunId};
use buildit::job::{Environment, JobOutcome, JobSpec, Stream};
use buildit::memory::MemoryStore;
use buildit::pipeline::{Action, Command, ImageSpec, RunAction, StageSpec};
use buildit_executors::docker::{self, DockerExecutor, DockerOptions, Network};
use futures_util::StreamExt;

pub(crate) const IMAGE: &str = "busybox:local";

/// An executor and a run on it.
pub(crate) struct World {
    pub(crate) executor: DockerExecutor,
    pub(crate) docker: Docker,
    pub(crate) blobs: Arc<dyn BlobStore>,
    pub(crate) run: RunId,
    pub(crate) host: Arc<Host>,
}

impl World {
    /// The engine of this host, without a network, which is quick.
    pub(crate) async fn docker() -> Self {
        Self::at(&address(), DockerOptions::new().with_network(Network::None)).await
    }

    pub(crate) async fn at(address: &str, options: DockerOptions) -> Self {
        let docker = Docker::connect_with_host(address).unwrap().negotiate_version().await.unwrap();
        see_to_image(&docker).await;
        Self::of(docker::connect_to(address, options).await.unwrap(), docker)
    }

    pub(crate) fn of(executor: DockerExecutor, docker: Docker) -> Self {
        Self { executor, docker, blobs: Arc::new(MemoryStore::new()), run: RunId::new(), host: Arc::default() }
    }

    /// A job of a stage that runs these commands.
    pub(crate) fn job(&self, stage: &str, commands: &[&str]) -> JobSpec {
        let commands = commands.iter().map(|text| Command::new(*text)).collect();
        let mut spec = StageSpec::new(stage, Action::Run(RunAction { commands, ..Default::default() }));
        spec.image = Some(Box::new(ImageSpec::new(IMAGE)));
        JobSpec {
            id: JobId { run: self.run, stage: stage.into(), attempt: 1 },
            stage: Arc::new(spec),
            index: 0,
            run_env: Arc::default(),
            variables: Environment::new(),
        }
    }

    pub(crate) fn context(&self) -> JobContextBuilder {
        let host: Arc<dyn JobHost> = self.host.clone();
        JobContext::builder(host, Arc::clone(&self.blobs))
    }

    pub(crate) async fn run(&self, job: &JobSpec) -> JobOutcome {
        self.executor.run(job, self.context().build()).await.unwrap()
    }

    /// Ends the run as an engine does, and sees to it that nothing is left of it (guarantee G8).
    pub(crate) async fn end(self) {
        self.executor.reap(self.run).await.unwrap();
        assert_eq!(self.left().await, Vec::<String>::new());
    }

    /// All that is left of the run.
    pub(crate) async fn left(&self) -> Vec<String> {
        let filters = HashMap::from([("label".to_owned(), vec![format!("buildit.run={}", self.run)])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let containers = self.docker.list_containers(Some(options)).await.unwrap();
        let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
        let networks = self.docker.list_networks(Some(options)).await.unwrap();
        let options = ListVolumesOptionsBuilder::new().filters(&filters).build();
        let volumes = self.docker.list_volumes(Some(options)).await.unwrap().volumes.unwrap_or_default();
        let containers = containers.into_iter().flat_map(|container| container.names.unwrap_or_default());
        let networks = networks.into_iter().filter_map(|network| network.name);
        containers.chain(networks).chain(volumes.into_iter().map(|volume| volume.name)).collect()
    }
}

/// A job of a run of its own in this image.
pub(crate) fn job_of(image: &str) -> JobSpec {
    let mut spec =
        StageSpec::new("a", Action::Run(RunAction { commands: vec![Command::new("true")], ..Default::default() }));
    spec.image = Some(Box::new(ImageSpec::new(image)));
    JobSpec {
        id: JobId { run: RunId::new(), stage: "a".into(), attempt: 1 },
        stage: Arc::new(spec),
        index: 0,
        run_env: Arc::default(),
        variables: Environment::new(),
    }
}

/// Changes the stage of a job.
pub(crate) fn with(mut job: JobSpec, change: impl FnOnce(&mut StageSpec)) -> JobSpec {
    change(Arc::make_mut(&mut job.stage));
    job
}

/// Keeps logs as an engine does: whole lines, each once, with a cursor behind them.
#[derive(Debug, Default)]
pub(crate) struct Host {
    state: Mutex<Logs>,
    arrived: tokio::sync::Notify,
}

#[derive(Debug, Default)]
struct Logs {
    lines: Vec<(Stream, String)>,
    open: HashMap<Stream, Vec<u8>>,
    cursor: LogCursor,
    /// The raw offsets behind what was taken.
    taken: LogCursor,
    lease_lost: bool,
}

impl Host {
    /// The lines as `stream text`.
    pub(crate) fn lines(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        state.lines.iter().map(|(stream, text)| format!("{} {text}", stream.as_str())).collect()
    }

    /// The text of one stream.
    pub(crate) fn text(&self, stream: Stream) -> Vec<String> {
        let state = self.state.lock().unwrap();
        state.lines.iter().filter(|(from, _)| *from == stream).map(|(_, text)| text.clone()).collect()
    }

    pub(crate) fn cursor(&self) -> LogCursor {
        self.state.lock().unwrap().cursor
    }

    /// What an engine that died has not stored is gone.
    pub(crate) fn forget_open_lines(&self) {
        let mut state = self.state.lock().unwrap();
        state.open.clear();
        state.taken = state.cursor;
    }

    pub(crate) fn lose_lease(&self) {
        self.state.lock().unwrap().lease_lost = true;
    }

    /// Waits until there is such a line.
    pub(crate) async fn saw(&self, line: &str) {
        let seen = tokio::time::timeout(std::time::Duration::from_secs(60), self.sees(line)).await;
        assert!(seen.is_ok(), "no line `{line}` in {:?}", self.lines());
    }

    async fn sees(&self, line: &str) {
        loop {
            let arrived = self.arrived.notified();
            if self.lines().iter().any(|found| found == line) {
                return;
            }
            arrived.await;
        }
    }
}

#[async_trait]
impl JobHost for Host {
    async fn log(&self, _: &JobId, write: LogWrite) -> Result<(), LogError> {
        let mut state = self.state.lock().unwrap();
        if let Some((physical, end)) = write.position {
            // Bytes that were passed over, or an echo in the place of a mark, end a line that was begun.
            let stream = if physical == Physical::Stdout { Stream::Stdout } else { Stream::Stderr };
            let passed_over = end - write.bytes.len().min(end as usize) as u64 > state.taken.offset(physical);
            if (passed_over || write.stream != stream)
                && let Some(open) = state.open.remove(&stream).filter(|open| !open.is_empty())
            {
                state.lines.push((stream, String::from_utf8_lossy(&open).into_owned()));
                let taken = state.taken.offset(physical);
                state.cursor.set_offset(physical, taken);
            }
            state.taken.set_offset(physical, end);
        }
        let mut open = state.open.remove(&write.stream).unwrap_or_default();
        open.extend_from_slice(&write.bytes);
        while let Some(end) = open.iter().position(|byte| *byte == b'\n') {
            let rest = open.split_off(end + 1);
            let text = String::from_utf8_lossy(&open[..end]).into_owned();
            state.lines.push((write.stream, text));
            open = rest;
            if let Some((physical, position)) = write.position {
                state.cursor.set_offset(physical, position - open.len() as u64);
            }
        }
        state.open.insert(write.stream, open);
        drop(state);
        self.arrived.notify_waiters();
        Ok(())
    }

    async fn flush(&self, _: &JobId) -> Result<(), LogError> {
        let mut state = self.state.lock().unwrap();
        for (stream, open) in std::mem::take(&mut state.open) {
            if !open.is_empty() {
                state.lines.push((stream, String::from_utf8_lossy(&open).into_owned()));
            }
        }
        Ok(())
    }

    async fn confirm_lease(&self, _: &JobId) -> Result<(), LeaseLost> {
        if self.state.lock().unwrap().lease_lost { Err(LeaseLost) } else { Ok(()) }
    }

    fn mask(&self, text: &str) -> String {
        text.replace(super::secrets::VALUE, "***")
    }
}

/// Makes the test image if it is not there: the busybox of this host with its names.
async fn see_to_image(docker: &Docker) {
    if docker.inspect_image(IMAGE).await.is_ok() {
        return;
    }
    let list = Process::new("busybox").arg("--list").output().expect("the tests need a static busybox");
    let mut archive = tar::Builder::new(Vec::new());
    let mut folder = |path: &str, mode| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(mode);
        header.set_size(0);
        archive.append_data(&mut header, path, std::io::empty()).unwrap();
    };
    for (path, mode) in [("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777), ("root", 0o700)] {
        folder(path, mode);
    }
    let program = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| std::path::Path::new(path).exists());
    archive.append_path_with_name(program.unwrap(), "bin/busybox").unwrap();
    // Its list holds its own name, which must not become a link to itself.
    for name in String::from_utf8(list.stdout).unwrap().lines().filter(|name| *name != "busybox") {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_mode(0o777);
        header.set_size(0);
        archive.append_link(&mut header, format!("bin/{name}"), "busybox").unwrap();
    }
    let options = CreateImageOptionsBuilder::new().from_src("-").repo(IMAGE).build();
    let body = bollard::body_full(archive.into_inner().unwrap().into());
    let mut messages = docker.create_image(Some(options), Some(body), None);
    while let Some(message) = messages.next().await {
        message.unwrap();
    }
}

/// The engine that the tests run on: Docker's socket, unless `BUILDIT_TEST_ENGINE` names another.
pub(crate) fn address() -> String {
    std::env::var("BUILDIT_TEST_ENGINE").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned())
}

pub(crate) fn is_podman() -> bool {
    address().contains("podman")
}
