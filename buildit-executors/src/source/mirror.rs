//! A copy of a repository that is elsewhere.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use tokio::process::Command;
use tokio::sync::Mutex;

use super::{RemoteAddress, SourceError};

/// How much of what `git` complains of is told.
const TOLD: usize = 2_000;

/// A bare copy of a repository in a folder of its own. Of those who fetch at once, one does and the others wait; two
/// programs must not share the folder.
#[derive(Debug)]
pub struct Mirror {
    folder: PathBuf,
    address: RemoteAddress,
    token: Option<SecretString>,
    patience: Duration,
    fetching: Mutex<()>,
}

impl Mirror {
    /// A copy in this folder, which is made by the first fetch. A fetch that takes longer than `patience` is ended.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, address: RemoteAddress, patience: Duration) -> Self {
        Self { folder: folder.into(), address, token: None, patience, fetching: Mutex::default() }
    }

    /// Shows this token to the web server of the address, and to no other: redirects are not followed.
    #[must_use]
    pub fn with_token(self, token: SecretString) -> Self {
        Self { token: Some(token), ..self }
    }

    /// Whether the repository is there and lets us in: the commit of its default branch, if it has one.
    ///
    /// # Errors
    ///
    /// [`SourceError::Git`] with what `git` says, [`SourceError::NoGit`] when there is none.
    pub async fn check(&self) -> Result<Option<String>, SourceError> {
        let said = self.git(None, &["ls-remote", "--", self.address.as_str(), "HEAD"]).await?;
        let said = String::from_utf8_lossy(&said);
        Ok(said.split_whitespace().next().map(str::to_owned))
    }

    /// Brings all branches and tags up to date; those that are gone there are gone here. A copy that is broken or
    /// half made is made anew.
    ///
    /// # Cancel safety
    ///
    /// `git` is ended with it; the next fetch goes on or begins anew.
    ///
    /// # Errors
    ///
    /// [`SourceError::Git`] with what `git` says, [`SourceError::NoGit`] when there is none, [`SourceError::Mirror`] when
    /// the folder cannot be made.
    pub async fn fetch(&self) -> Result<(), SourceError> {
        let _turn = self.fetching.lock().await;
        if !self.is_whole().await {
            self.make().await?;
        }
        let fetch = ["fetch", "--prune", "--no-tags", "--no-recurse-submodules", "--", self.address.as_str()];
        let every = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
        self.git(Some(&self.folder), &[&fetch[..], &every[..]].concat()).await.map(drop)
    }

    /// The commit that a branch is at.
    ///
    /// # Errors
    ///
    /// [`SourceError::Git`] when there is no such branch.
    pub async fn branch(&self, name: &str) -> Result<String, SourceError> {
        self.commit(&format!("refs/heads/{name}")).await
    }

    /// The commit that a tag is of.
    ///
    /// # Errors
    ///
    /// [`SourceError::Git`] when there is no such tag.
    pub async fn tag(&self, name: &str) -> Result<String, SourceError> {
        self.commit(&format!("refs/tags/{name}")).await
    }

    /// What a file held at a commit.
    ///
    /// # Errors
    ///
    /// [`SourceError::Git`] when the commit or the file is not there.
    pub async fn file(&self, commit: &str, path: &str) -> Result<Vec<u8>, SourceError> {
        let object = format!("{commit}:{path}");
        self.git(Some(&self.folder), &["cat-file", "blob", "--end-of-options", &object]).await
    }

    async fn commit(&self, reference: &str) -> Result<String, SourceError> {
        // A name with signs of its own, such as `main~3` or `main^{tree}`, is no branch.
        self.git(None, &["check-ref-format", reference]).await?;
        let of = format!("{reference}^{{commit}}");
        let said = self.git(Some(&self.folder), &["rev-parse", "--verify", "--end-of-options", &of]).await?;
        let said = String::from_utf8_lossy(&said);
        // This `git` may repeat the marker of where its options end.
        Ok(said.lines().last().unwrap_or_default().trim().to_owned())
    }

    async fn is_whole(&self) -> bool {
        let refs = self.git(Some(&self.folder), &["for-each-ref", "--format=%(objecttype)"]);
        self.folder.join("HEAD").exists() && refs.await.is_ok()
    }

    async fn make(&self) -> Result<(), SourceError> {
        match tokio::fs::remove_dir_all(&self.folder).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(self.file_error(error)),
            _ => {}
        }
        tokio::fs::create_dir_all(&self.folder).await.map_err(|error| self.file_error(error))?;
        // An empty template has no hooks.
        self.git(Some(&self.folder), &["init", "--bare", "--quiet", "--template=", "."]).await.map(drop)
    }

    fn file_error(&self, source: std::io::Error) -> SourceError {
        SourceError::Mirror { folder: self.folder.clone(), source }
    }

    /// What `git` prints, with nothing of the machine's settings and one protocol to speak.
    async fn git(&self, folder: Option<&Path>, arguments: &[&str]) -> Result<Vec<u8>, SourceError> {
        let mut command = Command::new("git");
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ALLOW_PROTOCOL", self.address.protocol())
            .env("LC_ALL", "C")
            .args(["-c", "http.followRedirects=false", "-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0"])
            .args(["-c", "fetch.fsckObjects=true"])
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if let Some(folder) = folder {
            command.current_dir(folder).env("GIT_DIR", folder);
        }
        if let Some(token) = &self.token {
            // An argument would be seen by every user of the machine.
            let shown = STANDARD.encode(format!("x-access-token:{}", token.expose_secret()));
            command
                .env("GIT_CONFIG_COUNT", "1")
                .env("GIT_CONFIG_KEY_0", format!("http.{}.extraHeader", self.address))
                .env("GIT_CONFIG_VALUE_0", format!("Authorization: Basic {shown}"));
        }
        let failed = |message: String| SourceError::Git { command: arguments.join(" "), message };
        let Ok(output) = tokio::time::timeout(self.patience, command.output()).await else {
            return Err(failed(format!("it took longer than {} s", self.patience.as_secs())));
        };
        let output = output.map_err(SourceError::NoGit)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let mut said: String = String::from_utf8_lossy(&output.stderr).chars().take(TOLD).collect();
        if let Some(token) = &self.token {
            said = said.replace(token.expose_secret(), "***");
        }
        Err(failed(said.trim().trim_start_matches("fatal: ").to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use tempfile::TempDir;

    use super::Mirror;
    use crate::source::{LocalPaths, RemoteAddress, SourceError};

    fn git(folder: &Path, arguments: &[&str]) {
        let who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"];
        let done = std::process::Command::new("git").args(who).args(arguments).current_dir(folder).output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn commit(folder: &Path, text: &str) {
        std::fs::write(folder.join("a.txt"), text).unwrap();
        git(folder, &["add", "."]);
        git(folder, &["commit", "-q", "-m", text]);
    }

    fn repository() -> (TempDir, Mirror) {
        let at = tempfile::tempdir().unwrap();
        let there = at.path().join("there");
        std::fs::create_dir(&there).unwrap();
        git(&there, &["init", "-q", "-b", "main"]);
        commit(&there, "one");
        let address = RemoteAddress::parse(there.to_str().unwrap(), LocalPaths::Allowed).unwrap();
        let mirror = Mirror::new(at.path().join("mirror"), address, Duration::from_secs(60));
        (at, mirror)
    }

    #[tokio::test]
    async fn a_later_commit_does_not_change_what_an_earlier_one_holds() {
        let (at, mirror) = repository();
        mirror.fetch().await.unwrap();
        let first = mirror.branch("main").await.unwrap();
        assert_eq!(mirror.check().await.unwrap().as_ref(), Some(&first));
        commit(&at.path().join("there"), "two");
        let (one, other) = tokio::join!(mirror.fetch(), mirror.fetch());
        one.and(other).unwrap();
        let second = mirror.branch("main").await.unwrap();
        assert_ne!(first, second);
        assert_eq!(mirror.file(&first, "a.txt").await.unwrap(), b"one");
        assert_eq!(mirror.file(&second, "a.txt").await.unwrap(), b"two");
    }

    #[tokio::test]
    async fn a_broken_copy_is_made_anew() {
        let (at, mirror) = repository();
        mirror.fetch().await.unwrap();
        std::fs::write(at.path().join("mirror/HEAD"), "rubbish").unwrap();
        mirror.fetch().await.unwrap();
        assert_eq!(mirror.branch("main").await.unwrap().len(), 40);
    }

    #[tokio::test]
    async fn a_name_with_signs_of_its_own_is_no_branch() {
        let (_at, mirror) = repository();
        mirror.fetch().await.unwrap();
        for name in ["main^{tree}", "main~0", "../tags/x", "--help", "main:a.txt", "", "none"] {
            let refused = mirror.branch(name).await;
            assert!(matches!(refused, Err(SourceError::Git { .. })), "{name:?}: {refused:?}");
        }
    }
}
