//! Environments: kept, changed and forgotten.

use buildit::condition::Globs;
use buildit::pipeline::{EnvironmentSpec, Protection};
use buildit::plan::problem_of_variable;
use buildit::store::{Environment, SecretScope};
use jiff::Timestamp;

use super::approvals::Who;
use super::{audit, secrets};
use crate::access::Access;
use crate::list::{List, Page};
use crate::problem::Problem;
use crate::secrets::owner_of_environment;
use crate::state::ServerState;

/// How long the name of an environment may be.
const LONGEST_NAME: usize = 100;

/// How many people may be asked for, how long a stage may be held (as GitHub's longest: 30 days), how many variables there
/// may be and how large they may be together: each run keeps all of it.
const MOST_APPROVALS: u32 = 20;
const LONGEST_WAIT_DAYS: u64 = 30;
const MOST_VARIABLES: usize = 200;
const LARGEST: usize = 128 * 1024;

/// Whether an environment can be called that: a stage names it, and so does an address.
fn check_name(name: &str) -> Result<(), Problem> {
    let is_odd = |character: char| character.is_control() || "/\\?#%$".contains(character);
    if name.is_empty()
        || name.trim() != name
        || name.chars().count() > LONGEST_NAME
        || name.contains(is_odd)
        || name.starts_with('.')
    {
        let rule = format!(
            "the name of an environment has 1 to {LONGEST_NAME} characters, none of them `/`, `\\`, `?`, `#`, `%` or `$`"
        );
        return Err(Problem::invalid(rule));
    }
    Ok(())
}

fn check(spec: &EnvironmentSpec) -> Result<(), Problem> {
    let EnvironmentSpec { variables, protection } = spec;
    let size: usize = variables.iter().map(|(name, value)| name.len() + value.len()).sum();
    if variables.len() > MOST_VARIABLES || size > LARGEST {
        let limit = format!("an environment has at most {MOST_VARIABLES} variables, of at most 128 KiB together");
        return Err(Problem::invalid(limit));
    }
    if let Some(found) = variables.iter().find_map(|(name, value)| problem_of_variable(name, value)) {
        return Err(Problem::invalid(found.message));
    }
    let Protection { approvals, by, branches, wait, .. } = protection;
    if *approvals > MOST_APPROVALS || wait.as_secs() > LONGEST_WAIT_DAYS * 24 * 60 * 60 {
        let limit = format!("at most {MOST_APPROVALS} people can be asked for, and at most {LONGEST_WAIT_DAYS} days");
        return Err(Problem::invalid(limit));
    }
    if by.len() > MOST_VARIABLES || branches.len() > MOST_VARIABLES {
        return Err(Problem::invalid(format!("a list has at most {MOST_VARIABLES} entries")));
    }
    if let Some(bad) = by.iter().find(|word| Who::parse(word).is_none()) {
        return Err(Problem::invalid(format!("`{bad}` is neither `role:ROLE` nor `user:ADDRESS`")));
    }
    Globs::new(branches.iter().map(String::as_str)).map_err(|error| Problem::invalid(error.to_string()))?;
    Ok(())
}

/// The environments of a tenant, a page at a time.
pub(crate) async fn list(state: &ServerState, access: &Access, page: &Page) -> Result<List<Environment>, Problem> {
    let limit = page.limit();
    let found = state.store().environments(access.tenant.id, page.cursor.as_deref(), limit + 1).await?;
    Ok(List::cut(found, limit, |environment| environment.name.clone()))
}

/// The environment of this name.
pub(crate) async fn find(state: &ServerState, access: &Access, name: &str) -> Result<Environment, Problem> {
    state.store().environment(access.tenant.id, name).await?.ok_or_else(Problem::not_found)
}

/// Makes an environment what is said; a new one when there is none. With a version, only if it is still the one that is
/// there, which is 0 for none.
pub(crate) async fn put(
    state: &ServerState,
    access: &Access,
    name: &str,
    spec: EnvironmentSpec,
    version: Option<u64>,
) -> Result<Environment, Problem> {
    check_name(name)?;
    check(&spec)?;
    let there = state.store().environment(access.tenant.id, name).await?;
    let before = there.as_ref().map_or(0, |there| there.version);
    if version.is_some_and(|version| version != before) {
        return Err(Problem::changed());
    }
    let now = Timestamp::now();
    let made = Environment {
        tenant: access.tenant.id,
        name: name.to_owned(),
        spec,
        version: before + 1,
        created_at: there.map_or(now, |there| there.created_at),
        updated_at: now,
    };
    state.store().put_environment(made.clone()).await?;
    let action = if before == 0 { "environment.create" } else { "environment.update" };
    audit::of_tenant(state, access, action, name, &[]).await;
    Ok(made)
}

/// Forgets an environment and its secrets: a later one of the name has none of them.
pub(crate) async fn delete(state: &ServerState, access: &Access, name: &str) -> Result<(), Problem> {
    find(state, access, name).await?;
    let owner = owner_of_environment(access.tenant.id, name);
    secrets::forget_all(state, SecretScope::Environment, &owner).await?;
    if !state.store().delete_environment(access.tenant.id, name).await? {
        return Err(Problem::not_found());
    }
    audit::of_tenant(state, access, "environment.delete", name, &[]).await;
    Ok(())
}
