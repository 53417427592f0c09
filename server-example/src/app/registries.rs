//! Private registries: who fetches images for the runs of a tenant. Nobody is shown a password.

use buildit::pipeline::registry_of;
use buildit::secret::RegistryLogin;
use buildit::store::{SecretScope, SecretSummary};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::{audit, secrets};
use crate::access::Access;
use crate::problem::Problem;
use crate::secrets::Secrets;
use crate::state::ServerState;

/// Who may fetch from a registry, without the password.
#[derive(Debug)]
pub(crate) struct Registry {
    pub(crate) host: String,
    /// Empty when what is kept cannot be opened.
    pub(crate) username: String,
    pub(crate) updated_at: Timestamp,
}

/// Those of a tenant, by host.
pub(crate) async fn all(state: &ServerState, access: &Access) -> Result<Vec<Registry>, Problem> {
    let owner = access.tenant.id.to_string();
    let logins = state.secrets().registries(&owner).await.map_err(secrets::told)?;
    let set: Vec<SecretSummary> = secrets::list(state, SecretScope::Registry, &owner).await?;
    let registries = set.into_iter().map(|SecretSummary { place, updated_at, .. }| {
        let login = logins.iter().find(|login| login.registry == place.name);
        let username = login.map(|login| login.username.clone()).unwrap_or_default();
        Registry { host: place.name, username, updated_at }
    });
    Ok(registries.collect())
}

/// Sets who fetches from a registry, whoever it was before.
pub(crate) async fn set(
    state: &ServerState,
    access: &Access,
    host: &str,
    username: &str,
    password: SecretString,
) -> Result<(), Problem> {
    let (registry, username) = (host_of(host)?, username.trim().to_owned());
    if username.is_empty() || username.len() > 256 || username.contains(char::is_control) {
        return Err(Problem::invalid("a user of a registry has a name of 1 to 256 characters"));
    }
    if password.expose_secret().contains(char::is_control) {
        return Err(Problem::invalid("a password of a registry is of one line"));
    }
    let owner = access.tenant.id.to_string();
    let known = secrets::list(state, SecretScope::Registry, &owner).await?;
    let most = Secrets::MOST_REGISTRIES;
    if known.len() >= most && !known.iter().any(|known| known.place.name == registry) {
        return Err(Problem::conflict(format!("a tenant has at most {most} registries")));
    }
    let login = RegistryLogin { registry, username, password };
    state.secrets().set_registry(&owner, &login, Timestamp::now()).await.map_err(secrets::told)?;
    let details = [("username", login.username.into())];
    audit::of_tenant(state, access, "registry.set", login.registry, &details).await;
    Ok(())
}

/// Forgets who fetches from a registry.
pub(crate) async fn delete(state: &ServerState, access: &Access, host: &str) -> Result<(), Problem> {
    let registry = host_of(host)?;
    let owner = access.tenant.id.to_string();
    if !state.secrets().delete_registry(&owner, &registry).await.map_err(secrets::told)? {
        return Err(Problem::not_found());
    }
    audit::of_tenant(state, access, "registry.delete", registry, &[]).await;
    Ok(())
}

/// The host as images name it, out of what people write: `https://Registry.Example/v2/` is `registry.example`.
fn host_of(written: &str) -> Result<String, Problem> {
    let written = written.trim();
    let rest = written.split_once("://").map_or(written, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default().to_ascii_lowercase();
    let found = registry_of(&format!("{host}/")).to_owned();
    if found == "docker.io" && !host.ends_with("docker.io") {
        let hint = "images name it before their first slash, so it has a dot, a port, or is `localhost`";
        return Err(Problem::invalid(format!("`{host}` is no registry: {hint}")));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_known_however_it_is_written() {
        for (written, host) in [
            ("ghcr.io", "ghcr.io"),
            (" https://Registry.Example:5000/v2/ ", "registry.example:5000"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("docker.io", "docker.io"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(host_of(written).unwrap(), host);
        }
        for wrong in ["", "team", "https://"] {
            assert!(host_of(wrong).is_err(), "{wrong}");
        }
    }
}
