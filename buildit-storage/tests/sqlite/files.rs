//! Files that are not what they should be: said clearly, and left as they are.

use std::fs;
use std::path::Path;

use buildit::artifact::{BlobStore, RemoveBlobs, blob_of};
use buildit::memory::MemoryStore;
use buildit::store::{RunFilter, RunStore, StoreError};
use buildit_storage::ObjectBlobs;
use buildit_storage::sqlite::SqliteStore;
use futures_util::StreamExt;
use jiff::Timestamp;
use sqlx::{Connection, SqliteConnection};

use crate::new_run;

async fn with_runs(file: &Path) {
    let store = SqliteStore::open(file).await.unwrap();
    for _ in 0..200 {
        store.create_run(new_run("sample")).await.unwrap();
    }
}

/// Opened by other means, as a newer version or a person would change it.
async fn change(file: &Path, statement: &'static str) {
    let mut database = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    sqlx::query(statement).execute(&mut database).await.unwrap();
    database.close().await.unwrap();
}

#[tokio::test]
async fn what_is_no_database_stays_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("letter.txt");
    let text = "Dear Ada, ".repeat(1000);
    fs::write(&file, &text).unwrap();
    let refused = SqliteStore::open(&file).await.unwrap_err();
    assert!(matches!(refused, StoreError::Corrupt(_)), "{refused:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
}

#[tokio::test]
async fn a_database_of_something_else_stays_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.db");
    fs::write(&file, "").unwrap();
    change(&file, "CREATE TABLE users (name TEXT)").await;
    let before = fs::read(&file).unwrap();
    let refused = SqliteStore::open(&file).await.unwrap_err();
    assert!(refused.to_string().contains("a database of something else"), "{refused}");
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs.db");
    with_runs(&file).await;
    change(
        &file,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9000, 'later', 1, x'00', 1)",
    )
    .await;
    let refused = SqliteStore::open(&file).await.unwrap_err();
    assert!(matches!(refused, StoreError::Newer { found: 9000, .. }), "{refused:?}");
}

#[tokio::test]
async fn a_file_that_was_cut_is_refused_or_read_as_far_as_it_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs.db");
    with_runs(&file).await;
    // All that is in the log beside it goes into the file.
    change(&file, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    let whole = fs::read(&file).unwrap();
    for part in [1, 2, 3] {
        let cut = folder.path().join(format!("cut-{part}.db"));
        fs::write(&cut, &whole[..whole.len() * part / 4]).unwrap();
        let store = match SqliteStore::open(&cut).await {
            Ok(store) => store,
            Err(refused) => {
                assert!(matches!(refused, StoreError::Corrupt(_)), "{refused:?}");
                continue;
            }
        };
        let read = store.runs(&RunFilter::default(), 1000).await;
        assert!(matches!(read, Err(StoreError::Corrupt(_))), "{part} of 4: {read:?}");
    }
}

#[tokio::test]
async fn a_place_where_nothing_can_be_made_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("file");
    fs::write(&blocked, "").unwrap();
    let refused = SqliteStore::open(blocked.join("runs.db")).await.unwrap_err();
    assert!(matches!(refused, StoreError::Backend { .. }), "{refused:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn it_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("below").join("runs.db");
    with_runs(&file).await;
    for entry in fs::read_dir(file.parent().unwrap()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert!(entry.path().is_dir() || mode & 0o077 == 0, "{}: {mode:o}", entry.path().display());
    }
}

/// On a small file system of its own, which only root can make.
#[tokio::test]
#[ignore = "needs root, to make a file system"]
async fn after_a_full_disk_the_same_store_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let small = folder.path().to_str().unwrap();
    let mount = |args: &[&str]| std::process::Command::new(args[0]).args(&args[1..]).status().unwrap().success();
    assert!(mount(&["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", small]), "only root mounts a file system");
    let store = SqliteStore::open(folder.path().join("runs.db")).await.unwrap();
    let mut kept = 0;
    let refused = loop {
        match store.create_run(new_run("sample")).await {
            Ok(_) => kept += 1,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, StoreError::Backend { .. }), "{refused:?}");
    let refused: Vec<_> = [store.create_run(new_run("sample")).await, store.create_run(new_run("sample")).await].into();
    assert!(refused.iter().all(|refused| matches!(refused, Err(StoreError::Backend { .. }))), "{refused:?}");
    assert_eq!(store.runs(&RunFilter::default(), 10_000).await.unwrap().len(), kept, "all that was confirmed is there");
    assert!(mount(&["mount", "-o", "remount,size=20m", small]));
    // Without a gap: what was refused has taken no number.
    assert_eq!(store.create_run(new_run("sample")).await.unwrap().number, kept as u64 + 1);
    drop(store);
    // Its writer closes the file in its own time.
    while !mount(&["umount", small]) {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// On a file system of its own, which only root can make.
#[tokio::test]
#[ignore = "needs root, to make a file system"]
async fn a_read_only_disk_is_said_to_be_one_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().to_str().unwrap();
    let mount = |args: &[&str]| std::process::Command::new(args[0]).args(&args[1..]).status().unwrap().success();
    assert!(mount(&["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", disk]), "only root mounts a file system");
    let file = folder.path().join("runs.db");
    with_runs(&file).await;
    change(&file, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    let blobs = ObjectBlobs::open(&folder.path().join("blobs")).unwrap();
    let (digest, _) = blobs.put(blob_of("bytes")).await.unwrap();
    let before = fs::read(&file).unwrap();
    // The writer closes the file in its own time.
    while !mount(&["mount", "-o", "remount,ro", disk]) {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let said = |error: &dyn std::error::Error| {
        let causes = std::iter::successors(Some(error), |error| error.source());
        causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    };
    let refused = SqliteStore::open(&file).await.unwrap_err();
    assert!(said(&refused).contains("Read-only file system"), "{}", said(&refused));
    let refused = blobs.put(blob_of("others")).await.unwrap_err();
    assert!(said(&refused).contains("Read-only file system"), "{}", said(&refused));
    assert!(blobs.remove_blob(&digest, Timestamp::MAX).await.is_err());
    assert_eq!(blobs.open(&digest).await.unwrap().count().await, 1, "it is read all the same");
    let refused = MemoryStore::journaled(folder.path().join("journal")).unwrap_err();
    assert!(said(&refused).contains("Read-only file system"), "{}", said(&refused));
    assert_eq!(fs::read(&file).unwrap(), before);
    assert!(mount(&["umount", disk]));
}
