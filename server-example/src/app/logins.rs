//! What lets us into repositories: given, kept for their addresses alone, and shown there.

use buildit::id::Digest;
use buildit::store::{Login, Repository, SecretPlace};
use buildit_executors::remote::Credential;
use buildit_storage::secrets::SealError;
use secrecy::SecretString;

use super::secrets;
use crate::problem::Problem;
use crate::secrets::of_repository;
use crate::state::ServerState;

/// What the secrets are called.
const TOKEN: &str = "TOKEN";
const KEY: &str = "KEY";

/// What somebody has given to get in.
#[derive(Clone, Debug, Default)]
pub(crate) enum Given {
    #[default]
    Nothing,
    Token(SecretString),
    Key(SecretString),
}

impl From<Credential> for Given {
    fn from(credential: Credential) -> Self {
        match credential {
            Credential::None => Self::Nothing,
            Credential::Token(token) => Self::Token(token),
            Credential::Key(key) => Self::Key(key),
        }
    }
}

impl Given {
    /// What was filled in of the two, at most one.
    pub(crate) fn of(token: Option<SecretString>, key: Option<SecretString>) -> Result<Self, Problem> {
        match (token, key) {
            (Some(_), Some(_)) => Err(Problem::invalid("give a token or a key, not both")),
            (Some(token), None) => Ok(Self::Token(token)),
            (None, Some(key)) => Ok(Self::Key(key)),
            (None, None) => Ok(Self::Nothing),
        }
    }

    pub(super) fn login(&self) -> Login {
        match self {
            Self::Nothing => Login::None,
            Self::Token(_) => Login::Token,
            Self::Key(_) => Login::Key,
        }
    }

    pub(super) fn credential(&self) -> Credential {
        match self {
            Self::Nothing => Credential::None,
            Self::Token(token) => Credential::Token(token.clone()),
            Self::Key(key) => Credential::Key(key.clone()),
        }
    }
}

/// Seals what lets us in.
pub(super) async fn keep(state: &ServerState, repository: &Repository, given: &Given) -> Result<(), Problem> {
    let (name, value) = match given {
        Given::Nothing => return Ok(()),
        Given::Token(token) => (TOKEN, token),
        Given::Key(key) => (KEY, key),
    };
    secrets::seal(state, &shown_at(repository, name), value).await
}

/// Where what lets us in is kept. It is for the addresses of now alone: whoever reads it beside somebody who changes them, or
/// after one who was killed at that, shows no host what was given for another.
fn shown_at(repository: &Repository, name: &str) -> SecretPlace {
    let addresses = format!("{}\n{}", repository.url, repository.settings.api_url.as_deref().unwrap_or_default());
    let digest = Digest::of(addresses.as_bytes()).to_hex();
    of_repository(repository.id, &format!("{name}_{}", &digest[..16]))
}

/// What lets us into a repository as it is now, if it was kept.
async fn kept(state: &ServerState, repository: &Repository, name: &str) -> Result<Option<SecretString>, SealError> {
    match state.secrets().open(&shown_at(repository, name)).await? {
        Some(value) => Ok(Some(value)),
        // As it was kept before it was told by addresses.
        None => state.secrets().open(&of_repository(repository.id, name)).await,
    }
}

/// The token that a repository's forge knows, if it has one.
pub(crate) async fn token(state: &ServerState, repository: &Repository) -> Result<Option<SecretString>, SealError> {
    match repository.settings.login {
        Login::Token => kept(state, repository, TOKEN).await,
        Login::None | Login::Key => Ok(None),
    }
}

/// Forgets what let us in where a repository was before.
pub(super) async fn forget(state: &ServerState, repository: &Repository) -> Result<(), Problem> {
    for name in [TOKEN, KEY] {
        for place in [shown_at(repository, name), of_repository(repository.id, name)] {
            state.store().delete_secret(&place).await?;
        }
    }
    Ok(())
}

/// What lets us into a repository.
pub(super) async fn credential(state: &ServerState, repository: &Repository) -> Result<Credential, Problem> {
    let name = match repository.settings.login {
        Login::None => return Ok(Credential::None),
        Login::Token => TOKEN,
        Login::Key => KEY,
    };
    let value = kept(state, repository, name).await.map_err(secrets::told)?;
    let value = value.ok_or_else(|| Problem::conflict("the repository's token or key is gone: give it anew"))?;
    Ok(if name == TOKEN { Credential::Token(value) } else { Credential::Key(value) })
}

#[cfg(test)]
mod tests {
    use buildit::store::RepositorySettings;
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_token_or_a_key_is_given_and_not_both() {
        assert!(Given::of(Some("a".into()), Some("b".into())).is_err());
    }

    #[test]
    fn what_lets_us_in_is_kept_for_its_addresses_alone() {
        let at = |url: &str, api_url: Option<&str>| {
            let settings = RepositorySettings { api_url: api_url.map(str::to_owned), ..RepositorySettings::default() };
            let now = Timestamp::UNIX_EPOCH;
            let repository = Repository {
                id: uuid::Uuid::nil().into(),
                tenant: buildit::id::TenantId::NONE,
                name: "shop".into(),
                url: url.into(),
                settings,
                last_fetch: None,
                webhook: None,
                version: 1,
                created_at: now,
                updated_at: now,
            };
            shown_at(&repository, TOKEN)
        };
        let known = at("https://a.example/x", None);
        assert_eq!(known, at("https://a.example/x", None));
        assert!(
            known != at("https://b.example/x", None) && known != at("https://a.example/x", Some("https://b.example"))
        );
    }
}
