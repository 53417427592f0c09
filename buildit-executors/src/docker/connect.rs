//! Finding the container engine.

use std::path::Path;
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker};
use buildit::durable::Durable;
use buildit::executor::{ExecutorError, RetryClass};

use super::backend::{DockerBackend, DockerExecutor};
use super::error::said;
use super::options::DockerOptions;

/// Where Docker listens when nothing else is said.
const DOCKER_SOCKET: &str = "/var/run/docker.sock";
/// Where a Podman of the system listens.
const PODMAN_SOCKET: &str = "/run/podman/podman.sock";
/// How long a single request may take to be answered, in seconds. Starting a container on a loaded machine takes
/// seconds; an engine that says nothing for this long is wedged.
const TIMEOUT: u64 = 120;

/// An executor on the container engine that `DOCKER_HOST` names, or else on Docker's or Podman's usual socket.
///
/// # Errors
///
/// [`ExecutorError::Backend`] when there is none, or it does not answer.
pub async fn connect(options: DockerOptions) -> Result<DockerExecutor, ExecutorError> {
    connect_to(&default_address(), options).await
}

/// An executor on the container engine at this address: `unix:///run/podman/podman.sock`, `tcp://build-host:2375`, or
/// the path of a socket.
///
/// A `tcp` address is used with TLS when `DOCKER_TLS_VERIFY` is set, with the certificates of `DOCKER_CERT_PATH`.
///
/// # Errors
///
/// [`ExecutorError::Backend`] when the address cannot be used or nothing answers there.
pub async fn connect_to(address: &str, options: DockerOptions) -> Result<DockerExecutor, ExecutorError> {
    Ok(Durable::new(DockerBackend::connect_to(address, options).await?))
}

/// What answers at an address, where it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    /// Docker, or what behaves like it.
    Docker,
    /// Podman, whose following of a log ends early and has gaps.
    Podman,
}

/// A client that speaks a version of the protocol that the engine knows.
pub(super) async fn client(address: &str, options: &DockerOptions) -> Result<(Docker, Engine), ExecutorError> {
    let failed = |error: bollard::errors::Error| {
        let message = format!("cannot reach a container engine at {address}: {}", said(&error));
        ExecutorError::backend(&options.name, message, RetryClass::Safe, error)
    };
    let client = match address {
        path if path.starts_with('/') => Docker::connect_with_unix(path, TIMEOUT, API_DEFAULT_VERSION),
        other => Docker::connect_with_host(other),
    };
    let client = client.map_err(failed)?.with_timeout(Duration::from_secs(TIMEOUT));
    let client = client.negotiate_version().await.map_err(failed)?;
    let version = client.version().await.map_err(failed)?;
    let is_podman = version.components.unwrap_or_default().iter().any(|component| component.name.contains("Podman"));
    Ok((client, if is_podman { Engine::Podman } else { Engine::Docker }))
}

pub(super) fn default_address() -> String {
    if let Some(host) = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty()) {
        return host;
    }
    let own = std::env::var("XDG_RUNTIME_DIR").map(|folder| format!("{folder}/podman/podman.sock"));
    let sockets = [DOCKER_SOCKET.to_owned()].into_iter().chain(own).chain([PODMAN_SOCKET.to_owned()]);
    let found = sockets.into_iter().find(|socket| Path::new(socket).exists());
    format!("unix://{}", found.as_deref().unwrap_or(DOCKER_SOCKET))
}
