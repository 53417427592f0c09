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
const FORGE: &str = "FORGE";

/// What somebody has given to get in.
#[derive(Clone, Debug, Default)]
pub(crate) enum Given {
    #[default]
    Nothing,
    Token(SecretString),
    Key(SecretString),
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

/// What somebody has given anew; the rest is as it was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Anew<'a> {
    pub(super) given: Option<&'a Given>,
    pub(super) forge_token: Option<&'a SecretString>,
}

impl<'a> Anew<'a> {
    fn named(self, name: &str) -> Option<&'a SecretString> {
        match (name, self.given) {
            (FORGE, _) => self.forge_token,
            (TOKEN, Some(Given::Token(value))) | (KEY, Some(Given::Key(value))) => Some(value),
            _ => None,
        }
    }
}

/// Seals what is shown at the addresses of a repository: what was given anew and, for other addresses than before, what was
/// kept for those.
pub(super) async fn keep(
    state: &ServerState,
    before: Option<&Repository>,
    repository: &Repository,
    anew: Anew<'_>,
) -> Result<(), Problem> {
    let settings = &repository.settings;
    let shown =
        [(TOKEN, settings.login == Login::Token), (KEY, settings.login == Login::Key), (FORGE, settings.forge_token)];
    for (name, _) in shown.into_iter().filter(|(_, is_shown)| *is_shown) {
        let value = match (anew.named(name), before) {
            (Some(value), _) => Some(value.clone()),
            (None, Some(before)) => Some(required(kept(state, before, name).await)?),
            (None, None) => None,
        };
        if let Some(value) = value {
            secrets::seal(state, &shown_at(repository, name), &value).await?;
        }
    }
    Ok(())
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

fn required(kept: Result<Option<SecretString>, SealError>) -> Result<SecretString, Problem> {
    let kept = kept.map_err(secrets::told)?;
    kept.ok_or_else(|| Problem::conflict("the repository's token or key is gone: give it anew"))
}

/// The token that the API of a repository's forge is shown, if it is shown one: its own, or what lets us in.
pub(crate) async fn token(state: &ServerState, repository: &Repository) -> Result<Option<SecretString>, SealError> {
    match (repository.settings.forge_token, repository.settings.login) {
        (true, _) => kept(state, repository, FORGE).await,
        (false, Login::Token) => kept(state, repository, TOKEN).await,
        (false, Login::None | Login::Key) => Ok(None),
    }
}

/// Forgets what the API alone was shown.
pub(super) async fn forget_forge(state: &ServerState, repository: &Repository) -> Result<(), Problem> {
    state.store().delete_secret(&shown_at(repository, FORGE)).await?;
    Ok(())
}

/// Forgets what let us in where a repository was before.
pub(super) async fn forget(state: &ServerState, repository: &Repository) -> Result<(), Problem> {
    for name in [TOKEN, KEY, FORGE] {
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
    let value = required(kept(state, repository, name).await)?;
    Ok(if name == TOKEN { Credential::Token(value) } else { Credential::Key(value) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use buildit::store::RepositorySettings;

    #[test]
    fn a_token_or_a_key_is_given_and_not_both() {
        assert!(Given::of(Some("a".into()), Some("b".into())).is_err());
    }

    #[test]
    fn what_lets_us_in_is_kept_for_its_addresses_alone() {
        let at = |url: &str, api_url: Option<&str>| {
            let settings = RepositorySettings { api_url: api_url.map(str::to_owned), ..RepositorySettings::default() };
            let repository = samples::repository(url, settings);
            shown_at(&repository, TOKEN)
        };
        let known = at("https://a.example/x", None);
        assert_eq!(known, at("https://a.example/x", None));
        assert!(
            known != at("https://b.example/x", None) && known != at("https://a.example/x", Some("https://b.example"))
        );
    }
}
