//! An engine's side of a job: keeps the log as an engine would, with its cursor.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use buildit::artifact::{BlobError, BlobStore, BlobStream};
use buildit::executor::{JobContext, JobContextBuilder, JobHost, LeaseLost, LogCursor, LogError, LogWrite};
use buildit::id::{Digest, JobId, RunId};
use buildit::job::{Environment, JobSpec, Stream};
use buildit::pipeline::{Action, Command, RunAction, Shell, StageSpec};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::Notify;

/// What a job logged, as raw bytes of each stream, and how far each output was read.
#[derive(Debug, Default)]
pub struct Kept {
    pub log: Vec<(Stream, Vec<u8>)>,
    pub cursor: LogCursor,
    pub bytes: u64,
}

#[derive(Debug, Default)]
pub struct Host {
    pub kept: Mutex<Kept>,
    pub logged: Notify,
    /// Whether bytes are only counted.
    pub count_only: bool,
    /// Nothing is taken while somebody holds this for writing.
    pub gate: tokio::sync::RwLock<()>,
}

impl Host {
    pub fn text(&self, stream: Stream) -> String {
        let kept = self.kept.lock().unwrap();
        let parts = kept.log.iter().filter(|(of, _)| *of == stream).flat_map(|(_, bytes)| bytes.clone());
        String::from_utf8(parts.collect()).unwrap()
    }

    pub fn lines(&self) -> Vec<String> {
        let kept = self.kept.lock().unwrap();
        let mut lines = Vec::new();
        for (stream, bytes) in &kept.log {
            lines.extend(String::from_utf8_lossy(bytes).lines().map(|line| format!("{} {line}", stream.as_str())));
        }
        lines
    }

    /// Waits until the log holds this text.
    pub async fn wait_for(&self, text: &str) {
        loop {
            let logged = self.logged.notified();
            if self.lines().iter().any(|line| line.contains(text)) {
                return;
            }
            logged.await;
        }
    }
}

#[async_trait]
impl JobHost for Host {
    async fn log(&self, _: &JobId, write: LogWrite) -> Result<(), LogError> {
        let _open = self.gate.read().await;
        {
            let mut kept = self.kept.lock().unwrap();
            kept.bytes += write.bytes.len() as u64;
            if let Some((physical, end)) = write.position {
                // An echo stands in for the mark before it, whatever their lengths.
                let length = if write.stream == Stream::Command { 0 } else { write.bytes.len() as u64 };
                assert!(end >= kept.cursor.offset(physical) + length, "bytes overlap what was passed on before");
                kept.cursor.set_offset(physical, end);
            }
            if !self.count_only {
                match kept.log.last_mut() {
                    Some((stream, bytes)) if *stream == write.stream => bytes.extend_from_slice(&write.bytes),
                    _ => kept.log.push((write.stream, write.bytes.to_vec())),
                }
            }
        }
        self.logged.notify_waiters();
        Ok(())
    }

    async fn flush(&self, _: &JobId) -> Result<(), LogError> {
        Ok(())
    }

    fn stored(&self, _: &JobId) -> LogCursor {
        self.kept.lock().unwrap().cursor
    }

    async fn confirm_lease(&self, _: &JobId) -> Result<(), LeaseLost> {
        Ok(())
    }

    fn mask(&self, text: &str) -> String {
        text.replace("hunter2", "***")
    }
}

#[derive(Debug, Default)]
pub struct Blobs(Mutex<HashMap<Digest, Bytes>>);

impl Blobs {
    pub fn get(&self, digest: &Digest) -> Bytes {
        self.0.lock().unwrap()[digest].clone()
    }

    pub fn remove(&self, digest: &Digest) {
        self.0.lock().unwrap().remove(digest);
    }

    pub fn add(&self, bytes: Vec<u8>) -> Digest {
        let digest = Digest::of(&bytes);
        self.0.lock().unwrap().insert(digest, bytes.into());
        digest
    }
}

#[async_trait]
impl BlobStore for Blobs {
    async fn put(&self, mut content: BlobStream) -> Result<(Digest, u64), BlobError> {
        let mut bytes = Vec::new();
        while let Some(piece) = content.next().await {
            bytes.extend_from_slice(&piece?);
        }
        let size = bytes.len() as u64;
        Ok((self.add(bytes), size))
    }

    async fn open(&self, digest: &Digest) -> Result<BlobStream, BlobError> {
        let bytes = self.0.lock().unwrap().get(digest).cloned().ok_or(BlobError::Missing(*digest))?;
        let pieces: Vec<_> = bytes.chunks(1000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        Ok(Box::pin(futures_util::stream::iter(pieces)) as Pin<Box<_>>)
    }

    async fn contains(&self, digest: &Digest) -> Result<bool, BlobError> {
        Ok(self.0.lock().unwrap().contains_key(digest))
    }
}

pub fn job(commands: &[&str]) -> JobSpec {
    job_with(commands, |_| {})
}

pub fn job_with(commands: &[&str], change: impl FnOnce(&mut StageSpec)) -> JobSpec {
    let commands = commands.iter().map(|text| Command::new(*text)).collect();
    let mut stage = StageSpec::new("stage", Action::Run(RunAction { commands, shell: Shell::default() }));
    change(&mut stage);
    JobSpec {
        id: JobId { run: RunId::new(), stage: "stage".into(), attempt: 1 },
        stage: Arc::new(stage),
        index: 0,
        run_env: Arc::default(),
        variables: Environment::new(),
    }
}

pub fn context(host: &Arc<Host>, blobs: &Arc<Blobs>) -> JobContextBuilder {
    JobContext::builder(host.clone(), blobs.clone()).cursor(host.kept.lock().unwrap().cursor)
}
