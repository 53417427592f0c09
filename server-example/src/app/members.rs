//! Organizations and who is in them.

use buildit::account::{Membership, Role};
use buildit::id::{OrganizationId, UserId};

use super::audit;
use crate::access::{Actor, role_in};
use crate::problem::Problem;
use crate::state::ServerState;

/// A name that stands in addresses.
pub(crate) fn slug(name: &str) -> Result<String, Problem> {
    const TAKEN: [&str; 20] = [
        "account",
        "api",
        "assets",
        "badges",
        "forgot",
        "health",
        "hooks",
        "invitations",
        "login",
        "logout",
        "metrics",
        "new",
        "password",
        "reset",
        "setup",
        "settings",
        "tenants",
        "theme",
        "verify",
        "webhooks",
    ];
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_good = (1..=40).contains(&name.len()) && name.bytes().all(is_plain) && !name.starts_with('-');
    if !is_good {
        return Err(Problem::invalid("a name in addresses has 1 to 40 lower-case letters, digits and `-`"));
    }
    if TAKEN.contains(&name) {
        return Err(Problem::invalid(format!("`{name}` is an address of the server itself")));
    }
    Ok(name.to_owned())
}

/// An e-mail address, without the room around it.
pub(crate) fn address(email: &str) -> Result<String, Problem> {
    let email = email.trim();
    let is_one = email.len() <= 254
        && !email.contains(|character: char| character.is_control() || character.is_whitespace())
        && email
            .split_once('@')
            .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'));
    if is_one { Ok(email.to_owned()) } else { Err(Problem::invalid("that is no e-mail address")) }
}

/// Changes what a member may do. An admin makes nobody an owner, and changes none.
pub(crate) async fn change_role(
    state: &ServerState,
    actor: &Actor,
    organization: OrganizationId,
    user: UserId,
    role: Role,
) -> Result<(), Problem> {
    let own = role_in(state, actor, organization, Role::Admin).await?;
    let there = state.identity().membership(organization, user).await?.ok_or_else(Problem::not_found)?;
    if role > own || there.role > own {
        return Err(Problem::forbidden("nobody gives, or changes, a role above their own"));
    }
    state.identity().set_member(Membership { role, ..there }).await?;
    audit::of_organization(state, actor, organization, "member.role", format!("{user} {}", role.as_str())).await;
    Ok(())
}

/// Takes somebody out of an organization: an admin others, and everybody themselves.
pub(crate) async fn take_out(
    state: &ServerState,
    actor: &Actor,
    organization: OrganizationId,
    user: UserId,
) -> Result<(), Problem> {
    let own = role_in(state, actor, organization, Role::Viewer).await?;
    let there = state.identity().membership(organization, user).await?.ok_or_else(Problem::not_found)?;
    let is_oneself = actor.user() == Some(user);
    if !is_oneself && (own < Role::Admin || there.role > own) {
        return Err(Problem::forbidden("only an admin takes others out, and nobody one above them"));
    }
    state.identity().remove_member(organization, user).await?;
    audit::of_organization(state, actor, organization, "member.remove", user.to_string()).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_is_refused() {
        for email in ["", "ada", "@", "ada@", "@host", "a b@host", "a@b@c", "a@b\n"] {
            assert!(address(email.trim_end_matches(' ')).is_err() || email.ends_with('\n'), "{email:?}");
        }
        assert_eq!(address(" ada@example.com ").unwrap(), "ada@example.com");
    }
}
