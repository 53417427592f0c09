//! A copy of a repository that is elsewhere.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tempfile::NamedTempFile;
use tokio::sync::{Mutex, MutexGuard};

use super::git::{Reach, known_hosts, of_host, of_hosts, run};
use super::{Remote, RemoteAddress, RemoteError};

/// How often it is looked whether a copy has become too large while it is fetched.
const LOOK: Duration = Duration::from_millis(500);

/// What a copy is told of itself once: any commit of it may be asked for by its id.
const SETTINGS: [(&str, &str); 2] = [("uploadpack.allowAnySHA1InWant", "true"), ("gc.autoDetach", "false")];

/// A bare copy of a repository, in a folder with all that belongs to it. Of those who fetch at once one does, and the
/// others take what it has brought; programs that share the folder wait for each other.
#[derive(Debug)]
pub struct Mirror {
    folder: PathBuf,
    most_bytes: u64,
    turn: Mutex<()>,
    /// The fetch that began last, and the last one that went well.
    pub(super) begun: AtomicU64,
    done: AtomicU64,
}

/// What a repository says of itself before it is fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Its default branch, if it has one.
    pub branch: Option<String>,
    /// The commit that it is at; none of an empty repository.
    pub commit: Option<String>,
    /// The keys that its host has shown, a line for each as in `known_hosts` (`sshd(8)`), where it was
    /// [asked anew](Mirror::ask_anew) by `ssh`.
    pub host_keys: String,
}

/// The folder is ours as long as this is there.
pub(super) struct Held<'a> {
    _turn: MutexGuard<'a, ()>,
    _file: fs::File,
}

