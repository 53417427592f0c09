//! Clauses about blobs and caches.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::Clause;
use super::clause::{Broken, clauses, ensure, ensure_eq, ensure_refused};
use crate::artifact::{BlobError, BlobStore, CacheHit, CacheQuota, CacheStore, EvictCaches, Evicted, blob_of};
use crate::id::Digest;

pub(super) fn blob_clauses() -> Vec<Clause<dyn BlobStore>> {
    clauses![
        a_blob_has_the_address_of_its_bytes,
        a_blob_is_read_as_it_was_written,
        a_part_of_a_blob_is_read,
        a_blob_can_be_stored_twice,
        a_blob_that_is_not_there_is_missing,
        a_blob_that_breaks_off_is_not_kept,
        a_local_path_holds_the_bytes,
    ]
}

pub(super) fn cache_clauses() -> Vec<Clause<dyn CacheStore>> {
    clauses![
        a_cache_is_found_by_its_key,
        the_newest_cache_with_the_first_beginning_is_found,
        a_cache_of_one_key_stays,
        caches_of_other_scopes_are_not_found,
    ]
}

pub(super) fn eviction_clauses() -> Vec<Clause<dyn EvictCaches>> {
    clauses![
        caches_within_the_quota_stay,
        the_least_recently_used_caches_go,
        each_scope_has_its_quota,
        the_quota_of_all_counts_scopes_together,
    ]
}

