//! Asking `git`.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use async_trait::async_trait;

use super::SourceError;

/// Answers questions about repositories.
#[async_trait]
pub trait Git: Debug + Send + Sync + 'static {
    /// What `git` with these arguments prints in this folder.
    ///
    /// # Errors
    ///
    /// [`SourceError::Git`] when it fails, [`SourceError::NoGit`] when there is none.
    async fn ask(&self, folder: &Path, arguments: &[&str]) -> Result<Vec<u8>, SourceError>;
}

/// The `git` program.
#[derive(Clone, Debug)]
pub struct GitCli {
    program: PathBuf,
}

impl Default for GitCli {
    /// The one in the `PATH`.
    fn default() -> Self {
        Self { program: "git".into() }
    }
}

impl GitCli {
    /// This program.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into() }
    }
}

/// Variables that tell `git` of another repository than the one around the folder: a hook has them.
const MISLEADING: [&str; 8] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
];

#[async_trait]
impl Git for GitCli {
    async fn ask(&self, folder: &Path, arguments: &[&str]) -> Result<Vec<u8>, SourceError> {
        let mut command = tokio::process::Command::new(&self.program);
        // Nothing may be asked of a person, written to the repository, or left running.
        command
            .args(["-c", "core.fsmonitor=false", "-c", "core.quotePath=false"])
            .args(arguments)
            .current_dir(folder)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_PAGER", "cat")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        for name in MISLEADING {
            command.env_remove(name);
        }
        let output = command.output().await.map_err(SourceError::NoGit)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let message = said.lines().map(|line| line.trim_start_matches("fatal: ")).collect::<Vec<_>>().join(" ");
        Err(SourceError::Git { command: arguments.join(" "), message })
    }
}
