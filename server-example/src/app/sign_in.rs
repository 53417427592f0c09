//! Whose account it is when somebody signs in with a provider, and who gets one.
//!
//! An account is known by the provider's issuer and subject. An address alone is no proof: an account here that has it is
//! linked when its password is given once, or, where the settings trust the provider so far, when the address is verified on
//! either side. Whoever set a password for an address that they never had gains nothing by that.

use buildit::account::{Invitation, LinkedAccount, Membership, TokenHash, User};
use buildit::id::UserId;
use buildit::store::StoreError;
use jiff::Timestamp;
use secrecy::SecretString;

use super::account::{note, prove};
use super::members;
use crate::oidc::{Person, Proven, Provider, Purpose};
use crate::problem::Problem;
use crate::state::ServerState;

/// How many accounts elsewhere let one user in.
const MOST: usize = 20;

/// Who has come back from a provider.
#[derive(Debug)]
pub(crate) enum Came {
    /// This user, who is let in.
    In(UserId),
    /// Somebody with the address of this user, who is to show that it is they.
    As(User),
}

/// Lets somebody in for whom a provider vouches, with an invitation perhaps.
pub(crate) async fn sign_in(
    state: &ServerState,
    provider: &Provider,
    person: &Person,
    invitation: Option<&TokenHash>,
) -> Result<Came, Problem> {
    let invited = match invitation {
        Some(hash) => Some(members::open_invitation(state, hash).await?),
        None => None,
    };
    let user = match state.identity().linked_user(&person.issuer, &person.subject).await? {
        Some(user) => user,
        None => match find(state, provider, person).await? {
            Found::Own(user) => {
                let link = link(person, user.id);
                if keep(state, link).await? {
                    note(state, &user, "account.link", provider.label()).await?;
                }
                user
            }
            Found::Like(user) => return Ok(Came::As(user)),
            Found::Nobody => create(state, provider, person, invited.as_ref()).await?,
        },
    };
    let user_id = user.id;
    enter(state, provider, person, user, invitation).await?;
    Ok(Came::In(user_id))
}

/// Whose account somebody's address says it is.
enum Found {
    /// Theirs.
    Own(User),
    /// Perhaps theirs.
    Like(User),
    Nobody,
}

async fn find(state: &ServerState, provider: &Provider, person: &Person) -> Result<Found, Problem> {
    let Some(email) = person.verified_email() else { return Ok(Found::Nobody) };
    let Some(user) = state.identity().user_by_email(email).await? else { return Ok(Found::Nobody) };
    if provider.links_addresses() && user.email_verified {
        return Ok(Found::Own(user));
    }
    if user.password_hash.is_none() {
        return Err(Problem::conflict(format!(
            "{email} has an account here without a password: log in as you did before, and link {} on the page of your account",
            provider.label()
        )));
    }
    Ok(Found::Like(user))
}

fn link(person: &Person, user: UserId) -> LinkedAccount {
    let (issuer, subject) = (person.issuer.clone(), person.subject.clone());
    LinkedAccount { issuer, subject, user, label: person.label().to_owned(), created_at: Timestamp::now() }
}

/// Keeps a link; whether it is new. One that is there for the same user does as well.
async fn keep(state: &ServerState, link: LinkedAccount) -> Result<bool, Problem> {
    let (issuer, subject, user) = (link.issuer.clone(), link.subject.clone(), link.user);
    if state.identity().links_of(user).await?.len() >= MOST {
        return Err(Problem::conflict(format!("{MOST} accounts elsewhere are enough for one here: remove one first")));
    }
    match state.identity().link(link).await {
        Ok(()) => Ok(true),
        Err(StoreError::Taken(_)) => match state.identity().linked_user(&issuer, &subject).await? {
            Some(linked) if linked.id == user => Ok(false),
            _ => Err(Problem::conflict("that account lets somebody else in here")),
        },
        Err(error) => Err(error.into()),
    }
}