/// More than a buffer's worth, and not the same all over.
fn large() -> Bytes {
    (0..700_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<u8>>().into()
}

async fn read(store: &Arc<dyn BlobStore>, digest: &Digest) -> Result<Vec<u8>, BlobError> {
    let mut content = store.open(digest).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = content.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

async fn a_blob_has_the_address_of_its_bytes(store: Arc<dyn BlobStore>) -> Result<(), Broken> {
    for bytes in [Bytes::new(), Bytes::from_static(b"bytes"), large()] {
        let (digest, length) = store.put(blob_of(bytes.clone())).await?;
        ensure_eq!((digest, length), (Digest::of(&bytes), bytes.len() as u64), "address and length");
    }
    Ok(())
}

async fn a_blob_is_read_as_it_was_written(store: Arc<dyn BlobStore>) -> Result<(), Broken> {
    for bytes in [Bytes::new(), large()] {
        let pieces: Vec<_> = bytes.chunks(100_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let (digest, _) = store.put(Box::pin(stream::iter(pieces))).await?;
        ensure!(store.contains(&digest).await?, "the blob is not there");
        ensure!(read(&store, &digest).await? == bytes, "the bytes are others");
    }
    Ok(())
}

async fn a_part_of_a_blob_is_read(store: Arc<dyn BlobStore>) -> Result<(), Broken> {
    let bytes = large();
    let (digest, length) = store.put(blob_of(bytes.clone())).await?;
    let at = |place: u64| usize::try_from(place.min(length)).unwrap_or(usize::MAX);
    for range in
        [0..length, 0..1, 17..300_017, length - 1..length, 5..5, length - 9..length + 9, length + 1..length + 2]
    {
        let part = store.read_range(&digest, range.clone()).await?;
        ensure!(part == bytes[at(range.start)..at(range.end)], "other bytes, {} of them, for {range:?}", part.len());
    }
    let missing = store.read_range(&Digest::of(b"nothing"), 0..5).await;
    ensure_refused!(missing, BlobError::Missing(_), "reading a part of a blob that is not there");
    Ok(())
}

async fn a_blob_can_be_stored_twice(store: Arc<dyn BlobStore>) -> Result<(), Broken> {
    let first = store.put(blob_of("bytes")).await?;
    let second = store.put(blob_of("bytes")).await?;
    ensure_eq!(first, second, "the second time");
    ensure_eq!(read(&store, &first.0).await?, b"bytes", "the bytes");
    Ok(())
}

async fn a_blob_that_is_not_there_is_missing(store: Arc<dyn BlobStore>) -> Result<(), Broken> {
    let digest = Digest::of(b"nothing");
    ensure!(!store.contains(&digest).await?, "a blob is there that was never stored");
    ensure_refused!(store.open(&digest).await.map(drop), BlobError::Missing(_), "opening it");
    ensure_eq!(store.local_path(&digest), None, "its file");
    Ok(())
}

async fn a_blob_that_breaks_off_is_not_kept(store: Arc<dyn BlobStore>) -> Result<(), Broken> {
    let broken = stream::iter([Ok(Bytes::from_static(b"half")), Err(BlobError::Io(std::io::Error::other("gone")))]);
    let kept = store.put(Box::pin(broken)).await;
    ensure!(kept.is_err(), "the error of the stream is lost: {kept:?}");
    ensure!(!store.contains(&Digest::of(b"half")).await?, "half a blob is there");
    Ok(())
}

async fn a_local_path_holds_the_bytes(store: Arc<dyn BlobStore>) -> Result<(), Broken> {
    let (digest, _) = store.put(blob_of("bytes")).await?;
    if let Some(path) = store.local_path(&digest) {
        let bytes = std::fs::read(&path).map_err(|error| Broken(format!("{}: {error}", path.display())))?;
        ensure_eq!(bytes, b"bytes", "the bytes of the file");
    }
    Ok(())
}

fn hit(key: &str, archive: &str, exact: bool) -> Option<CacheHit> {
    Some(CacheHit { key: key.to_owned(), archive: Digest::of(archive.as_bytes()), exact })
}

async fn save(store: &Arc<dyn CacheStore>, scope: &str, key: &str, archive: &str) -> Result<(), Broken> {
    Ok(store.save_cache(scope, key, Digest::of(archive.as_bytes()), archive.len() as u64).await?)
}

async fn a_cache_is_found_by_its_key(store: Arc<dyn CacheStore>) -> Result<(), Broken> {
    ensure_eq!(store.find_cache("s", "key", &["k".into()]).await?, None, "what is found in an empty store");
    save(&store, "s", "key-1", "one").await?;
    save(&store, "s", "key-12", "twelve").await?;
    ensure_eq!(store.find_cache("s", "key-1", &[]).await?, hit("key-1", "one", true), "the archive of a key");
    ensure_eq!(store.find_cache("s", "key", &[]).await?, None, "what is found for the beginning of a key");
    Ok(())
}

async fn the_newest_cache_with_the_first_beginning_is_found(store: Arc<dyn CacheStore>) -> Result<(), Broken> {
    for (key, archive) in [("a-2", "older"), ("a-1", "newer"), ("b-1", "other"), ("%-1", "percent")] {
        save(&store, "s", key, archive).await?;
    }
    let found = async |restore: &[&str]| {
        let restore: Vec<String> = restore.iter().map(|&key| key.to_owned()).collect();
        Ok::<_, Broken>(store.find_cache("s", "a-9", &restore).await?)
    };
    ensure_eq!(found(&["a-", "b-"]).await?, hit("a-1", "newer", false), "the newest of the first beginning");
    ensure_eq!(found(&["c-", "b-", "a-"]).await?, hit("b-1", "other", false), "the first beginning that has one");
    ensure_eq!(found(&["%"]).await?, hit("%-1", "percent", false), "a beginning that is a pattern elsewhere");
    ensure_eq!(found(&["_"]).await?, None, "another one");
    Ok(())
}

async fn a_cache_of_one_key_stays(store: Arc<dyn CacheStore>) -> Result<(), Broken> {
    save(&store, "s", "key", "first").await?;
    save(&store, "s", "key", "second").await?;
    ensure_eq!(store.find_cache("s", "key", &[]).await?, hit("key", "first", true), "what is under the key");
    Ok(())
}

async fn caches_of_other_scopes_are_not_found(store: Arc<dyn CacheStore>) -> Result<(), Broken> {
    save(&store, "s", "key", "archive").await?;
    ensure_eq!(store.find_cache("t", "key", &["k".into(), String::new()]).await?, None, "what another scope finds");
    Ok(())
}

/// Keeps caches of ten bytes each under these keys, in this order.
async fn save_tens(store: &Arc<dyn EvictCaches>, keys: &[(&str, &str)]) -> Result<(), Broken> {
    for (scope, key) in keys {
        store.save_cache(scope, key, Digest::of(key.as_bytes()), 10).await?;
    }
    Ok(())
}

async fn ensure_left(store: &Arc<dyn EvictCaches>, keys: &[(&str, &str, bool)]) -> Result<(), Broken> {
    for (scope, key, is_left) in keys {
        let found = store.find_cache(scope, key, &[]).await?;
        ensure_eq!(found.is_some(), *is_left, format!("whether `{key}` of `{scope}` is left"));
    }
    Ok(())
}

fn quota(scope: impl Into<Option<u64>>, total: impl Into<Option<u64>>) -> CacheQuota {
    CacheQuota { scope_bytes: scope.into(), total_bytes: total.into() }
}

async fn caches_within_the_quota_stay(store: Arc<dyn EvictCaches>) -> Result<(), Broken> {
    save_tens(&store, &[("s", "a"), ("s", "b"), ("t", "c")]).await?;
    for quota in [quota(None, None), quota(20, 30), quota(u64::MAX, u64::MAX)] {
        ensure_eq!(store.evict_caches(quota).await?, Evicted::default(), "what is evicted");
    }
    ensure_left(&store, &[("s", "a", true), ("s", "b", true), ("t", "c", true)]).await
}

async fn the_least_recently_used_caches_go(store: Arc<dyn EvictCaches>) -> Result<(), Broken> {
    save_tens(&store, &[("s", "a"), ("s", "b"), ("s", "c"), ("s", "d")]).await?;
    // The oldest is found, and the next one saved again.
    ensure!(store.find_cache("s", "x", &["a".into()]).await?.is_some(), "a cache is not found");
    save_tens(&store, &[("s", "b")]).await?;
    ensure_eq!(store.evict_caches(quota(29, None)).await?, Evicted { caches: 2, bytes: 20 }, "what is evicted");
    ensure_left(&store, &[("s", "a", true), ("s", "b", true), ("s", "c", false), ("s", "d", false)]).await?;
    ensure_eq!(store.evict_caches(quota(0, None)).await?, Evicted { caches: 2, bytes: 20 }, "what no bytes leave");
    ensure_left(&store, &[("s", "a", false), ("s", "b", false)]).await
}

async fn each_scope_has_its_quota(store: Arc<dyn EvictCaches>) -> Result<(), Broken> {
    save_tens(&store, &[("s", "a"), ("t", "a"), ("t", "b"), ("t", "c")]).await?;
    ensure_eq!(store.evict_caches(quota(20, None)).await?, Evicted { caches: 1, bytes: 10 }, "what is evicted");
    ensure_left(&store, &[("s", "a", true), ("t", "a", false), ("t", "b", true), ("t", "c", true)]).await
}

async fn the_quota_of_all_counts_scopes_together(store: Arc<dyn EvictCaches>) -> Result<(), Broken> {
    save_tens(&store, &[("s", "a"), ("t", "b"), ("s", "c"), ("t", "d")]).await?;
    ensure_eq!(store.evict_caches(quota(None, 25)).await?, Evicted { caches: 2, bytes: 20 }, "what is evicted");
    ensure_left(&store, &[("s", "a", false), ("t", "b", false), ("s", "c", true), ("t", "d", true)]).await
}
