//! Collectors beside writers: what was put stays as long as it has to.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use buildit::artifact::{BlobStore, blob_of};
use buildit::id::Digest;
use buildit::store::{Collected, ReferenceStore, StoreError, collect_garbage};
use buildit_storage::ObjectBlobs;
use futures_util::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use object_store::memory::InMemory;

/// What is referred to, by a set.
#[derive(Debug, Default)]
struct Set(Mutex<HashSet<Digest>>);

#[async_trait]
impl ReferenceStore for Set {
    async fn referred(&self, digests: &[Digest]) -> Result<HashSet<Digest>, StoreError> {
        Ok(self.0.lock().unwrap().intersection(&digests.iter().copied().collect()).copied().collect())
    }
}

/// The blobs here were put an hour ago, as far as a collector is concerned that is given this time.
fn an_hour_after(time: Timestamp) -> Timestamp {
    time.saturating_add(SignedDuration::from_hours(1)).unwrap()
}

fn size_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let size = |entry: std::fs::DirEntry| match entry.file_type().unwrap().is_dir() {
        true => size_of(&entry.path()),
        false => entry.metadata().unwrap().len(),
    };
    entries.map(size).sum()
}

#[tokio::test]
async fn what_is_left_on_the_disk_is_what_is_referred_to() {
    let folder = tempfile::tempdir().unwrap();
    let store = Set::default();
    let blobs = ObjectBlobs::open(folder.path()).unwrap();
    let mut needed = 0;
    for number in 0..300_usize {
        let (digest, bytes) = blobs.put(blob_of(number.to_string().repeat(100))).await.unwrap();
        if number % 3 == 0 {
            store.0.lock().unwrap().insert(digest);
            needed += bytes;
        }
    }
    let lately = collect_garbage(&store, &blobs, Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!((lately.kept.blobs, lately.removed.blobs), (300, 0), "all of them are too young");
    let collected = collect_garbage(&store, &blobs, an_hour_after(Timestamp::now())).await.unwrap();
    assert_eq!((collected.kept.blobs, collected.removed.blobs), (100, 200));
    assert_eq!((collected.kept.bytes, size_of(folder.path())), (needed, needed));
}

/// What is referred to and how often, and since when somebody puts what is not referred to yet.
#[derive(Debug, Default)]
struct Shop {
    referred: Mutex<HashMap<Digest, usize>>,
    putting: Mutex<BTreeMap<(Timestamp, usize), ()>>,
}

#[async_trait]
impl ReferenceStore for Shop {
    async fn referred(&self, digests: &[Digest]) -> Result<HashSet<Digest>, StoreError> {
        let referred = self.referred.lock().unwrap();
        Ok(digests.iter().copied().filter(|digest| referred.contains_key(digest)).collect())
    }
}

impl Shop {
    /// As far back as it must be: before the first put of what is not referred to yet. File systems note the time of
    /// their last tick.
    fn before(&self) -> Timestamp {
        let now = Timestamp::now();
        let first = self.putting.lock().unwrap().first_key_value().map_or(now, |((begun, _), ())| *begun);
        first.min(now) - SignedDuration::from_millis(50)
    }

    /// Puts a blob, refers to it, reads it, and refers to it no more.
    async fn job(&self, blobs: &ObjectBlobs, writer: usize, content: &str) {
        let begun = (Timestamp::now(), writer);
        self.putting.lock().unwrap().insert(begun, ());
        let (digest, _) = blobs.put(blob_of(content.to_owned())).await.unwrap();
        tokio::task::yield_now().await;
        *self.referred.lock().unwrap().entry(digest).or_default() += 1;
        self.putting.lock().unwrap().remove(&begun);
        for _ in 0..3 {
            let read = blobs.open(&digest).await.expect("what is referred to is there");
            let read: Vec<_> = read.try_collect().await.unwrap();
            assert_eq!(read.concat(), content.as_bytes());
        }
        let mut referred = self.referred.lock().unwrap();
        let uses = referred.get_mut(&digest).unwrap();
        *uses -= 1;
        if *uses == 0 {
            referred.remove(&digest);
        }
    }
}

/// Numbers that look random.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Writers put the same contents again and again while collectors remove what they may, and are broken off at any
/// point half of the time.
async fn storm(writers: Vec<ObjectBlobs>, collectors: Vec<ObjectBlobs>) {
    let shop = Arc::new(Shop::default());
    let removed = Arc::new(AtomicU64::new(0));
    let collectors: Vec<_> = (0..)
        .zip(collectors)
        .map(|(seed, blobs)| {
            let (shop, removed) = (Arc::clone(&shop), Arc::clone(&removed));
            let mut numbers = Numbers(seed);
            tokio::spawn(async move {
                loop {
                    let collection = collect_garbage(&*shop, &blobs, shop.before());
                    let patience = Duration::from_micros(numbers.below(60_000));
                    let collected = match numbers.below(2) {
                        0 => collection.await,
                        _ => tokio::time::timeout(patience, collection).await.unwrap_or(Ok(Collected::default())),
                    };
                    removed.fetch_add(collected.unwrap().removed.blobs, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let writers: Vec<_> = (0..)
        .zip(writers)
        .map(|(writer, blobs)| {
            let (shop, removed) = (Arc::clone(&shop), Arc::clone(&removed));
            let mut numbers = Numbers(100 + writer as u64);
            tokio::spawn(async move {
                let until = Instant::now() + Duration::from_secs(120);
                while removed.load(Ordering::Relaxed) < 200 && Instant::now() < until {
                    shop.job(&blobs, writer, &numbers.below(64).to_string()).await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    collectors.iter().for_each(|collector| collector.abort());
    assert!(removed.load(Ordering::Relaxed) >= 100, "the collectors have hardly removed anything");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn collectors_take_nothing_from_writers_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let open = || ObjectBlobs::open(folder.path()).unwrap();
    storm((0..3).map(|_| open()).collect(), (0..2).map(|_| open()).collect()).await;
}

/// A move is a copy and a removal here, as in a bucket.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_collector_takes_nothing_from_writers_in_a_bucket() {
    let objects = Arc::new(InMemory::new());
    let open = || ObjectBlobs::new(objects.clone());
    storm((0..3).map(|_| open()).collect(), vec![open()]).await;
}
