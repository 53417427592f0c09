//! Restoring a backup.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use buildit::artifact::{BlobError, BlobStore};
use buildit::id::Digest;
use buildit_storage::ObjectBlobs;
use buildit_storage::sqlite::SqliteStore;
use bytes::Bytes;
use futures_util::stream;
use serde::de::DeserializeOwned;
use tar::{Archive, Entry};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use zstd::stream::read::Decoder;

use super::archive::{BLOBS, DATABASE, END, End, FORM, HEAD, Head, KEY, PIECE, TEXT_BYTES, copy, or_panic};
use super::error::BackupError;
use super::mark;
use super::places::Places;
use crate::open::Server;
use crate::settings::Settings;

/// How many pieces of a blob are read ahead.
const AHEAD: usize = 4;

/// What was restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// How many blobs.
    pub blobs: u64,
    /// Whether the key was among it. Without it, secrets are opened once it is put where it was.
    pub key: KeyRestored,
}

/// Whether the key of the secrets was in a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRestored {
    /// It is where the server looks for it.
    Yes,
    /// It was left out.
    No,
}

impl Server {
    /// Makes all that a server with these settings keeps out of an archive of [`backup`](Self::backup). Everything in it is
    /// verified. Where the settings say that it is kept, nothing may be.
    ///
    /// What the server that the backup is of did since is not known to the new one, which goes on with its open runs: the
    /// old one must have ended for good.
    ///
    /// # Errors
    ///
    /// [`BackupError::NotEmpty`] when there is something already, [`BackupError::Damaged`] when the archive is not whole, and any
    /// other [`BackupError`] when something cannot be read or written: then nothing is left, or what is left is no folder
    /// that a server opens.
    ///
    /// # Cancel safety
    ///
    /// What is left when the future is dropped is no folder that a server opens.
    pub async fn restore(settings: &Settings, from: &Path) -> Result<Restored, BackupError> {
        let places = Places::made(settings)?;
        let database = places.database()?;
        let archive = File::open(from).map_err(BackupError::unreadable_file(from))?;
        if database.exists() {
            return Err(BackupError::NotEmpty(database));
        }
        places.begin()?;
        match restore(archive, &places, &database).await {
            Ok(restored) => {
                mark::clear(&places.data).map_err(BackupError::unwritable(&places.data))?;
                Ok(restored)
            }
            Err(error) => {
                let cleared = match &error {
                    // Somebody else has begun something there.
                    BackupError::NotEmpty(_) => mark::clear(&places.data),
                    _ => places.clear(&database),
                };
                // What cannot be removed stays with its mark.
                if let Err(error) = cleared {
                    tracing::warn!(%error, "what was restored so far cannot be removed");
                }
                Err(error)
            }
        }
    }
}

async fn restore(archive: File, places: &Places, database: &Path) -> Result<Restored, BackupError> {
    let blobs: Arc<dyn BlobStore> = Arc::new(ObjectBlobs::open(&places.blobs)?);
    let (runtime, at, key) = (Handle::current(), database.to_owned(), places.key.clone());
    let reading = tokio::task::spawn_blocking(move || {
        Reading {
            runtime,
            blobs,
            database: &at,
            key: &key,
            head: None,
            has_database: false,
            has_key: false,
            end: End::default(),
        }
        .all(archive)
    });
    let restored = reading.await.unwrap_or_else(or_panic)?;
    // Of this version, or of one before, whose schema is brought up to date.
    SqliteStore::open(database).await?;
    Ok(restored)
}

/// An archive that is being read.
struct Reading<'a> {
    runtime: Handle,
    blobs: Arc<dyn BlobStore>,
    database: &'a Path,
    key: &'a Path,
    head: Option<Head>,
    has_database: bool,
    has_key: bool,
    /// The blobs that came so far.
    end: End,
}

