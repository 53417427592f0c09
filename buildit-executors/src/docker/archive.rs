//! Archives on their way to and from a container engine, as blocking readers and writers.

use std::io::{self, Read, Write};

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use bytes::{Buf, Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::backend::is_gone;
use crate::workspace::WorkspaceError;

/// Bytes are passed on in pieces of about this size, so that a channel costs little beside them.
const PIECE: usize = 256 * 1024;
/// Pieces that may wait.
const WAITING: usize = 4;

/// What comes of a download.
pub(super) enum Download<T> {
    /// It was read.
    Read(T),
    /// There is no such path in the container.
    Missing,
}

/// Hands the archive of a path in a container to `read`, which runs on a thread that may block.
///
/// # Errors
///
/// What `read` gave, or as an [`io::Error`] what the container engine said.
pub(super) async fn download<T: Send + 'static>(
    docker: &Docker,
    container: &str,
    path: &str,
    read: impl FnOnce(&mut dyn Read) -> Result<T, WorkspaceError> + Send + 'static,
) -> Result<Download<T>, WorkspaceError> {
    let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
    let mut archive = Box::pin(docker.download_from_container(container, Some(options)));
    let first = match archive.next().await {
        Some(Err(error)) if is_gone(&error) => return Ok(Download::Missing),
        Some(first) => first.map_err(broken)?,
        None => return Ok(Download::Missing),
    };
    let (sender, receiver) = mpsc::channel(WAITING);
    let reading = tokio::task::spawn_blocking(move || read(&mut PieceReader { piece: first, from: receiver }));
    let mut failed = None;
    while let Some(piece) = archive.next().await {
        match piece {
            // A reader that has seen enough hangs up.
            Ok(piece) => {
                if sender.send(piece).await.is_err() {
                    break;
                }
            }
            Err(error) => {
                failed = Some(broken(error));
                break;
            }
        }
    }
    drop(sender);
    let value = reading.await.map_err(io::Error::other)?;
    match failed {
        Some(error) => Err(error.into()),
        None => value.map(Download::Read),
    }
}

fn broken(error: Error) -> io::Error {
    io::Error::other(error)
}

struct PieceReader {
    piece: Bytes,
    from: mpsc::Receiver<Bytes>,
}

impl Read for PieceReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.from.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let count = into.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut into[..count]);
        Ok(count)
    }
}

/// Where an archive is written that is uploaded at the same time. Only threads that may block write to it.
#[derive(Debug)]
pub(super) struct UploadWriter {
    piece: BytesMut,
    to: mpsc::Sender<io::Result<Bytes>>,
}

impl UploadWriter {
    /// A writer, and what is written to it.
    pub(super) fn new() -> (Self, mpsc::Receiver<io::Result<Bytes>>) {
        let (to, from) = mpsc::channel(WAITING);
        (Self { piece: BytesMut::new(), to }, from)
    }

    /// Makes the upload fail: half an archive must not look like a whole one.
    pub(super) fn spoiler(&self) -> mpsc::Sender<io::Result<Bytes>> {
        self.to.clone()
    }
}

impl Write for UploadWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        self.to.blocking_send(Ok(self.piece.split().freeze())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
