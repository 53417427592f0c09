//! Who fetches images from private registries: Docker's own configuration, with its credential helpers.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bollard::auth::DockerCredentials;
use buildit::pipeline::registry_of;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;

use super::endpoint::config_folder;

/// The name under which Docker keeps the credentials of its own registry.
const HUB: &str = "https://index.docker.io/v1/";

/// What a `config.json` of Docker says about credentials.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct DockerConfig {
    auths: HashMap<String, Entry>,
    #[serde(rename = "credHelpers")]
    helpers: HashMap<String, String>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entry")
    }
}

/// What a credential helper prints.
#[derive(Deserialize)]
struct Helped {
    #[serde(rename = "Username")]
    username: String,
    #[serde(rename = "Secret")]
    secret: String,
}

/// Credentials could not be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum AuthError {
    /// The configuration cannot be read.
    #[error("cannot read `{}`", .path.display())]
    Config {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The configuration is no such thing.
    #[error("`{}` is no configuration of Docker: {source}", .path.display())]
    Syntax {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    /// The helper cannot be run.
    #[error("cannot run `{program}`: {source}")]
    Helper {
        program: String,
        #[source]
        source: std::io::Error,
    },
    /// The helper gave something else than credentials. What it printed may be secret.
    #[error("`{program}` gave no credentials for `{registry}`")]
    NoCredentials { program: String, registry: String },
}

impl DockerConfig {
    /// Reads `$DOCKER_CONFIG/config.json`, or the one in the home folder; an empty one when there is none.
    pub(super) async fn read() -> Result<Self, AuthError> {
        let folder = config_folder(&|name| std::env::var_os(name));
        match folder {
            Some(folder) => Self::read_from(folder.join("config.json")).await,
            None => Ok(Self::default()),
        }
    }

    async fn read_from(path: PathBuf) -> Result<Self, AuthError> {
        match tokio::fs::read(&path).await {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|source| AuthError::Syntax { path, source }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(AuthError::Config { path, source }),
        }
    }

    /// The credentials for the registry of an image; `None` for none.
    ///
    /// # Errors
    ///
    /// [`AuthError`] when a helper is named and fails. One that has no credentials is no error.
    pub(super) async fn credentials(&self, image: &str) -> Result<Option<DockerCredentials>, AuthError> {
        let host = registry_of(image);
        let key = if host == "docker.io" { HUB } else { host };
        let helper = self.helpers.get(host).or_else(|| self.helpers.get(key)).or(self.store.as_ref());
        if let Some(helper) = helper
            && let Some(found) = ask(helper, key).await?
        {
            return Ok(Some(found));
        }
        let matches = |written: &&String| written.as_str() == key || host_of(written) == host;
        let entry = self.auths.keys().find(matches).and_then(|written| self.auths.get(written));
        Ok(entry.and_then(|entry| entry.credentials(key)))
    }
}

impl Entry {
    fn credentials(&self, address: &str) -> Option<DockerCredentials> {
        let decoded = self.auth.as_deref().and_then(|auth| STANDARD.decode(auth.trim()).ok());
        let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        let (user, password) = decoded.split_once(':').unwrap_or_default();
        let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let credentials = DockerCredentials {
            username: filled(user).or_else(|| self.username.clone()),
            password: filled(password.trim_end_matches('\0')).or_else(|| self.password.clone()),
            identitytoken: self.identitytoken.clone().filter(|token| !token.is_empty()),
            registrytoken: self.registrytoken.clone().filter(|token| !token.is_empty()),
            ..address_only(address)
        };
        // With a helper, Docker itself leaves an empty entry here.
        (credentials != address_only(address)).then_some(credentials)
    }
}

fn address_only(address: &str) -> DockerCredentials {
    DockerCredentials { serveraddress: Some(address.to_owned()), ..Default::default() }
}

/// Credentials of this user for the registry of an image.
pub(super) fn of_user(image: &str, username: &str, password: &str) -> DockerCredentials {
    let host = registry_of(image);
    DockerCredentials {
        username: Some(username.to_owned()),
        password: Some(password.to_owned()),
        ..address_only(if host == "docker.io" { HUB } else { host })
    }
}

/// Asks a credential helper; `None` when it has nothing for the registry.
async fn ask(helper: &str, registry: &str) -> Result<Option<DockerCredentials>, AuthError> {
    let program = format!("docker-credential-{helper}");
    let failed = |source| AuthError::Helper { program: program.clone(), source };
    let mut child = tokio::process::Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read its input may well know the answer.
        let _ = stdin.write_all(registry.as_bytes()).await;
    }
    let output = child.wait_with_output().await.map_err(failed)?;
    if !output.status.success() {
        // So says a helper that has none: on its output, with a failure.
        let none = output.stdout.starts_with(b"credentials not found");
        let no_credentials = AuthError::NoCredentials { program, registry: registry.to_owned() };
        return if none { Ok(None) } else { Err(no_credentials) };
    }
    let Ok(helped) = serde_json::from_slice::<Helped>(&output.stdout) else {
        return Err(AuthError::NoCredentials { program, registry: registry.to_owned() });
    };
    Ok(Some(match helped.username.as_str() {
        "<token>" => DockerCredentials { identitytoken: Some(helped.secret), ..address_only(registry) },
        _ => DockerCredentials {
            username: Some(helped.username),
            password: Some(helped.secret),
            ..address_only(registry)
        },
    }))
}

/// The host of a key of `auths`, which people write with and without scheme and path.
fn host_of(written: &str) -> &str {
    let rest = written.split_once("://").map_or(written, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or(rest);
    if host == "index.docker.io" { "docker.io" } else { host }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> DockerConfig {
        serde_json::from_str(text).unwrap()
    }

    #[tokio::test]
    async fn plain_credentials_are_found_however_the_registry_is_written() {
        // "ann:s3cret"
        let config = config(
            r#"{"auths": {"https://index.docker.io/v1/": {"auth": "YW5uOnMzY3JldA=="},
                "https://r.example:5000/v2/": {"username": "bob", "password": "pw"},
                "empty.example": {}}}"#,
        );
        let found = config.credentials("busybox").await.unwrap().unwrap();
        assert_eq!((found.username.as_deref(), found.password.as_deref()), (Some("ann"), Some("s3cret")));
        assert_eq!(found.serveraddress.as_deref(), Some(HUB));
        let found = config.credentials("r.example:5000/team/tool:1").await.unwrap().unwrap();
        assert_eq!(found.username.as_deref(), Some("bob"));
        assert_eq!(config.credentials("empty.example/x").await.unwrap(), None);
        assert_eq!(config.credentials("other.example/x").await.unwrap(), None);
        assert_eq!(config.credentials("docker.io/library/x").await.unwrap().unwrap().username.as_deref(), Some("ann"));
    }

    #[tokio::test]
    async fn a_helper_that_cannot_be_run_is_named() {
        let config = config(r#"{"credHelpers": {"r.example": "no-such-helper"}}"#);
        let error = config.credentials("r.example/x").await.unwrap_err();
        assert!(error.to_string().starts_with("cannot run `docker-credential-no-such-helper`"), "{error}");
        assert_eq!(config.credentials("other.example/x").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_missing_file_is_an_empty_configuration_and_a_bad_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        assert!(DockerConfig::read_from(path.clone()).await.unwrap().auths.is_empty());
        std::fs::write(&path, "{").unwrap();
        assert!(matches!(DockerConfig::read_from(path).await, Err(AuthError::Syntax { .. })));
    }
}