impl Reading<'_> {
    fn all(mut self, archive: File) -> Result<Restored, BackupError> {
        let decoder = Decoder::new(archive).map_err(BackupError::unreadable)?;
        let mut archive = Archive::new(decoder);
        let mut has_ended = false;
        for entry in archive.entries().map_err(BackupError::unreadable)? {
            let mut entry = entry.map_err(BackupError::unreadable)?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            if !entry.header().entry_type().is_file() || has_ended {
                return Err(BackupError::damaged(format!("`{name}` is no part of a backup")));
            }
            has_ended = self.entry(&name, &mut entry)?;
        }
        // What follows the last entry, and the sum over all of it.
        io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(BackupError::unreadable)?;
        if !has_ended {
            return Err(BackupError::damaged("its end is missing"));
        }
        let key = if self.has_key { KeyRestored::Yes } else { KeyRestored::No };
        Ok(Restored { blobs: self.end.blobs, key })
    }

    /// Takes an entry; whether it is the last one.
    fn entry(&mut self, name: &str, entry: &mut Entry<'_, impl Read>) -> Result<bool, BackupError> {
        match (name, &self.head) {
            (HEAD, None) => {
                let head: Head = text(name, entry)?;
                if head.form > FORM {
                    return Err(BackupError::Newer(head.form));
                }
                self.head = Some(head);
            }
            (DATABASE, Some(head)) if !self.has_database => {
                self.has_database = true;
                if written(self.database, entry)? != head.database {
                    return Err(BackupError::damaged("the database is another than it was"));
                }
            }
            (KEY, Some(_)) if !self.has_key => {
                self.has_key = true;
                written(self.key, &mut entry.take(TEXT_BYTES))?;
            }
            (END, Some(_)) if self.has_database => {
                let end: End = text(name, entry)?;
                if end != self.end {
                    return Err(BackupError::damaged(format!("of {} blobs it has {}", end.blobs, self.end.blobs)));
                }
                return Ok(true);
            }
            (name, Some(_)) => {
                let digest = name.strip_prefix(BLOBS).and_then(|digest| digest.parse().ok());
                let digest = digest.ok_or_else(|| BackupError::damaged(format!("`{name}` is no part of a backup")))?;
                let bytes = self.blob(digest, entry)?;
                self.end = End { blobs: self.end.blobs + 1, bytes: self.end.bytes + bytes };
            }
            (_, None) => return Err(BackupError::damaged("it does not begin as one of ours")),
        }
        Ok(false)
    }

    /// Keeps a blob; its size.
    fn blob(&self, digest: Digest, content: &mut impl Read) -> Result<u64, BackupError> {
        let (sender, mut receiver) = mpsc::channel::<Result<Bytes, BlobError>>(AHEAD);
        let blobs = Arc::clone(&self.blobs);
        let put = self
            .runtime
            .spawn(async move { blobs.put(Box::pin(stream::poll_fn(move |cx| receiver.poll_recv(cx)))).await });
        let mut failed = None;
        loop {
            let mut piece = vec![0; PIECE];
            let read = match content.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    // Or what came so far would be taken for all of it.
                    let _ = sender.blocking_send(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
                    failed = Some(error);
                    break;
                }
            };
            piece.truncate(read);
            // A store that has failed says why.
            if sender.blocking_send(Ok(piece.into())).is_err() {
                break;
            }
        }
        drop(sender);
        let put = self.runtime.block_on(put).unwrap_or_else(or_panic);
        if let Some(error) = failed {
            return Err(BackupError::unreadable(error));
        }
        match put? {
            (found, bytes) if found == digest => Ok(bytes),
            _ => Err(BackupError::damaged(format!("the blob {digest} is another than it was"))),
        }
    }
}

/// A text that is JSON.
fn text<T: DeserializeOwned>(name: &str, content: &mut impl Read) -> Result<T, BackupError> {
    let mut text = Vec::new();
    content.take(TEXT_BYTES).read_to_end(&mut text).map_err(BackupError::unreadable)?;
    serde_json::from_slice(&text).map_err(|_| BackupError::damaged(format!("`{name}` cannot be understood")))
}

/// Writes a file for its owner alone, which outlasts a crash of the machine; its digest.
fn written(file: &Path, content: &mut impl Read) -> Result<Digest, BackupError> {
    let unwritable = || BackupError::unwritable(file);
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).map_err(unwritable())?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let to = options.open(file).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => BackupError::NotEmpty(file.to_owned()),
        _ => unwritable()(error),
    })?;
    let (digest, _) = copy(BufReader::new(content), &to, BackupError::unreadable, unwritable())?;
    to.sync_all().map_err(unwritable())?;
    Ok(digest)
}
