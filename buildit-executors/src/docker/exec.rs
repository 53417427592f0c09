//! Running a small command beside what a container runs.

use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use futures_util::StreamExt;

use super::backend::DockerBackend;

impl DockerBackend {
    /// Runs a shell command in a running container, as root, and gives its exit code.
    pub(super) async fn exec_as_root(&self, container: &str, command: &str) -> Result<i64, Error> {
        self.exec(container, command, Some("0")).await
    }

    /// Runs a shell command in a running container and gives its exit code. What it prints is thrown away.
    pub(super) async fn exec(&self, container: &str, command: &str, user: Option<&str>) -> Result<i64, Error> {
        let options = CreateExecOptions {
            cmd: Some(vec!["sh", "-c", command]),
            user,
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..Default::default()
        };
        let created = self.docker.create_exec(container, options).await?;
        let started = self.docker.start_exec(&created.id, None::<StartExecOptions>).await?;
        if let StartExecResults::Attached { mut output, .. } = started {
            while output.next().await.is_some() {}
        }
        let ended = self.docker.inspect_exec(&created.id).await?;
        Ok(ended.exit_code.unwrap_or(-1))
    }
}
