//! What a folder does in one step where object stores need several: each step of a folder is a change of threads.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use buildit::artifact::BlobError;
use buildit::id::Digest;
use bytes::Bytes;

use super::ObjectBlobs;

/// Marks a blob as used now and looks for it. None when it has no mark yet, or is not where it should be.
pub(super) async fn hold(folder: &Path, digest: &Digest) -> Result<Option<()>, BlobError> {
    let (mark, blob) = (folder.join(ObjectBlobs::mark(digest).as_ref()), path(folder, digest));
    let hold = move || {
        File::options().write(true).open(mark)?.set_modified(SystemTime::now())?;
        std::fs::metadata(blob).map(drop)
    };
    aside(hold).await
}

/// The whole content of a blob with at most so many bytes. None when it has more, or is not where it should be.
pub(super) async fn read(folder: &Path, digest: &Digest, most: u64) -> Result<Option<Bytes>, BlobError> {
    let blob = path(folder, digest);
    let read = move || {
        let mut content = Vec::new();
        File::open(blob)?.take(most + 1).read_to_end(&mut content)?;
        Ok(content)
    };
    let content = aside(read).await?;
    Ok(content.filter(|content| content.len() as u64 <= most).map(Bytes::from))
}

fn path(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join(ObjectBlobs::path(digest).as_ref())
}

/// Runs it where it may block; none for what is not there.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<Option<T>, BlobError> {
    match tokio::task::spawn_blocking(work).await.map_err(io::Error::other)? {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
