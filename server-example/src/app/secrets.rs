//! Secrets: set, listed by name, and forgotten. Nobody is shown a value.

use buildit::store::{SecretPlace, SecretScope, SecretSummary};
use buildit_storage::secrets::SealError;
use jiff::Timestamp;
use secrecy::SecretString;

use super::audit;
use crate::access::Access;
use crate::list::{List, Page};
use crate::problem::Problem;
use crate::state::ServerState;

/// How many of one owner are read at once.
const LISTED: usize = 500;

pub(crate) async fn set(
    state: &ServerState,
    access: &Access,
    place: &SecretPlace,
    value: SecretString,
) -> Result<(), Problem> {
    state.secrets().set(place, &value, Timestamp::now()).await.map_err(told)?;
    audit::of_tenant(state, access, "secret.set", place.to_string(), &[]).await;
    Ok(())
}

/// Seals what the server itself uses, and nobody has set by its name.
pub(crate) async fn seal(state: &ServerState, place: &SecretPlace, value: &SecretString) -> Result<(), Problem> {
    state.secrets().set(place, value, Timestamp::now()).await.map(drop).map_err(told)
}

/// What is sealed in a place, for the server itself.
pub(crate) async fn open(state: &ServerState, place: &SecretPlace) -> Result<Option<SecretString>, Problem> {
    state.secrets().open(place).await.map_err(told)
}

pub(crate) async fn delete(state: &ServerState, access: &Access, place: &SecretPlace) -> Result<(), Problem> {
    if !state.store().delete_secret(place).await? {
        return Err(Problem::not_found());
    }
    audit::of_tenant(state, access, "secret.delete", place.to_string(), &[]).await;
    Ok(())
}

/// Those of one owner, by name.
pub(crate) async fn list(state: &ServerState, scope: SecretScope, owner: &str) -> Result<Vec<SecretSummary>, Problem> {
    after(state, scope, owner, String::new(), LISTED).await
}

/// A page of those of one owner, by name.
pub(crate) async fn page(
    state: &ServerState,
    scope: SecretScope,
    owner: &str,
    page: &Page,
) -> Result<List<SecretSummary>, Problem> {
    let found = after(state, scope, owner, page.cursor.clone().unwrap_or_default(), page.limit() + 1).await?;
    Ok(List::cut(found, page.limit(), |secret| secret.place.name.clone()))
}

/// Forgets all of one owner, who is going.
pub(super) async fn forget_all(state: &ServerState, scope: SecretScope, owner: &str) -> Result<(), Problem> {
    loop {
        let page = list(state, scope, owner).await?;
        if page.is_empty() {
            return Ok(());
        }
        for secret in page {
            state.store().delete_secret(&secret.place).await?;
        }
    }
}

async fn after(
    state: &ServerState,
    scope: SecretScope,
    owner: &str,
    name: String,
    limit: usize,
) -> Result<Vec<SecretSummary>, Problem> {
    let before = SecretPlace { scope, owner: owner.to_owned(), name };
    let found = state.store().secrets(Some(&before), limit).await?;
    Ok(found.into_iter().take_while(|found| found.place.scope == scope && found.place.owner == owner).collect())
}

pub(super) fn told(error: SealError) -> Problem {
    match error {
        SealError::Name(_)
        | SealError::Registry(_)
        | SealError::Owner(_)
        | SealError::TooShort
        | SealError::TooLong => Problem::invalid(error.to_string()),
        SealError::Busy(_) => Problem::conflict(error.to_string()),
        error => {
            tracing::error!(error = &error as &dyn std::error::Error, "a secret cannot be kept");
            Problem::internal()
        }
    }
}
