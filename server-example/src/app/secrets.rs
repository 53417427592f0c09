//! Secrets: set, listed by name, and forgotten. Nobody is shown a value.

use buildit::store::{SecretPlace, SecretScope, SecretSummary};
use buildit_storage::secrets::SealError;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::audit;
use crate::access::Access;
use crate::problem::Problem;
use crate::state::ServerState;

/// How long a value may be.
const LONGEST: usize = 64 * 1024;

/// How many of one owner are listed.
const LISTED: usize = 500;

/// Whether a secret can be called that: it becomes a variable of jobs.
fn check(name: &str) -> Result<(), Problem> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_good = (1..=100).contains(&name.len())
        && name.bytes().all(is_plain)
        && !name.starts_with(|first: char| first.is_ascii_digit());
    if is_good {
        return Ok(());
    }
    Err(Problem::invalid("the name of a secret has 1 to 100 letters, digits and `_`, and begins with no digit"))
}

pub(crate) async fn set(
    state: &ServerState,
    access: &Access,
    place: &SecretPlace,
    value: SecretString,
) -> Result<(), Problem> {
    check(&place.name)?;
    if value.expose_secret().is_empty() || value.expose_secret().len() > LONGEST {
        return Err(Problem::invalid("a secret has 1 byte to 64 KiB"));
    }
    state.secrets().set(place, &value, Timestamp::now()).await.map_err(told)?;
    audit::of_tenant(state, access, "secret.set", place.to_string(), &[]).await;
    Ok(())
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
    let before = SecretPlace { scope, owner: owner.to_owned(), name: String::new() };
    let found = state.store().secrets(Some(&before), LISTED).await?;
    Ok(found.into_iter().take_while(|found| found.place.scope == scope && found.place.owner == owner).collect())
}

fn told(error: SealError) -> Problem {
    tracing::error!(error = &error as &dyn std::error::Error, "a secret cannot be kept");
    Problem::internal()
}
