//! Repositories that tenants have connected.

use std::fmt::Debug;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{StoreError, check_text};
use crate::id::{RepositoryId, TenantId};
use crate::pipeline::CheckoutSpec;

/// A repository of a tenant. What lets somebody into it is a secret, and not here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// Its id.
    pub id: RepositoryId,
    /// Whose it is.
    pub tenant: TenantId,
    /// What people call it; one of a name in each tenant.
    pub name: String,
    /// Its address, without credentials; one of an address in each tenant.
    pub url: String,
    /// What else is known of it.
    pub settings: RepositorySettings,
    /// How it was fetched last.
    pub last_fetch: Option<Fetch>,
    /// Its webhook, if its forge was ever asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// How often it was written: 1 for a new one.
    pub version: u64,
    /// When it was connected.
    pub created_at: Timestamp,
    /// When it was written last.
    pub updated_at: Timestamp,
}

/// What is known of a repository beside its name and address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RepositorySettings {
    /// The forge that it is at, if it is at one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forge: Option<Forge>,
    /// Where the forge's API is, when that is not where it usually is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_url: Option<String>,
    /// What is shown to get into it.
    pub login: Login,
    /// The keys that its host is known by, where it is read by `ssh`: a line for each, as in `known_hosts` (`sshd(8)`).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host_keys: String,
    /// Whether the forge's API is shown a token of its own, which is a secret, in place of what lets somebody in.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub forge_token: bool,
    /// The branch of runs that name none; what the repository says without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_branch: Option<String>,
    /// How it is checked out for pipelines that do not say so themselves.
    pub checkout: CheckoutSpec,
    /// Of what its forge is told how it stands.
    pub statuses: StatusMode,
}

impl RepositorySettings {
    /// Whether the forge's API is shown a token: its own, or what lets somebody in.
    #[must_use]
    pub fn has_token(&self) -> bool {
        self.forge_token || self.login == Login::Token
    }
}

/// Of what a forge is told how it stands with a commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StatusMode {
    /// Of each pipeline.
    #[default]
    Pipelines,
    /// Of each of its stages too.
    Stages,
    /// Of nothing.
    Off,
}

impl StatusMode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pipelines, Self::Stages, Self::Off];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pipelines => "pipelines",
            Self::Stages => "stages",
            Self::Off => "off",
        }
    }
}

impl FromStr for StatusMode {
    type Err = StoreError;

    fn from_str(word: &str) -> Result<Self, StoreError> {
        let found = Self::ALL.into_iter().find(|mode| mode.as_str() == word);
        found.ok_or_else(|| StoreError::Unfit(format!("`{word}` is neither pipelines, stages nor off")))
    }
}

/// The webhook of a repository, as its forge had it when it was asked last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// How it stands.
    pub state: WebhookState,
    /// Why, where that needs to be said; without anything secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// When that was.
    pub at: Timestamp,
}

/// How it stands with a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WebhookState {
    /// It is there, as it must be.
    Made,
    /// It is there, but not as it must be.
    Wrong,
    /// It is not there.
    Missing,
    /// The forge did not say.
    Unknown,
}

impl WebhookState {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Wrong => "wrong",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        }
    }
}

/// What is shown to get into a repository. The value is a sealed secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Login {
    /// Nothing: everybody may read it.
    #[default]
    None,
    /// A token, over HTTPS.
    Token,
    /// A private key, over SSH.
    Key,
}

/// Where a repository is kept and worked on by people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Forge {
    /// GitHub, in the cloud and one's own.
    GitHub,
    /// GitLab.
    GitLab,
    /// Gitea, Forgejo and what they come from, Gogs.
    Gitea,
    /// Bitbucket in the cloud.
    Bitbucket,
}

impl Forge {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::GitHub, Self::GitLab, Self::Gitea, Self::Bitbucket];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
            Self::Gitea => "gitea",
            Self::Bitbucket => "bitbucket",
        }
    }
}

impl FromStr for Forge {
    type Err = StoreError;

    fn from_str(word: &str) -> Result<Self, StoreError> {
        let found = Self::ALL.into_iter().find(|forge| forge.as_str() == word);
        found.ok_or_else(|| StoreError::Unfit(format!("`{word}` is no forge")))
    }
}

/// How a repository was fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetch {
    /// When it ended.
    pub at: Timestamp,
    /// Why it failed, if it did; without anything secret.
    pub error: Option<String>,
}

/// Keeps the repositories of tenants.
#[async_trait]
pub trait RepositoryStore: Debug + Send + Sync + 'static {
    /// Puts a repository in the place of the one of its id that has the version before it: there must be none for version
    /// 1. Its tenant, the time at which it was connected, how it was fetched last, and what is known of its webhook, stay.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when another version is there, [`StoreError::Taken`] when another repository of the tenant
    /// has the name or the address, [`StoreError::Unfit`] when no store keeps one of them: then nothing is changed.
    async fn put_repository(&self, repository: Repository) -> Result<(), StoreError>;

    /// The repository of this id.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn repository(&self, id: RepositoryId) -> Result<Option<Repository>, StoreError>;

    /// The repository of a tenant at this address.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn repository_at(&self, tenant: TenantId, url: &str) -> Result<Option<Repository>, StoreError>;

    /// The repositories of a tenant in order of their names' bytes: those after this name, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot tell.
    async fn repositories(
        &self,
        tenant: TenantId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Repository>, StoreError>;

    /// Notes how a repository was fetched, which is no new version of it; nothing for one that is not there.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails.
    async fn note_fetch(&self, id: RepositoryId, fetch: Fetch) -> Result<(), StoreError>;

    /// Notes how it stands with a repository's webhook, which is no new version of it; nothing for one that is not there.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails.
    async fn note_webhook(&self, id: RepositoryId, webhook: Option<Webhook>) -> Result<(), StoreError>;

    /// Forgets a repository; whether there was one. Its pipelines and its secrets are for the caller to look after first.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails.
    async fn delete_repository(&self, id: RepositoryId) -> Result<bool, StoreError>;
}

/// Refuses a repository whose name or address no store keeps.
///
/// # Errors
///
/// [`StoreError::Unfit`] then.
pub fn check_repository(repository: &Repository) -> Result<(), StoreError> {
    check_text("the name of a repository", &repository.name)?;
    check_text("the address of a repository", &repository.url)
}

#[async_trait]
impl<T: RepositoryStore + ?Sized> RepositoryStore for Arc<T> {
    async fn put_repository(&self, repository: Repository) -> Result<(), StoreError> {
        (**self).put_repository(repository).await
    }

    async fn repository(&self, id: RepositoryId) -> Result<Option<Repository>, StoreError> {
        (**self).repository(id).await
    }

    async fn repository_at(&self, tenant: TenantId, url: &str) -> Result<Option<Repository>, StoreError> {
        (**self).repository_at(tenant, url).await
    }

    async fn repositories(
        &self,
        tenant: TenantId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Repository>, StoreError> {
        (**self).repositories(tenant, after, limit).await
    }

    async fn note_fetch(&self, id: RepositoryId, fetch: Fetch) -> Result<(), StoreError> {
        (**self).note_fetch(id, fetch).await
    }

    async fn note_webhook(&self, id: RepositoryId, webhook: Option<Webhook>) -> Result<(), StoreError> {
        (**self).note_webhook(id, webhook).await
    }

    async fn delete_repository(&self, id: RepositoryId) -> Result<bool, StoreError> {
        (**self).delete_repository(id).await
    }
}
