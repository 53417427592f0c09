//! The secrets of a server.

use async_trait::async_trait;
use buildit::store::{SecretPlace, SecretScope, SecretSummary};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::client::body;
use super::{Client, Me, RemoteError, pipelines};
use crate::args::Owner;
use crate::exit::Failure;
use crate::session::{Listed, Vault};

/// The secrets of a server, which seals them itself.
#[derive(Debug)]
pub(crate) struct RemoteVault(Client);

#[derive(Debug, Deserialize)]
struct Secret {
    name: String,
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Serialize)]
struct NewSecret<'a> {
    value: &'a str,
}

impl RemoteVault {
    /// Those of this server.
    pub(crate) fn new(client: Client) -> Self {
        Self(client)
    }

    /// The id and the name of the tenant that the key is of.
    async fn tenant(&self) -> Result<(String, String), Failure> {
        let me: Me = self.0.get(&["me"], &[]).await?;
        me.tenant.zip(me.tenant_name).ok_or_else(|| Failure::usage("secrets are of a tenant, and this key is of none"))
    }

    /// Where the secrets of this owner are, below the API's root.
    async fn path(&self, scope: SecretScope, owner: &str) -> Result<Vec<String>, Failure> {
        let own = |path: &[&str]| path.iter().map(|&part| part.to_owned()).collect();
        match scope {
            SecretScope::Organization | SecretScope::Channel | SecretScope::Registry => Err(Failure::usage(
                "a server keeps secrets of tenants, pipelines and environments, and none of a whole organization",
            )),
            SecretScope::Repository => {
                Err(Failure::usage("what lets a server into a repository is set with the repository, on its page"))
            }
            SecretScope::Tenant => match self.tenant().await? {
                (id, name) if name == owner => Ok(own(&["tenants", &id, "secrets"])),
                (_, name) => {
                    Err(Failure::usage(format!("this key is of the tenant `{name}`; `{owner}` takes one of its own")))
                }
            },
            SecretScope::Pipeline => Ok(own(&["pipelines", &pipelines::named(&self.0, owner).await?.id, "secrets"])),
            SecretScope::Environment => {
                let (tenant, _) = self.tenant().await?;
                Ok(own(&["tenants", &tenant, "environments", owner, "secrets"]))
            }
        }
    }

    async fn all(&self, owner: Option<Owner>) -> Result<Vec<SecretSummary>, Failure> {
        let Owner { scope, name: owner } = match owner {
            Some(owner) => owner,
            None => self.usual_owner().await?,
        };
        let path = self.path(scope, &owner).await?;
        let found: Vec<Secret> =
            self.0.list(&parts(&path), &[], usize::MAX).await.map_err(|e| absent(e, scope, &owner))?;
        let summary = |Secret { name, version, created_at, updated_at }| SecretSummary {
            place: SecretPlace { scope, owner: owner.clone(), name },
            version,
            // Which one is nobody's affair but the server's.
            key_id: String::new(),
            created_at,
            updated_at,
        };
        Ok(found.into_iter().map(summary).collect())
    }
}

#[async_trait]
impl Vault for RemoteVault {
    async fn usual_owner(&self) -> Result<Owner, Failure> {
        let (_, name) = self.tenant().await?;
        Ok(Owner { scope: SecretScope::Tenant, name })
    }

    async fn set(&self, place: &SecretPlace, value: SecretString) -> Result<Option<u64>, Failure> {
        let path = self.path(place.scope, &place.owner).await?;
        let path: Vec<&str> = parts(&path).into_iter().chain([&*place.name]).collect();
        let new = body(&NewSecret { value: value.expose_secret() })?;
        self.0.tell(Method::PUT, &path, new).await.map_err(|error| absent(error, place.scope, &place.owner))?;
        Ok(None)
    }

    async fn delete(&self, place: &SecretPlace) -> Result<bool, Failure> {
        let path = self.path(place.scope, &place.owner).await?;
        let path: Vec<&str> = parts(&path).into_iter().chain([&*place.name]).collect();
        match self.0.tell(Method::DELETE, &path, None).await {
            Err(error) if error.status() == Some(404) => Ok(false),
            told => Ok(told.map(|()| true)?),
        }
    }

    fn list(&self, owner: Option<Owner>) -> Listed<'_> {
        stream::once(self.all(owner)).map_ok(|all| stream::iter(all).map(Ok)).try_flatten().boxed()
    }
}

fn parts(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}

/// Whose secrets are not there is said by name.
fn absent(error: RemoteError, scope: SecretScope, owner: &str) -> Failure {
    match error.status() {
        Some(404) => Failure::usage(format!("there is no {} `{owner}` on this server", scope.as_str())),
        _ => error.into(),
    }
}
