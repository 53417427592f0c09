//! Where the container engine is, by the same rules as the `docker` command line.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Where Docker listens when nothing else is said.
const DOCKER_SOCKET: &str = "/var/run/docker.sock";
/// Where a Podman of the system listens.
const PODMAN_SOCKET: &str = "/run/podman/podman.sock";

/// The name of the context that is none.
const NO_CONTEXT: &str = "default";

/// Reads a variable of the environment.
pub(super) type Variables<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// A container engine's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) address: String,
    /// The folder of `ca.pem`, `cert.pem` and `key.pem`, when the connection is to use TLS.
    pub(super) certificates: Option<PathBuf>,
}

/// The endpoint is not told as it should be.
#[derive(Debug, thiserror::Error)]
pub(super) enum EndpointError {
    #[error("cannot read `{}`: {source}", .path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{}` is no configuration of Docker: {source}", .path.display())]
    Syntax {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("there is no Docker context `{name}`")]
    NoContext { name: String },
    #[error("the Docker context `{name}` does not verify whom it talks to, which is refused")]
    Unverified { name: String },
}

#[derive(Deserialize)]
struct Config {
    #[serde(rename = "currentContext", default)]
    current: String,
}

/// A context's `meta.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Context {
    name: String,
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Endpoints {
    docker: ContextEndpoint,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContextEndpoint {
    #[serde(default)]
    host: String,
    #[serde(rename = "SkipTLSVerify", default)]
    unverified: bool,
}

impl Endpoint {
    /// The engine at this address.
    pub(super) fn at(address: &str, variables: Variables<'_>) -> Self {
        let filled = |name| variables(name).filter(|value| !value.is_empty());
        let is_remote = ["tcp://", "http://"].iter().any(|scheme| address.starts_with(scheme));
        let secure = address.starts_with("https://") || is_remote && filled("DOCKER_TLS_VERIFY").is_some();
        let folder = || filled("DOCKER_CERT_PATH").map(PathBuf::from).or_else(|| config_folder(variables));
        Self { address: address.to_owned(), certificates: secure.then(folder).flatten() }
    }

    /// The engine that `docker` itself would use.
    ///
    /// # Errors
    ///
    /// [`EndpointError`] when a context is named that cannot be used: another engine would be a surprise.
    pub(super) fn usual(variables: Variables<'_>) -> Result<Self, EndpointError> {
        let filled =
            |name| variables(name).and_then(|value| value.into_string().ok()).filter(|value| !value.is_empty());
        if let Some(address) = filled("DOCKER_HOST") {
            return Ok(Self::at(&address, variables));
        }
        let folder = config_folder(variables);
        let context = match (filled("DOCKER_CONTEXT"), &folder) {
            (Some(name), _) => Some(name),
            (None, Some(folder)) => read::<Config>(&folder.join("config.json"))?.map(|config| config.current),
            (None, None) => None,
        };
        if let Some(name) = context.filter(|name| !name.is_empty() && name != NO_CONTEXT) {
            return Self::of_context(&name, folder.as_deref());
        }
        let own = filled("XDG_RUNTIME_DIR").map(|folder| format!("{folder}/podman/podman.sock"));
        let sockets = [DOCKER_SOCKET.to_owned()].into_iter().chain(own).chain([PODMAN_SOCKET.to_owned()]);
        let found = sockets.into_iter().find(|socket| Path::new(socket).exists());
        let address = format!("unix://{}", found.as_deref().unwrap_or(DOCKER_SOCKET));
        Ok(Self { address, certificates: None })
    }

    /// The folder of a context is named by a hash of its name, which its file holds in clear.
    fn of_context(name: &str, folder: Option<&Path>) -> Result<Self, EndpointError> {
        let missing = || EndpointError::NoContext { name: name.to_owned() };
        let contexts = folder.ok_or_else(missing)?.join("contexts");
        let metas = match std::fs::read_dir(contexts.join("meta")) {
            Ok(metas) => metas,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
            Err(source) => return Err(EndpointError::Read { path: contexts.join("meta"), source }),
        };
        for meta in metas.flatten() {
            let Some(context) = read::<Context>(&meta.path().join("meta.json"))? else { continue };
            if context.name != name {
                continue;
            }
            let ContextEndpoint { host, unverified } = context.endpoints.docker;
            if unverified {
                return Err(EndpointError::Unverified { name: name.to_owned() });
            }
            let address = if host.is_empty() { format!("unix://{DOCKER_SOCKET}") } else { host };
            let certificates = contexts.join("tls").join(meta.file_name()).join("docker");
            return Ok(Self { address, certificates: certificates.is_dir().then_some(certificates) });
        }
        Err(missing())
    }
}

/// The folder of Docker's own configuration.
pub(super) fn config_folder(variables: Variables<'_>) -> Option<PathBuf> {
    let filled = |name| variables(name).filter(|value| !value.is_empty());
    filled("DOCKER_CONFIG").map(PathBuf::from).or_else(|| Some(PathBuf::from(filled("HOME")?).join(".docker")))
}

fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<Option<T>, EndpointError> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| EndpointError::Syntax { path: path.to_owned(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(EndpointError::Read { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of configuration with two contexts, of which `far` is the current one.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("config.json", r#"{"auths": {}, "currentContext": "far"}"#);
        let far =
            r#"{"Name":"far","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://far:2376","SkipTLSVerify":false}}}"#;
        write("contexts/meta/aa/meta.json", far);
        write("contexts/tls/aa/docker/ca.pem", "");
        let lax = r#"{"Name":"lax","Endpoints":{"docker":{"Host":"tcp://lax:2376","SkipTLSVerify":true}}}"#;
        write("contexts/meta/bb/meta.json", lax);
        write("contexts/meta/cc/meta.json", r#"{"Name":"plain","Endpoints":{"docker":{"Host":"unix:///x.sock"}}}"#);
        folder
    }

    fn usual(folder: &Path, variables: &[(&str, &str)]) -> Result<Endpoint, EndpointError> {
        Endpoint::usual(&|name| match name {
            "DOCKER_CONFIG" => Some(folder.into()),
            name => variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()),
        })
    }

    #[test]
    fn the_host_comes_before_the_context_and_that_before_the_current_one() {
        let folder = folder();
        let current = usual(folder.path(), &[]).unwrap();
        let certificates = Some(folder.path().join("contexts/tls/aa/docker"));
        assert_eq!(current, Endpoint { address: "tcp://far:2376".into(), certificates });
        let named = usual(folder.path(), &[("DOCKER_CONTEXT", "plain")]).unwrap();
        assert_eq!(named, Endpoint { address: "unix:///x.sock".into(), certificates: None });
        let host = usual(folder.path(), &[("DOCKER_CONTEXT", "plain"), ("DOCKER_HOST", "tcp://h:1")]).unwrap();
        assert_eq!(host, Endpoint { address: "tcp://h:1".into(), certificates: None });
        let none = usual(folder.path(), &[("DOCKER_CONTEXT", NO_CONTEXT)]).unwrap();
        assert!(none.address.starts_with("unix:///"), "{none:?}");
    }

    #[test]
    fn a_context_that_cannot_be_used_is_an_error() {
        let folder = folder();
        let error = |name| usual(folder.path(), &[("DOCKER_CONTEXT", name)]).unwrap_err().to_string();
        assert_eq!(error("no-such"), "there is no Docker context `no-such`");
        assert_eq!(error("lax"), "the Docker context `lax` does not verify whom it talks to, which is refused");
        std::fs::write(folder.path().join("config.json"), "{").unwrap();
        assert!(matches!(usual(folder.path(), &[]), Err(EndpointError::Syntax { .. })));
    }

    #[test]
    fn tls_is_used_when_it_is_asked_for() {
        let at = |address: &str, verify: &'static str| {
            Endpoint::at(address, &|name| match name {
                "DOCKER_TLS_VERIFY" => Some(verify.into()),
                "HOME" => Some("/home/ann".into()),
                _ => None,
            })
            .certificates
        };
        assert_eq!(at("tcp://h:2376", "1"), Some("/home/ann/.docker".into()));
        assert_eq!(at("https://h:2376", ""), Some("/home/ann/.docker".into()));
        assert_eq!(at("tcp://h:2375", ""), None);
        assert_eq!(at("unix:///x.sock", "1"), None);
    }
}