impl Mirror {
    /// A copy in this folder, which the first fetch makes. It is not to be larger than so many bytes.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, most_bytes: u64) -> Self {
        let (begun, done) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { folder: folder.into(), most_bytes, turn: Mutex::default(), begun, done }
    }

    /// Asks the repository itself, whether or not there is a copy: what it says shows that it is there and lets us in.
    ///
    /// # Errors
    ///
    /// [`RemoteError`] when it cannot be reached or refuses.
    pub async fn ask(&self, remote: &Remote) -> Result<Head, RemoteError> {
        self.make_folder()?;
        self.ask_known(remote, &known_hosts(&self.folder)).await
    }

    /// Asks as [`ask`](Self::ask) does, whatever keys its hosts have shown before: when that goes well, those which they show
    /// now are the ones that they are known by.
    ///
    /// # Errors
    ///
    /// [`RemoteError`] when it cannot be reached or refuses; then its hosts are known as before.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves its hosts known as before.
    pub async fn ask_anew(&self, remote: &Remote) -> Result<Head, RemoteError> {
        self.make_folder()?;
        let known = known_hosts(&self.folder);
        let kept = || {
            let anew = NamedTempFile::new_in(&self.folder)?;
            let before = match fs::read_to_string(&known) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
                read => read?,
            };
            Ok((anew, before))
        };
        let (anew, before) = kept().map_err(|error| self.failed(error))?;
        let head = self.ask_known(remote, anew.path()).await?;
        let keep = || {
            let shown = fs::read_to_string(anew.path())?;
            fs::write(anew.path(), of_hosts(&before, &shown))?;
            anew.persist(&known).map_err(|error| error.error)?;
            Ok(shown)
        };
        Ok(Head { host_keys: keep().map_err(|error| self.failed(error))?, ..head })
    }

    /// The keys by which the host of a repository is known here, a line for each as in `known_hosts` (`sshd(8)`); nothing where
    /// it was not talked to by `ssh`.
    #[must_use]
    pub fn host_keys(&self, address: &RemoteAddress) -> String {
        let noted = fs::read_to_string(known_hosts(&self.folder)).unwrap_or_default();
        address.host().map(|host| of_host(&noted, host)).unwrap_or_default()
    }

    /// Asks it, where the keys of hosts are remembered in this file.
    async fn ask_known(&self, remote: &Remote, known: &Path) -> Result<Head, RemoteError> {
        let reach = remote.reach(known).await?;
        let question = ["ls-remote", "--symref", "--", remote.address().as_str(), "HEAD"];
        let said = run(&self.folder, &reach, remote.patience(), &question).await?;
        let said = String::from_utf8_lossy(&said);
        let mut head = Head::default();
        for what in said.lines().filter_map(|line| line.strip_suffix("\tHEAD")) {
            match what.strip_prefix("ref: refs/heads/") {
                Some(branch) => head.branch = Some(branch.to_owned()),
                None => head.commit = Some(what.to_owned()),
            }
        }
        Ok(head)
    }

    /// Brings all branches and tags up to date, and its default branch; those that are gone there are gone here. A copy
    /// that is broken or half made is made anew. A fetch of another one that begins meanwhile does as well.
    ///
    /// # Errors
    ///
    /// [`RemoteError`] when it cannot be fetched or kept; what was there stays.
    ///
    /// # Cancel safety
    ///
    /// `git` is ended with it; the next fetch goes on or begins anew.
    pub async fn fetch(&self, remote: &Remote) -> Result<(), RemoteError> {
        let asked = self.begun.load(Ordering::SeqCst);
        let _held = self.hold().await?;
        if self.done.load(Ordering::SeqCst) > asked {
            return Ok(());
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let head = self.ask(remote).await?;
        let every = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
        if !self.is_there() {
            self.make().await?;
        }
        match self.bring(remote, &every).await {
            // A connection that breaks off leaves a copy that is whole.
            Err(RemoteError::Git(said)) if !self.is_whole().await => {
                tracing::warn!(said, folder = %self.folder.display(), "the copy of a repository is made anew");
                self.make().await?;
                self.bring(remote, &every).await?;
            }
            brought => brought?,
        }
        if let Some(branch) = &head.branch {
            self.local(&["symbolic-ref", "HEAD", &format!("refs/heads/{branch}")]).await?;
        }
        if let Err(error) = self.local(&["-c", "gc.auto=6700", "gc", "--auto", "--quiet"]).await {
            tracing::debug!(%error, "the copy of a repository is not tidied up");
        }
        self.done.store(number, Ordering::SeqCst);
        Ok(())
    }

    /// Brings one more reference, such as a pull request's `refs/pull/7/head`, or a commit by its id.
    ///
    /// # Errors
    ///
    /// [`RemoteError`] when it is not there, or cannot be fetched.
    pub async fn fetch_one(&self, remote: &Remote, reference: &str) -> Result<(), RemoteError> {
        let _held = self.hold().await?;
        if !self.is_there() {
            self.make().await?;
        }
        let is_commit = reference.bytes().all(|digit| digit.is_ascii_hexdigit());
        let (from, to) = if is_commit {
            (reference.to_owned(), format!("refs/commits/{reference}"))
        } else {
            self.local(&["check-ref-format", reference]).await?;
            // A fork has branches of its own.
            (reference.to_owned(), format!("refs/others/{reference}"))
        };
        self.bring(remote, &[&format!("+{from}:{to}")]).await
    }

    /// Forgets the copy, so that the next fetch makes it anew.
    ///
    /// # Errors
    ///
    /// [`RemoteError::Folder`] when it cannot be removed.
    pub async fn forget(&self) -> Result<(), RemoteError> {
        let _held = self.hold().await?;
        self.done.store(0, Ordering::SeqCst);
        remove(&self.repository()).map_err(|error| self.failed(error))
    }

    /// What `git` says of the copy.
    pub(super) async fn local(&self, arguments: &[&str]) -> Result<Vec<u8>, RemoteError> {
        if !self.is_there() {
            return Err(RemoteError::NoRevision("commit: it was not fetched yet".into()));
        }
        run(&self.repository(), &Reach::default(), LOCALLY, arguments).await
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the copy itself is.
    pub(super) fn repository(&self) -> PathBuf {
        self.folder.join("repository.git")
    }

    pub(super) fn failed(&self, source: io::Error) -> RemoteError {
        RemoteError::Folder { folder: self.folder.clone(), source }
    }

    /// Waits until nobody else changes the folder. What a program has left there that was killed is removed.
    pub(super) async fn hold(&self) -> Result<Held<'_>, RemoteError> {
        let turn = self.turn.lock().await;
        self.make_folder()?;
        let path = self.folder.join("lock");
        let lock = move || {
            let file = fs::File::options().create(true).truncate(false).write(true).open(path)?;
            file.lock()?;
            Ok(file)
        };
        let locked = tokio::task::spawn_blocking(lock).await.map_err(io::Error::other).and_then(|locked| locked);
        let held = Held { _turn: turn, _file: locked.map_err(|error| self.failed(error))? };
        remove(&self.folder.join(WORK)).map_err(|error| self.failed(error))?;
        Ok(held)
    }

    fn make_folder(&self) -> Result<(), RemoteError> {
        fs::create_dir_all(&self.folder).map_err(|error| self.failed(error))
    }

    fn is_there(&self) -> bool {
        self.repository().join("HEAD").is_file()
    }

    /// Whether everything that it refers to is there.
    async fn is_whole(&self) -> bool {
        self.local(&["fsck", "--connectivity-only", "--no-dangling", "--no-progress"]).await.is_ok()
    }

    /// An empty copy, in the place of what is there.
    async fn make(&self) -> Result<(), RemoteError> {
        let (repository, new) = (self.repository(), self.folder.join(WORK).join("new.git"));
        let made = remove(&repository).and_then(|()| fs::create_dir_all(&new));
        made.map_err(|error| self.failed(error))?;
        // An empty template has no hooks.
        let git = async |arguments: &[&str]| run(&new, &Reach::default(), LOCALLY, arguments).await;
        git(&["init", "--bare", "--quiet", "--template=", "."]).await?;
        for (name, value) in SETTINGS {
            git(&["config", name, value]).await?;
        }
        fs::rename(&new, &repository).map_err(|error| self.failed(error))
    }

    async fn bring(&self, remote: &Remote, references: &[&str]) -> Result<(), RemoteError> {
        let reach = remote.reach(&known_hosts(&self.folder)).await?;
        let fetch = ["fetch", "--quiet", "--prune", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"];
        let question = [&fetch[..], &["--", remote.address().as_str()], references].concat();
        let repository = self.repository();
        tokio::select! {
            brought = run(&repository, &reach, remote.patience(), &question) => brought.map(drop),
            () = self.outgrown() => Err(RemoteError::Large(self.most_bytes)),
        }?;
        // A small one may have been too quick to be seen.
        if size(self.repository()).await > self.most_bytes { Err(RemoteError::Large(self.most_bytes)) } else { Ok(()) }
    }

    /// Waits until the copy is too large.
    async fn outgrown(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            if size(self.repository()).await > self.most_bytes {
                return;
            }
        }
    }
}

/// Where something is made that is not there yet, below the folder of a copy.
pub(super) const WORK: &str = "work";

/// How long `git` may take for what is all here: a checkout of a large repository is minutes.
pub(super) const LOCALLY: Duration = Duration::from_secs(600);

/// Removes a folder, if it is there.
fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The bytes of the files below a folder; what is gone meanwhile has none.
async fn size(folder: PathBuf) -> u64 {
    let count = move || {
        let files = walkdir::WalkDir::new(folder).into_iter().flatten().filter_map(|entry| entry.metadata().ok());
        files.filter(fs::Metadata::is_file).map(|file| file.len()).sum()
    };
    tokio::task::spawn_blocking(count).await.unwrap_or_default()
}
