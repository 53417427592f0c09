//! Making a backup.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use buildit::artifact::{BlobStore, RemoveBlobs};
use buildit::id::Digest;
use buildit::store::ReferenceStore;
use buildit_executors::workspace::load_archive;
use buildit_storage::ObjectBlobs;
use buildit_storage::sqlite::SqliteStore;
use jiff::Timestamp;
use serde::Serialize;
use tar::{Builder, Header};
use tempfile::NamedTempFile;
use zstd::stream::write::Encoder;

use super::archive::{BLOBS, DATABASE, END, End, FORM, HEAD, Head, KEY, copy, or_panic};
use super::error::BackupError;
use super::places::Places;
use super::staging::Staging;
use crate::open::Server;
use crate::settings::Settings;

/// How often a backup begins anew because garbage was collected while it looked for what it needs.
const TRIES: usize = 3;

/// How many blobs are asked about at once.
const BATCH: usize = 1024;

/// How often what is not copied yet is held again: well within the time for which a collector leaves alone what is held.
const HOLD: Duration = Duration::from_secs(10 * 60);

/// Whether the file of the key is part of a backup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyFile {
    /// It is left out: whoever finds the backup cannot open the secrets in it. The key has to be kept somewhere else.
    #[default]
    LeftOut,
    /// It is in it: the backup by itself opens all secrets, and has to be kept like one.
    Included,
}

/// What a backup has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// How many blobs.
    pub blobs: u64,
    /// How large the archive is.
    pub bytes: u64,
}

impl Server {
    /// Writes all that the server with these settings keeps to this file, while servers go on with their runs. The file is
    /// there whole or not at all, and for its owner alone. Beside it as much room is needed as the database has.
    ///
    /// What is left out: the folders of jobs that run on the server's own machine, and copies of repositories, which are
    /// fetched anew.
    ///
    /// # Errors
    ///
    /// [`BackupError::Elsewhere`] for a store that is in no file, [`BackupError::Exists`] when there is such a file, and any
    /// other [`BackupError`] when something cannot be read or written.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing.
    pub async fn backup(settings: &Settings, to: &Path, key: KeyFile) -> Result<Written, BackupError> {
        let places = Places::there(settings)?;
        let database = places.database()?;
        if to.exists() {
            return Err(BackupError::Exists(to.to_owned()));
        }
        let key = match key {
            KeyFile::LeftOut => None,
            KeyFile::Included if places.key.exists() => Some(places.key.clone()),
            KeyFile::Included => return Err(BackupError::NoKey(places.key)),
        };
        let blobs = Arc::new(ObjectBlobs::open(&places.blobs)?);
        let (draft, needed) = begin(&database, &blobs, to, key).await?;
        tokio::select! {
            written = fill(draft, &blobs, &needed) => written,
            held = keep_holding(&blobs, &needed) => match held? {},
        }
    }
}

/// An archive with the database in it, and the blobs that this refers to, which are held.
async fn begin(
    database: &Path,
    blobs: &ObjectBlobs,
    to: &Path,
    key: Option<PathBuf>,
) -> Result<(Draft, Vec<Blob>), BackupError> {
    let beside = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut tries = 0;
    loop {
        let staging = Staging::new(beside).map_err(BackupError::unwritable(beside))?;
        let copied = staging.path().join(DATABASE);
        let before = listed(blobs).await?;
        SqliteStore::snapshot(database, &copied).await?;
        let (file, draft, key) = (copied.clone(), Draft::new(staging, to)?, key.clone());
        // Before anybody opens the copy, who would change it.
        let draft = tokio::task::spawn_blocking(move || draft.with_database(&file, key.as_deref()));
        let draft = draft.await.unwrap_or_else(or_panic)?;
        match needed(blobs, before, &SqliteStore::open(&copied).await?).await? {
            (needed, 0) => {
                // It is in the archive; the blobs may take long.
                if let Err(error) = std::fs::remove_file(&copied) {
                    tracing::debug!(%error, "the copy of the database stays until the archive is whole");
                }
                return Ok((draft, needed));
            }
            (_, missing) if tries == TRIES => return Err(BackupError::Missing(missing)),
            _ => tries += 1,
        }
    }
}

/// A blob with its size.
type Blob = (Digest, u64);

async fn listed(blobs: &ObjectBlobs) -> Result<HashMap<Digest, u64>, BackupError> {
    let mut listed = HashMap::new();
    for first in 0..=u8::MAX {
        listed.extend(blobs.blobs(first).await?.into_iter().map(|blob| (blob.digest, blob.bytes)));
    }
    Ok(listed)
}

