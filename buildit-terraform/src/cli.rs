//! The command line that does the work.

use std::path::{Path, PathBuf};
use std::time::Duration;

use semver::Version;
use serde::Deserialize;
use tokio::process::Command;

/// How long `version` may take. It starts no provider and asks no network.
const VERSION_TIMEOUT: Duration = Duration::from_secs(20);

/// Which of the two tools it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// HashiCorp's `terraform`.
    Terraform,
    /// OpenTofu's `tofu`.
    Tofu,
}

impl Tool {
    /// The name of its program.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Terraform => "terraform",
            Self::Tofu => "tofu",
        }
    }
}

/// A `terraform` or `tofu` that is installed here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cli {
    tool: Tool,
    program: PathBuf,
    version: Version,
}

/// The tool cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CliError {
    /// It is not installed.
    #[error("`{program}` is not on the PATH")]
    Missing {
        /// The program.
        program: &'static str,
        /// What the search said.
        #[source]
        source: which::Error,
    },
    /// It could not be run.
    #[error("cannot run {program}")]
    Run {
        /// The program.
        program: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It ran and failed.
    #[error("{program} version failed: {stderr}")]
    Failed {
        /// The program.
        program: PathBuf,
        /// What it said, cut to 4 KiB.
        stderr: String,
    },
    /// It did not say its version.
    #[error("{program} did not say its version")]
    Version {
        /// The program.
        program: PathBuf,
        /// What is wrong with its answer.
        #[source]
        source: serde_json::Error,
    },
}

impl Cli {
    /// The tool on the `PATH`.
    ///
    /// # Errors
    ///
    /// [`CliError`] when it is not there or does not answer.
    pub async fn find(tool: Tool) -> Result<Self, CliError> {
        let program =
            which::which(tool.program()).map_err(|source| CliError::Missing { program: tool.program(), source })?;
        Self::at(tool, program).await
    }

    /// The tool at this path.
    ///
    /// # Errors
    ///
    /// [`CliError`] when it does not answer.
    pub async fn at(tool: Tool, program: PathBuf) -> Result<Self, CliError> {
        let run = |source| CliError::Run { program: program.clone(), source };
        // CHECKPOINT_DISABLE keeps `version` from asking its maker for a newer one.
        let version = Command::new(&program)
            .args(["version", "-json"])
            .env("CHECKPOINT_DISABLE", "1")
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(VERSION_TIMEOUT, version)
            .await
            .map_err(|_| run(std::io::ErrorKind::TimedOut.into()))?
            .map_err(run)?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr).chars().take(4096).collect();
            return Err(CliError::Failed { program, stderr });
        }
        match serde_json::from_slice::<VersionJson>(&output.stdout) {
            Ok(VersionJson { terraform_version }) => Ok(Self { tool, program, version: terraform_version }),
            Err(source) => Err(CliError::Version { program, source }),
        }
    }

    /// Which tool it is.
    #[must_use]
    pub fn tool(&self) -> Tool {
        self.tool
    }

    /// Where it is.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }
}

/// Both tools answer under the name of the elder.
#[derive(Deserialize)]
struct VersionJson {
    terraform_version: Version,
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A process that another test starts while a script is being written has it open for writing, too, and it cannot be
    /// run as long as that lasts.
    static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

    /// A program of this script, in a folder that goes with it.
    fn program(script: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("terraform");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        (folder, path)
    }

    #[tokio::test]
    async fn the_version_is_read() {
        let _alone = ALONE.lock().await;
        let (_folder, path) = program(r#"echo '{"terraform_version": "1.11.4", "platform": "linux_amd64"}'"#);
        let cli = Cli::at(Tool::Terraform, path).await.unwrap();
        assert_eq!(cli.version(), &Version::new(1, 11, 4));
    }

    #[tokio::test]
    async fn a_tool_that_fails_is_named_with_what_it_said() {
        let _alone = ALONE.lock().await;
        let (_folder, path) = program("echo 'no licence' >&2; exit 3");
        let error = Cli::at(Tool::Tofu, path).await.unwrap_err();
        assert!(matches!(&error, CliError::Failed { stderr, .. } if stderr.trim() == "no licence"), "{error}");
        let (_folder, path) = program("echo nonsense");
        assert!(matches!(Cli::at(Tool::Tofu, path).await, Err(CliError::Version { .. })));
        assert!(matches!(Cli::at(Tool::Tofu, "/nowhere/tofu".into()).await, Err(CliError::Run { .. })));
    }
}
