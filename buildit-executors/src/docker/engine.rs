//! A client for the container engine at an endpoint.

use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker};
use buildit::executor::{ExecutorError, RetryClass};

use super::endpoint::Endpoint;
use super::error::said;
use super::options::DockerOptions;

/// How long a single request may take to be answered, in seconds. Starting a container on a loaded machine takes
/// seconds; an engine that says nothing for this long is wedged.
const TIMEOUT: u64 = 120;

/// What answers at an endpoint, where it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    /// Docker, or what behaves like it.
    Docker,
    /// Podman, whose following of a log ends early and has gaps.
    Podman,
}

/// A client that speaks a version of the protocol that the engine knows.
pub(super) async fn client(endpoint: &Endpoint, options: &DockerOptions) -> Result<(Docker, Engine), ExecutorError> {
    let Endpoint { address, certificates } = endpoint;
    let failed = |error: bollard::errors::Error| {
        let message = format!("cannot reach a container engine at {address}: {}", said(&error));
        ExecutorError::backend(&options.name, message, RetryClass::Safe, error)
    };
    let client = match (address, certificates) {
        (address, Some(folder)) => {
            // A program that links two providers has no default, without which the client panics. One that has chosen
            // its own keeps it.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let [key, certificate, authority] = ["key.pem", "cert.pem", "ca.pem"].map(|file| folder.join(file));
            Docker::connect_with_ssl(address, &key, &certificate, &authority, TIMEOUT, API_DEFAULT_VERSION)
        }
        (path, None) if path.starts_with('/') => Docker::connect_with_unix(path, TIMEOUT, API_DEFAULT_VERSION),
        (address, None) if ["tcp://", "http://"].iter().any(|scheme| address.starts_with(scheme)) => {
            Docker::connect_with_http(address, TIMEOUT, API_DEFAULT_VERSION)
        }
        (other, None) => Docker::connect_with_host(other),
    };
    let client = client.map_err(failed)?.with_timeout(Duration::from_secs(TIMEOUT));
    let client = client.negotiate_version().await.map_err(failed)?;
    let version = client.version().await.map_err(failed)?;
    let is_podman = version.components.unwrap_or_default().iter().any(|component| component.name.contains("Podman"));
    Ok((client, if is_podman { Engine::Podman } else { Engine::Docker }))
}
