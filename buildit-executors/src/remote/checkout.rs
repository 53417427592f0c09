//! A commit as the source of a run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use buildit::artifact::BlobStore;
use buildit::id::Digest;
use buildit::pipeline::CheckoutSpec;
use indexmap::IndexMap;

use super::git::{Apart, Reach, known_hosts, run};
use super::mirror::{LOCALLY, WORK};
use super::read::checked;
use super::{Mirror, Remote, RemoteAddress, RemoteError};
use crate::source::Source;

/// How deep submodules may be within each other, and how many there may be at all.
const DEEPEST: usize = 8;
const MOST_SUBMODULES: usize = 500;

/// What is wanted of a commit.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its full id.
    pub commit: String,
    /// The branch that it is of, for `git` in the source to say.
    pub branch: Option<String>,
    /// The tag that it is of.
    pub tag: Option<String>,
    /// How much of it.
    pub checkout: CheckoutSpec,
    /// What `${checksum.GLOB}` is asked of it, by glob.
    pub checksums: Vec<String>,
    /// Who has written it.
    pub trust: Trust,
}

/// Whether a commit may make use of what lets us into its repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It was written by somebody who may write to the repository: its submodules at the same host, and its large files,
    /// are fetched with the repository's credential.
    Writer,
    /// Anybody may have written it: what it refers to is fetched as anybody could.
    Anybody,
}

/// A commit in the blob store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The archive of its files and its `.git`.
    pub source: Digest,
    /// The digests that were asked for, by glob.
    pub checksums: IndexMap<String, String>,
}

impl Mirror {
    /// Puts a commit, which the copy has, with its `.git` into the blob store. That of the same commit that was made before
    /// is taken again, as long as it is there.
    ///
    /// # Errors
    ///
    /// [`RemoteError`] when it cannot be checked out, read or stored.
    ///
    /// # Cancel safety
    ///
    /// What was checked out is removed with it, or by the next one.
    pub async fn snapshot(
        &self,
        remote: &Remote,
        wanted: &Wanted,
        blobs: &Arc<dyn BlobStore>,
    ) -> Result<Snapshot, RemoteError> {
        let known = self.folder().join("snapshots").join(key(remote, wanted));
        let _held = self.hold().await?;
        let before = fs::read_to_string(&known).ok().and_then(|text| text.trim().parse::<Digest>().ok());
        let before = match before {
            Some(source) if blobs.hold(&source).await.unwrap_or(false) => Some(source),
            _ => None,
        };
        if let Some(source) = before
            && wanted.checksums.is_empty()
        {
            return Ok(Snapshot { source, checksums: IndexMap::new() });
        }
        let work = self.work()?;
        self.check_out(remote, wanted, work.path()).await?;
        let source = Source::open_with(work.path(), &[], Arc::new(Apart { patience: LOCALLY })).await?;
        let checksums = source.checksums(wanted.checksums.clone()).await?;
        if let Some(source) = before {
            return Ok(Snapshot { source, checksums });
        }
        let (stored, _) = source.store(blobs, &wanted.checkout).await?;
        let note = || {
            fs::create_dir_all(self.folder().join("snapshots"))?;
            let mut file = tempfile::NamedTempFile::new_in(self.folder())?;
            io::Write::write_all(&mut file, stored.to_hex().as_bytes())?;
            file.persist(&known).map(drop).map_err(|error| error.error)
        };
        if let Err(error) = note() {
            tracing::debug!(%error, "a snapshot is not remembered");
        }
        Ok(Snapshot { source: stored, checksums })
    }

    /// A folder to work in, which is removed with the answer.
    fn work(&self) -> Result<tempfile::TempDir, RemoteError> {
        let below = self.folder().join(WORK);
        fs::create_dir_all(&below)
            .and_then(|()| tempfile::Builder::new().prefix("checkout-").tempdir_in(below))
            .map_err(|error| self.failed(error))
    }

    async fn check_out(&self, remote: &Remote, wanted: &Wanted, work: &Path) -> Result<(), RemoteError> {
        let commit = checked(&wanted.commit)?;
        if !self.has(commit).await {
            return Err(RemoteError::NoRevision(format!("commit `{commit}` with its files")));
        }
        let git = async |arguments: &[&str]| run(work, &Reach::default(), LOCALLY, arguments).await;
        git(&["init", "--quiet", "--template=", "."]).await?;
        git(&["config", "remote.origin.url", remote.address().as_str()]).await?;
        git(&["config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"]).await?;
        let from = self.repository();
        let from = from.to_string_lossy();
        let depth = wanted.checkout.depth.map(|depth| format!("--depth={depth}"));
        let mut fetch = vec!["-c", "fetch.unpackLimit=1", "fetch", "--quiet", "--no-write-fetch-head"];
        match &depth {
            Some(depth) => fetch.extend(["--no-tags", depth.as_str()]),
            None => fetch.push("--no-tags"),
        }
        let reference = match (&wanted.branch, &wanted.tag) {
            (Some(branch), _) => format!("refs/remotes/origin/{branch}"),
            (None, Some(tag)) => format!("refs/tags/{tag}"),
            (None, None) => "refs/buildit/commit".to_owned(),
        };
        git(&["check-ref-format", &reference]).await?;
        let what = format!("+{commit}:{reference}");
        fetch.extend(["--", &*from, &what]);
        run(work, &Reach::folder(), LOCALLY, &fetch).await?;
        match &wanted.branch {
            Some(branch) => {
                let local = format!("refs/heads/{branch}");
                git(&["update-ref", &local, commit]).await?;
                git(&["symbolic-ref", "HEAD", &local]).await?;
            }
            None => git(&["update-ref", "--no-deref", "HEAD", commit]).await.map(drop)?,
        }
        git(&["read-tree", commit]).await?;
        git(&["checkout-index", "--all", "--force", "--quiet"]).await?;
        let remote = match wanted.trust {
            Trust::Writer => remote.clone(),
            Trust::Anybody => remote.as_anybody(),
        };
        if wanted.checkout.submodules {
            self.submodules(&remote, work, depth.as_deref()).await?;
        }
        if wanted.checkout.lfs {
            self.large_files(&remote, work).await?;
        }
        Ok(())
    }

