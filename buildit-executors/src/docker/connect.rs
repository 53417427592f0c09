//! Executors on a container engine.

use buildit::durable::Durable;
use buildit::executor::ExecutorError;

use super::backend::{DockerBackend, DockerExecutor};
use super::options::DockerOptions;

/// An executor on the container engine that `docker` itself would use: the one that `DOCKER_HOST` names, or that of
/// the context in `DOCKER_CONTEXT` or in Docker's `config.json`, or else Docker's or Podman's usual socket.
///
/// # Errors
///
/// [`ExecutorError::Backend`] when there is none, or it does not answer.
pub async fn connect(options: DockerOptions) -> Result<DockerExecutor, ExecutorError> {
    Ok(Durable::new(DockerBackend::connect(options).await?))
}

/// An executor on the container engine at this address: `unix:///run/podman/podman.sock`, `tcp://build-host:2375`, or
/// the path of a socket.
///
/// A `tcp` address is used with TLS when `DOCKER_TLS_VERIFY` is set, with the certificates (`ca.pem`, `cert.pem`,
/// `key.pem`) of `DOCKER_CERT_PATH`, and an `https` address always.
///
/// # Errors
///
/// [`ExecutorError::Backend`] when the address cannot be used or nothing answers there.
pub async fn connect_to(address: &str, options: DockerOptions) -> Result<DockerExecutor, ExecutorError> {
    Ok(Durable::new(DockerBackend::connect_to(address, options).await?))
}