/// Makes an account for somebody whom the settings or an invitation let in.
async fn create(
    state: &ServerState,
    provider: &Provider,
    person: &Person,
    invited: Option<&Invitation>,
) -> Result<User, Problem> {
    let label = provider.label();
    if invited.is_none() && !is_admitted(state, person).await? {
        return Err(Problem::forbidden(format!(
            "{label} knows you, but nobody here has invited {}: ask for an invitation, and open its link",
            person.email.as_deref().unwrap_or("you")
        )));
    }
    let (email, email_verified) = match (person.verified_email(), invited) {
        (Some(email), _) => (email, true),
        // Whoever has the link has read the mail, or was given it by who may invite.
        (None, Some(invited)) => (invited.email.as_str(), false),
        (None, None) => {
            return Err(Problem::forbidden(format!("{label} does not say which address is verified to be yours")));
        }
    };
    let user = User {
        id: UserId::new(),
        email: members::address(email)?,
        email_verified,
        name: person.name.trim().chars().take(100).collect(),
        password_hash: None,
        created_at: Timestamp::now(),
    };
    match state.identity().create_linked_user(user.clone(), link(person, user.id)).await {
        Ok(()) => Ok(user),
        // In another window at the same time, or the address is somebody's.
        Err(StoreError::Taken(_)) => {
            let linked = state.identity().linked_user(&person.issuer, &person.subject).await?;
            linked.ok_or_else(|| {
                Problem::conflict(format!(
                    "{} has an account here: accept the invitation with its password",
                    user.email
                ))
            })
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether the settings let somebody into an organization that there is.
async fn is_admitted(state: &ServerState, person: &Person) -> Result<bool, Problem> {
    for name in person.admitted.keys() {
        if state.identity().organization_named(name).await?.is_some() {
            return Ok(true);
        }
        tracing::warn!(organization = name, "people would be let into an organization that is not there");
    }
    Ok(false)
}

/// Makes who signs in what the settings and an invitation say, and notes it.
async fn enter(
    state: &ServerState,
    provider: &Provider,
    person: &Person,
    user: User,
    invitation: Option<&TokenHash>,
) -> Result<(), Problem> {
    for (name, role) in &person.admitted {
        let Some(organization) = state.identity().organization_named(name).await? else { continue };
        if state.identity().membership(organization.id, user.id).await?.is_some() {
            continue;
        }
        let (organization, created_at) = (organization.id, Timestamp::now());
        let member = Membership { organization, user: user.id, role: *role, invited_by: None, created_at };
        state.identity().set_member(member).await?;
        members::joined(state, &user, organization, *role).await;
    }
    if let Some(hash) = invitation {
        members::accept(state, hash, &user).await?;
    }
    note(state, &user, "account.login", provider.label()).await
}

/// Links the account of somebody who came back from a provider to the one here whose password they know, and lets them in.
pub(crate) async fn show(
    state: &ServerState,
    provider: &Provider,
    proven: &Proven,
    password: SecretString,
) -> Result<UserId, Problem> {
    let user = state.identity().user(proven.user).await?.ok_or_else(Problem::not_found)?;
    prove(state, &user, password).await?;
    let person = &proven.person;
    if keep(state, link(person, user.id)).await? {
        note(state, &user, "account.link", provider.label()).await?;
    }
    let invitation = match &proven.purpose {
        Purpose::Accept { invitation } => Some(invitation),
        Purpose::Enter { .. } | Purpose::Link { .. } => None,
    };
    let id = user.id;
    enter(state, provider, person, user, invitation).await?;
    Ok(id)
}

/// Refuses who may not add a way into this account: who has a password gives it.
pub(crate) async fn may_link(state: &ServerState, user: &User, password: SecretString) -> Result<(), Problem> {
    if user.password_hash.is_some() { prove(state, user, password).await } else { Ok(()) }
}

/// Lets a user, who is logged in, in by their account elsewhere from now on.
pub(crate) async fn add_link(
    state: &ServerState,
    provider: &Provider,
    person: &Person,
    user: &User,
) -> Result<(), Problem> {
    if keep(state, link(person, user.id)).await? {
        note(state, user, "account.link", provider.label()).await?;
    }
    Ok(())
}

/// Lets a user in by that account no more, unless nothing else does.
pub(crate) async fn remove_link(state: &ServerState, user: &User, issuer: &str, subject: &str) -> Result<(), Problem> {
    let providers = &state.settings().oidc;
    let is_way = |link: &LinkedAccount| {
        (link.issuer.as_str(), link.subject.as_str()) != (issuer, subject)
            && providers.iter().any(|provider| provider.issuer == link.issuer)
    };
    // One at a provider that is not set any more lets nobody in.
    if user.password_hash.is_none() && !state.identity().links_of(user.id).await?.iter().any(is_way) {
        return Err(StoreError::LastWayIn.into());
    }
    if !state.identity().unlink(user.id, issuer, subject).await? {
        return Err(Problem::not_found());
    }
    let provider = providers.iter().find(|provider| provider.issuer == issuer);
    note(state, user, "account.unlink", provider.map_or(issuer, |provider| provider.label())).await
}