    /// Fetches submodules level by level, so that the address of each is looked at before it is asked.
    async fn submodules(&self, remote: &Remote, work: &Path, depth: Option<&str>) -> Result<(), RemoteError> {
        let mut open = vec![(work.to_owned(), 0)];
        let mut count = 0;
        while let Some((folder, level)) = open.pop() {
            if !folder.join(".gitmodules").symlink_metadata().is_ok_and(|found| found.is_file()) {
                continue;
            }
            let git = async |arguments: &[&str]| run(&folder, &Reach::default(), LOCALLY, arguments).await;
            git(&["submodule", "--quiet", "init"]).await?;
            let addresses = match git(&["config", "-z", "--get-regexp", r"^submodule\..*\.url$"]).await {
                Ok(said) => addresses(&said, remote)?,
                // None is there.
                Err(RemoteError::Git(_)) => continue,
                Err(error) => return Err(error),
            };
            count += addresses.len();
            if level >= DEEPEST || count > MOST_SUBMODULES {
                return Err(RemoteError::Git("its submodules are too many, or too deep within each other".into()));
            }
            let others: Vec<&RemoteAddress> = addresses.iter().collect();
            let reach = remote.reach_others(&others, &known_hosts(self.folder())).await?;
            let mut update = vec!["submodule", "--quiet", "update", "--checkout"];
            update.extend(depth);
            run(&folder, &reach, remote.patience(), &update).await?;
            let listed = git(&["ls-files", "-z", "--stage"]).await?;
            open.extend(links(&listed).map(|inner| (folder.join(inner), level + 1)));
        }
        Ok(())
    }

    async fn large_files(&self, remote: &Remote, work: &Path) -> Result<(), RemoteError> {
        let reach = remote.reach(&known_hosts(self.folder())).await?;
        // Where they are is not for the commit to say: it may have been written by anybody.
        let place = format!("lfs.url={}", remote.address().large_files());
        // Without its filters it leaves the files as they are. They are for this call alone: a job that has no `git-lfs` would
        // be refused by whatever calls them.
        let filters = [
            "filter.lfs.clean=git-lfs clean -- %f",
            "filter.lfs.smudge=git-lfs smudge -- %f",
            "filter.lfs.process=git-lfs filter-process",
            "filter.lfs.required=true",
        ];
        let settings = filters.into_iter().chain([place.as_str()]).flat_map(|setting| ["-c", setting]);
        let pull: Vec<&str> = settings.chain(["lfs", "pull"]).collect();
        run(work, &reach, remote.patience(), &pull).await.map(drop).map_err(|error| match error {
            RemoteError::Git(said) if said.contains("not a git command") => {
                RemoteError::Git("files of Git LFS are wanted, and `git-lfs` is not there".into())
            }
            other => other,
        })
    }
}

/// What a snapshot is remembered by: everything that it depends on.
fn key(remote: &Remote, wanted: &Wanted) -> String {
    let Wanted { commit, branch, tag, checkout, trust, checksums: _ } = wanted;
    let all = format!("{}\n{commit}\n{branch:?}\n{tag:?}\n{checkout:?}\n{trust:?}", remote.address());
    Digest::of(all.as_bytes()).to_hex()
}

/// The addresses of submodules, as `git config -z` lists them, each of which may be asked.
fn addresses(said: &[u8], remote: &Remote) -> Result<Vec<RemoteAddress>, RemoteError> {
    let entries = said.split(|&byte| byte == 0).filter_map(|entry| std::str::from_utf8(entry).ok());
    let urls = entries.filter_map(|entry| entry.split_once('\n').map(|(_, url)| url));
    urls.map(|url| RemoteAddress::parse(url, remote.here())).collect()
}

/// The paths at which an index has other repositories.
fn links(listed: &[u8]) -> impl Iterator<Item = PathBuf> + '_ {
    let entries = listed.split(|&byte| byte == 0).filter_map(|entry| std::str::from_utf8(entry).ok());
    entries.filter_map(|entry| {
        let (about, path) = entry.split_once('\t')?;
        about.starts_with("160000 ").then(|| path.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_repositories_are_found_in_an_index() {
        let listed = b"100644 a 0\tx\x00160000 b 0\tlib/one two\x00";
        assert_eq!(links(listed).collect::<Vec<_>>(), [PathBuf::from("lib/one two")]);
    }
}
