//! Organizations and who is in them.

use buildit::account::{Invitation, Membership, Organization, Role, TokenHash, User};
use buildit::id::{InvitationId, OrganizationId, UserId};
use jiff::{SignedDuration, Timestamp};

use super::audit;
use super::letter::{self, Letter};
use crate::access::{Actor, Token, role_in};
use crate::list::{List, Page};
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

/// How long an invitation may be accepted.
const INVITED: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What became of an invitation.
#[derive(Debug)]
pub(crate) enum Invite {
    /// It was sent to its address.
    Sent(Invitation),
    /// Whoever invites passes this link on: there is no mail server, or it did not take the letter.
    ToPassOn(Invitation, String),
}

/// Invites somebody to an organization, by mail where it is sent.
pub(crate) async fn invite(
    state: &ServerState,
    actor: &Actor,
    organization: &Organization,
    email: String,
    role: Role,
) -> Result<Invite, Problem> {
    if role > role_in(state, actor, organization.id, Role::Admin).await? {
        return Err(Problem::forbidden("nobody gives a role above their own"));
    }
    let token = Token::new("join").map_err(|_| Problem::internal())?;
    let now = Timestamp::now();
    let invitation = Invitation {
        id: InvitationId::new(),
        organization: organization.id,
        email: email.clone(),
        role,
        invited_by: actor.user(),
        created_at: now,
        expires_at: now + INVITED,
    };
    state.identity().create_invitation(invitation.clone(), token.hash()).await?;
    let what = format!("{email} {}", role.as_str());
    audit::of_organization(state, actor, organization.id, "member.invite", what).await;
    let link = format!("{}/invitations/{}", state.settings().url(), token.expose());
    let (name, who) = (&organization.name, actor.name());
    let subject = format!("join {name}");
    let text = format!(
        "{who} invites you to join {name} as {}. This link lets you in; it works once, for a week.",
        role.as_str()
    );
    match letter::post(state, Letter { to: &email, subject: &subject, text: &text, link: &link }).await {
        Ok(true) => Ok(Invite::Sent(invitation)),
        // It is made: who invites can still pass it on.
        Ok(false) | Err(_) => Ok(Invite::ToPassOn(invitation, link)),
    }
}

/// The invitations to an organization that nobody has accepted yet, a page at a time.
pub(crate) async fn invited(
    state: &ServerState,
    actor: &Actor,
    organization: OrganizationId,
    page: &Page,
) -> Result<List<Invitation>, Problem> {
    role_in(state, actor, organization, Role::Admin).await?;
    let found = state.identity().invitations(organization, page.after()?, page.limit() + 1).await?;
    Ok(List::cut(found, page.limit(), |one| one.id.to_string()))
}

/// Takes an invitation back.
pub(crate) async fn revoke(
    state: &ServerState,
    actor: &Actor,
    organization: OrganizationId,
    id: InvitationId,
) -> Result<(), Problem> {
    let mut page = Page::default();
    let invitation = loop {
        let found = invited(state, actor, organization, &page).await?;
        if let Some(found) = found.items.into_iter().find(|one| one.id == id) {
            break found;
        }
        page = Page::at(Some(found.next.ok_or_else(Problem::not_found)?));
    };
    state.identity().revoke_invitation(id).await?;
    audit::of_organization(state, actor, organization, "member.revoke", invitation.email).await;
    Ok(())
}

/// The invitation that the token of this hash accepts, if whoever made it could make it today: one who was taken out, or has a
/// smaller role, lets nobody in.
pub(crate) async fn open_invitation(state: &ServerState, hash: &TokenHash) -> Result<Invitation, Problem> {
    let found = state.identity().invitation(hash, Timestamp::now()).await?;
    let invitation = found.ok_or_else(Problem::not_found)?;
    let inviter = invitation.invited_by.ok_or_else(Problem::not_found)?;
    let membership = state.identity().membership(invitation.organization, inviter).await?;
    let stands = membership.is_some_and(|member| member.role >= Role::Admin && member.role >= invitation.role);
    if stands { Ok(invitation) } else { Err(Problem::not_found()) }
}

/// Makes a user a member by the invitation that the token of this hash accepts, if it still stands.
pub(crate) async fn accept(state: &ServerState, hash: &TokenHash, user: &User) -> Result<(), Problem> {
    open_invitation(state, hash).await?;
    let accepted = state.identity().accept_invitation(hash, user.id, Timestamp::now()).await?;
    let member = accepted.ok_or_else(Problem::not_found)?;
    joined(state, user, member.organization, member.role).await;
    Ok(())
}

/// Notes that somebody has become a member.
pub(super) async fn joined(state: &ServerState, user: &User, organization: OrganizationId, role: Role) {
    audit::of_organization(state, &Actor::User(user.clone()), organization, "member.join", role.as_str()).await;
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
    state.ended().notify_waiters();
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
