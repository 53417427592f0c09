//! Many archives as one, as somebody downloads them.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use buildit::artifact::{BlobError, BlobStore, BlobStream};
use buildit::id::Digest;
use futures_util::stream;
use tokio::sync::mpsc;

use super::WorkspaceError;
use super::pack::{Packer, Times};
use super::read::Limits;
use super::refit::refit;
use super::stream::{PieceWriter, WAITING, load_archive};

/// One archive of all of these, each in the folder that stands with it, made while it is read: it is never whole in
/// memory or on a disk. The stream ends with an error when one of them is missing or damaged; when it is dropped, nothing
/// more is read.
#[must_use]
pub fn merge_archives(blobs: Arc<dyn BlobStore>, archives: Vec<(PathBuf, Digest)>) -> BlobStream {
    let (sender, mut receiver) = mpsc::channel(WAITING);
    let to = PieceWriter::new(sender.clone());
    tokio::spawn(async move {
        if let Err(error) = merge(&blobs, archives, to).await {
            // Whoever reads may have gone: then nobody is to be told.
            let _ = sender.send(Err(BlobError::Io(io::Error::other(error)))).await;
        }
    });
    Box::pin(stream::poll_fn(move |cx| receiver.poll_recv(cx)))
}

async fn merge(
    blobs: &Arc<dyn BlobStore>,
    archives: Vec<(PathBuf, Digest)>,
    to: PieceWriter,
) -> Result<(), WorkspaceError> {
    let mut packer = Packer::new(to, Times::Kept);
    for (folder, archive) in archives {
        packer = load_archive(blobs, &archive, move |archive| {
            refit(archive, Limits::strict(), &mut packer, |entry| Ok(Some(folder.join(&entry.path))))?;
            Ok(packer)
        })
        .await?;
    }
    let end = move || packer.finish().and_then(|mut to| to.flush().map_err(Into::into));
    tokio::task::spawn_blocking(end).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use buildit::memory::MemoryStore;
    use futures_util::StreamExt;

    use super::super::{Kind, read_archive, store_archive};
    use super::*;

    async fn archive(blobs: &Arc<dyn BlobStore>, files: &'static [(&'static str, &'static str)]) -> Digest {
        let stored = store_archive(blobs, move |to| {
            let mut packer = Packer::new(to, Times::Dropped);
            for (path, text) in files {
                packer.add_bytes(Path::new(path), 0o644, text.as_bytes())?;
            }
            Ok(((), packer.finish()?))
        });
        stored.await.unwrap().0
    }

    async fn read(mut merged: BlobStream) -> Result<Vec<u8>, BlobError> {
        let mut bytes = Vec::new();
        while let Some(piece) = merged.next().await {
            bytes.extend_from_slice(&piece?);
        }
        Ok(bytes)
    }

    #[tokio::test]
    async fn each_archive_has_its_folder() {
        let blobs: Arc<dyn BlobStore> = Arc::new(MemoryStore::new());
        let one = archive(&blobs, &[("a.txt", "one"), ("deep/b.txt", "two")]).await;
        let other = archive(&blobs, &[("a.txt", "three")]).await;
        let merged = merge_archives(blobs, vec![("build/bin".into(), one), ("test/out".into(), other)]);
        let bytes = read(merged).await.unwrap();
        let mut found = Vec::new();
        read_archive(&bytes[..], Limits::strict(), |entry, content| {
            let mut text = String::new();
            content.read_to_string(&mut text)?;
            if matches!(entry.kind, Kind::File(_)) {
                found.push((entry.path.display().to_string(), text));
            }
            Ok(())
        })
        .unwrap();
        let expected = [("build/bin/a.txt", "one"), ("build/bin/deep/b.txt", "two"), ("test/out/a.txt", "three")];
        assert!(found.iter().map(|(path, text)| (path.as_str(), text.as_str())).eq(expected), "{found:?}");
    }

    #[tokio::test]
    async fn what_is_missing_ends_it_in_an_error() {
        let blobs: Arc<dyn BlobStore> = Arc::new(MemoryStore::new());
        let there = archive(&blobs, &[("a", "x")]).await;
        let gone = Digest::of(b"gone");
        assert!(read(merge_archives(blobs, vec![("a".into(), there), ("b".into(), gone)])).await.is_err());
    }
}