/// The blobs that this copy of the database refers to, held, and how many of them are gone by now. `before` are those that
/// were there before the copy was.
async fn needed(
    blobs: &ObjectBlobs,
    before: HashMap<Digest, u64>,
    copied: &SqliteStore,
) -> Result<(Vec<Blob>, usize), BackupError> {
    let mut all = before;
    all.extend(listed(blobs).await?);
    let all: Vec<Blob> = all.into_iter().collect();
    let (mut needed, mut missing) = (Vec::new(), 0);
    for batch in all.chunks(BATCH) {
        let digests: Vec<Digest> = batch.iter().map(|(digest, _)| *digest).collect();
        let referred = copied.referred(&digests).await?;
        for blob in batch.iter().filter(|(digest, _)| referred.contains(digest)) {
            if blobs.hold(&blob.0).await? { needed.push(*blob) } else { missing += 1 }
        }
    }
    Ok((needed, missing))
}

/// Holds them again and again: a large backup takes longer than a collector waits.
async fn keep_holding(blobs: &ObjectBlobs, needed: &[Blob]) -> Result<Infallible, BackupError> {
    loop {
        tokio::time::sleep(HOLD).await;
        for (digest, _) in needed {
            blobs.hold(digest).await?;
        }
    }
}

/// Copies the blobs, and gives the archive its name.
async fn fill(mut draft: Draft, blobs: &Arc<ObjectBlobs>, needed: &[Blob]) -> Result<Written, BackupError> {
    let from: Arc<dyn BlobStore> = blobs.clone();
    let mut end = End::default();
    for &(digest, bytes) in needed {
        let copied = load_archive(&from, &digest, move |content| {
            draft.append(&format!("{BLOBS}{}", digest.to_hex()), bytes, content)?;
            Ok(draft)
        });
        draft = copied.await?;
        end = End { blobs: end.blobs + 1, bytes: end.bytes + bytes };
    }
    let bytes = tokio::task::spawn_blocking(move || draft.finish(end)).await.unwrap_or_else(or_panic)?;
    Ok(Written { blobs: end.blobs, bytes })
}

/// An archive that is being written, beside the place where it will be.
struct Draft {
    archive: Builder<Encoder<'static, NamedTempFile>>,
    to: PathBuf,
    /// Where it is until then.
    staging: Staging,
}

impl Draft {
    fn new(staging: Staging, to: &Path) -> Result<Self, BackupError> {
        let open = || {
            let mut encoder = Encoder::new(NamedTempFile::new_in(staging.path())?, zstd::DEFAULT_COMPRESSION_LEVEL)?;
            encoder.include_checksum(true)?;
            Ok(Builder::new(encoder))
        };
        Ok(Self { archive: open().map_err(BackupError::unwritable(to))?, to: to.to_owned(), staging })
    }

    /// The same with its head, the database and the key.
    fn with_database(mut self, file: &Path, key: Option<&Path>) -> Result<Self, BackupError> {
        let unreadable = || BackupError::unreadable_file(file);
        let open = || File::open(file).map_err(unreadable());
        let (database, bytes) = copy(open()?, io::sink(), unreadable(), BackupError::unwritable(&self.to))?;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        self.text(HEAD, &Head { form: FORM, version, created_at: Timestamp::now(), database })?;
        self.append(DATABASE, bytes, &mut open()?).map_err(BackupError::unwritable(&self.to))?;
        if let Some(key) = key {
            let text = std::fs::read(key).map_err(BackupError::unreadable_file(key))?;
            self.append(KEY, text.len() as u64, &mut &text[..]).map_err(BackupError::unwritable(&self.to))?;
        }
        Ok(self)
    }

    fn text(&mut self, name: &str, text: &impl Serialize) -> Result<(), BackupError> {
        let appended = serde_json::to_vec(text).map_err(io::Error::other);
        let appended = appended.and_then(|text| self.append(name, text.len() as u64, &mut &text[..]));
        appended.map_err(BackupError::unwritable(&self.to))
    }

    fn append(&mut self, name: &str, bytes: u64, content: &mut dyn Read) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_size(bytes);
        header.set_mode(0o600);
        self.archive.append_data(&mut header, name, content)
    }

    /// Ends the archive and gives it its name; its size.
    fn finish(mut self, end: End) -> Result<u64, BackupError> {
        self.text(END, &end)?;
        let Self { archive, to, staging: _staging } = self;
        let written = archive.into_inner().and_then(Encoder::finish).and_then(|mut file| {
            file.flush()?;
            file.as_file().sync_all()?;
            Ok((file.as_file().metadata()?.len(), file))
        });
        let (bytes, file) = written.map_err(BackupError::unwritable(&to))?;
        match file.persist_noclobber(&to) {
            Ok(_) => Ok(bytes),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(BackupError::Exists(to)),
            Err(error) => Err(BackupError::unwritable(to)(error.error)),
        }
    }
}
