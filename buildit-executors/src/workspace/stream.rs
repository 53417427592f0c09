//! Archives on their way to and from the blob store: the store is asynchronous, archives are written and read by
//! blocking code, and neither ever holds a whole archive in memory.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::sync::Arc;

use buildit::artifact::{BlobError, BlobStore};
use buildit::id::Digest;
use bytes::{Buf, Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;

use super::WorkspaceError;

/// Bytes that travel together: large enough that a hand-over between threads costs little beside them.
const PIECE: usize = 256 * 1024;
/// Pieces that may wait: the writer is at most this far ahead.
pub(super) const WAITING: usize = 4;

/// Stores what `write` writes as a blob, while it is written, and gives the blob's address, its size and what
/// `write` gave. `write` runs on a thread that may block.
///
/// # Errors
///
/// What `write` gave, or that the store failed; then nothing is kept.
pub async fn store_archive<T: Send + 'static>(
    blobs: &Arc<dyn BlobStore>,
    write: impl FnOnce(PieceWriter) -> Result<(T, PieceWriter), WorkspaceError> + Send + 'static,
) -> Result<(Digest, u64, T), WorkspaceError> {
    let (sender, mut receiver) = mpsc::channel::<Result<Bytes, BlobError>>(WAITING);
    let writing = tokio::task::spawn_blocking(move || {
        let writer = PieceWriter::new(sender.clone());
        let done = write(writer).and_then(|(value, mut writer)| {
            writer.flush()?;
            Ok(value)
        });
        if done.is_err() {
            let _ = sender.blocking_send(Err(io::Error::from(io::ErrorKind::Interrupted).into()));
        }
        done
    });
    let stored = blobs.put(Box::pin(stream::poll_fn(move |cx| receiver.poll_recv(cx)))).await;
    let written = writing.await.map_err(io::Error::other)?;
    match (written, stored) {
        // A writer that cannot go on because the store has hung up is not to blame.
        (Err(WorkspaceError::Io(error)), Err(stored)) if error.kind() == io::ErrorKind::BrokenPipe => {
            Err(stored.into())
        }
        (Err(error), _) => Err(error),
        (Ok(value), stored) => stored.map(|(digest, bytes)| (digest, bytes, value)).map_err(Into::into),
    }
}

/// Hands a blob's bytes to `read`, which runs on a thread that may block. What it leaves unread is read to its end,
/// so that a corrupt blob is noticed.
///
/// # Errors
///
/// What `read` gave, or that the blob is missing, corrupt or cannot be read.
pub async fn load_archive<T: Send + 'static>(
    blobs: &Arc<dyn BlobStore>,
    digest: &Digest,
    read: impl FnOnce(&mut dyn Read) -> Result<T, WorkspaceError> + Send + 'static,
) -> Result<T, WorkspaceError> {
    if let Some(path) = blobs.local_path(digest) {
        let digest = *digest;
        return tokio::task::spawn_blocking(move || {
            let file = File::open(&path).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => BlobError::Missing(digest),
                _ => error.into(),
            })?;
            read(&mut BufReader::with_capacity(PIECE, file))
        })
        .await
        .map_err(io::Error::other)?;
    }
    let mut blob = blobs.open(digest).await?;
    let (sender, receiver) = mpsc::channel(WAITING);
    let reading = tokio::task::spawn_blocking(move || {
        let mut reader = PieceReader { piece: Bytes::new(), from: receiver };
        let value = read(&mut reader)?;
        io::copy(&mut reader, &mut io::sink())?;
        Ok(value)
    });
    let mut broken = None;
    while let Some(piece) = blob.next().await {
        let failed = piece.is_err();
        let sent = match piece {
            Ok(piece) => sender.send(Ok(piece)).await,
            Err(error) => {
                broken = Some(error);
                sender.send(Err(io::Error::from(io::ErrorKind::Interrupted))).await
            }
        };
        if failed || sent.is_err() {
            break;
        }
    }
    drop(sender);
    let value: Result<T, WorkspaceError> = reading.await.map_err(io::Error::other)?;
    match broken {
        Some(error) => Err(error.into()),
        None => value,
    }
}

/// Where an archive of [`store_archive`] is written: small writes are gathered, so that it needs no buffer.
#[derive(Debug)]
pub struct PieceWriter {
    piece: BytesMut,
    to: mpsc::Sender<Result<Bytes, BlobError>>,
}

impl PieceWriter {
    /// One whose pieces go there.
    pub(super) fn new(to: mpsc::Sender<Result<Bytes, BlobError>>) -> Self {
        Self { piece: BytesMut::new(), to }
    }
}

impl Write for PieceWriter {
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
        let piece = self.piece.split().freeze();
        self.to.blocking_send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

struct PieceReader {
    piece: Bytes,
    from: mpsc::Receiver<io::Result<Bytes>>,
}

impl Read for PieceReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.from.blocking_recv() {
                // `Interrupted` would be tried again by every caller: the blob is broken, which is final.
                Some(Err(_)) => return Err(io::Error::other("the blob cannot be read")),
                Some(Ok(piece)) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let count = into.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut into[..count]);
        Ok(count)
    }
}
