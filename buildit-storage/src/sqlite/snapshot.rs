//! A copy of a store as it is at one moment.

use std::path::Path;

use buildit::store::StoreError;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use super::SqliteStore;
use super::error::failed;
use super::store::{PATIENCE, check, make_private};

impl SqliteStore {
    /// Copies the store in this file to another file, which its owner alone can read, as it is at one moment. Whoever has
    /// the store open goes on meanwhile, writers too. Nothing in it is changed: what an earlier version wrote is copied as it
    /// is.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] when there is no store of ours in the file, and any [`StoreError`] when it cannot be read, or
    /// the other file has something in it or cannot be written: then what is there is no copy.
    ///
    /// # Cancel safety
    ///
    /// What was written when the future is dropped is no copy.
    pub async fn snapshot(file: &Path, to: &Path) -> Result<(), StoreError> {
        let path = to.to_str().ok_or_else(|| StoreError::backend("sqlite", "the name of a copy has to be UTF-8"))?;
        let options = SqliteConnectOptions::new().filename(file).busy_timeout(PATIENCE);
        if check(&options).await? == 0 {
            return Err(StoreError::Corrupt("there is nothing in it".into()));
        }
        make_private(to).map_err(|error| StoreError::backend("sqlite", error))?;
        let mut connection = SqliteConnection::connect_with(&options).await.map_err(failed)?;
        // A reader like any other, for as long as it takes.
        sqlx::query("VACUUM INTO ?").bind(path).execute(&mut connection).await.map_err(failed)?;
        connection.close().await.map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use buildit::pipeline::{PipelineBuilder, RunContext};
    use buildit::store::{NewRun, RunStore};
    use jiff::Timestamp;

    use super::*;

    async fn create(store: &SqliteStore) -> NewRun {
        let new = NewRun::new(PipelineBuilder::new("shop").build(), RunContext::manual(), Timestamp::UNIX_EPOCH);
        store.create_run(new.clone()).await.unwrap();
        new
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_copy_is_of_one_moment_and_writers_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let (file, to) = (folder.path().join("db"), folder.path().join("copy"));
        let store = SqliteStore::open(&file).await.unwrap();
        let first = create(&store).await;
        let writing = tokio::spawn({
            let store = store.clone();
            async move {
                for _ in 0..50 {
                    create(&store).await;
                }
            }
        });
        SqliteStore::snapshot(&file, &to).await.unwrap();
        writing.await.unwrap();
        let copy = SqliteStore::open(&to).await.unwrap();
        assert_eq!(copy.run(first.id).await.unwrap().run, first);
        let (copied, all) = (copy.open_runs().await.unwrap(), store.open_runs().await.unwrap());
        assert_eq!((all.len(), &all[..copied.len()]), (51, &copied[..]), "those of before, without a gap");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(to.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(SqliteStore::snapshot(&file, &to).await.is_err(), "there is something already");
        assert_eq!(copy.run(first.id).await.unwrap().run, first);
    }

    #[tokio::test]
    async fn what_is_no_store_is_not_copied() {
        let folder = tempfile::tempdir().unwrap();
        let (file, to) = (folder.path().join("db"), folder.path().join("copy"));
        assert!(SqliteStore::snapshot(&file, &to).await.is_err());
        assert!(!file.exists() && !to.exists(), "nothing is made");
        std::fs::write(&file, "").unwrap();
        assert!(matches!(SqliteStore::snapshot(&file, &to).await, Err(StoreError::Corrupt(_))));
        std::fs::write(
            &file,
            "some text that is long enough to be looked at as the head of a database file, is it not?",
        )
        .unwrap();
        assert!(matches!(SqliteStore::snapshot(&file, &to).await, Err(StoreError::Corrupt(_))));
        assert!(!to.exists());
    }
}
