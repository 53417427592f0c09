//! How one gets in: the owner is made, people log in and accept invitations.

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use buildit::account::{Organization, Tenant, User};
use buildit::id::{OrganizationId, UserId};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use tower_sessions::Session;

use super::assets::VERSION;
use super::page::{Theme, draw, part};
use crate::access::{Actor, Token, USER};
use crate::app::audit;
use crate::app::members::{accept as accept_invitation, address, open_invitation, slug};
use crate::app::organizations::PLAN;
use crate::problem::Problem;
use crate::state::{Peer, ServerState};

/// A page with one form.
#[derive(Template)]
#[template(path = "enter.html")]
struct EnterPage<'a> {
    base: String,
    theme: &'static str,
    version: &'static str,
    title: &'a str,
    text: &'a str,
    action: String,
    button: &'a str,
    problem: Option<String>,
    email: String,
    name: String,
    organization: Option<String>,
    is_new: bool,
    has_email: bool,
    token: String,
    next: String,
    /// Whether who has forgotten the password is shown the way.
    has_forgot: bool,
    /// With whom one may sign in instead.
    ways: Vec<Way>,
}

/// A button that leads to a provider.
#[derive(Clone, Debug)]
struct Way {
    label: String,
    link: String,
}

/// One for each provider; it is told what for.
fn ways(state: &ServerState, what_for: &str, value: &str) -> Vec<Way> {
    let providers = state.settings().oidc.iter();
    let way = |name: &str| format!("{}/login/{}?{what_for}={}", state.base(), part(name), part(value));
    providers.map(|provider| Way { label: provider.label().to_owned(), link: way(&provider.name) }).collect()
}

impl<'a> EnterPage<'a> {
    fn new(
        state: &ServerState,
        headers: &HeaderMap,
        title: &'a str,
        text: &'a str,
        action: impl Into<String>,
        button: &'a str,
    ) -> Self {
        let base = state.base().to_owned();
        Self {
            action: format!("{base}{}", action.into()),
            base,
            theme: Theme::of(headers).word(),
            version: &VERSION,
            title,
            text,
            button,
            problem: None,
            email: String::new(),
            name: String::new(),
            organization: None,
            is_new: false,
            has_email: true,
            token: String::new(),
            next: String::new(),
            has_forgot: false,
            ways: Vec::new(),
        }
    }

    fn refuse(mut self, problem: &Problem) -> Result<Response, Problem> {
        self.problem = Some(problem.said());
        let page = draw(&self)?;
        Ok((problem.status(), page).into_response())
    }
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    token: String,
    #[serde(default)]
    next: String,
}

/// What is filled in. A password is never shown, not by `Debug` either.
#[derive(Debug, Deserialize)]
pub(crate) struct Filled {
    #[serde(default)]
    email: String,
    password: SecretString,
    #[serde(default)]
    name: String,
    #[serde(default)]
    organization: String,
    #[serde(default)]
    token: String,
    #[serde(default)]
    next: String,
}

/// Where to go after a login: a page of this server.
pub(super) fn safe<'a>(next: &'a str, base: &'a str) -> &'a str {
    // Browsers leave out control characters, and take `\\` for `/`.
    let is_odd = |character: char| character.is_control() || character == '\\';
    let is_own = next.starts_with('/') && !next.starts_with("//") && !next.contains(is_odd);
    match (is_own, base) {
        (true, _) => next,
        (false, "") => "/",
        (false, base) => base,
    }
}

fn may_found(state: &ServerState, actor: &Actor, token: &str) -> Result<(), Problem> {
    if matches!(actor, Actor::Founder) || state.setup().is(token) {
        return Ok(());
    }
    Err(Problem::forbidden("open the address that the server printed at its start: it has the setup token"))
}

const SETUP: (&str, &str) =
    ("Welcome to BuildIt", "You are the first one here. Make the account that owns this server.");

pub(crate) async fn setup_page(
    State(state): State<ServerState>,
    actor: Actor,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    if state.has_owner().await? {
        return Ok(Redirect::to(&format!("{}/login", state.base())).into_response());
    }
    may_found(&state, &actor, &asked.token)?;
    draw(&EnterPage {
        organization: Some(String::new()),
        is_new: true,
        token: asked.token,
        ..EnterPage::new(&state, &headers, SETUP.0, SETUP.1, "/setup", "Create the owner")
    })
}

pub(crate) async fn setup(
    State(state): State<ServerState>,
    actor: Actor,
    peer: Peer,
    session: Session,
    headers: HeaderMap,
    Form(filled): Form<Filled>,
) -> Result<Response, Problem> {
    let page = EnterPage {
        organization: Some(filled.organization.clone()),
        is_new: true,
        email: filled.email.clone(),
        name: filled.name.clone(),
        token: filled.token.clone(),
        ..EnterPage::new(&state, &headers, SETUP.0, SETUP.1, "/setup", "Create the owner")
    };
    let made = async {
        state.limits().login(peer.0.ip())?;
        may_found(&state, &actor, &filled.token)?;
        found(&state, filled, &session).await
    };
    match made.await {
        Ok(to) => Ok(Redirect::to(&to).into_response()),
        Err(problem) => page.refuse(&problem),
    }
}

/// Makes the owner with an organization and its first tenant, and logs them in.
async fn found(state: &ServerState, filled: Filled, session: &Session) -> Result<String, Problem> {
    let now = Timestamp::now();
    let organization = slug(filled.organization.trim())?;
    let owner = User {
        id: UserId::new(),
        email: address(&filled.email)?,
        email_verified: false,
        name: filled.name.trim().to_owned(),
        password_hash: Some(state.passwords().digest(filled.password).await?),
        created_at: now,
    };
    let organization = Organization {
        id: OrganizationId::new(),
        name: organization,
        plan: PLAN.to_owned(),
        billing_email: None,
        created_at: now,
    };
    // What was made before there was an owner is in it.
    let tenant =
        Tenant { id: state.default_tenant(), organization: organization.id, name: "main".to_owned(), created_at: now };
    let organization_name = organization.name.clone();
    let (founder, founded) = (Actor::User(owner.clone()), organization.id);
    let (user, root) = (owner.id, format!("{}/{}/{}", state.base(), organization.name, tenant.name));
    if !state.identity().found(owner, organization, tenant).await? {
        return Err(Problem::conflict("there is an owner already"));
    }
    audit::of_organization(state, &founder, founded, "organization.create", organization_name).await;
    enter(session, user).await?;
    Ok(root)
}

/// From now on this browser is this user. A new session, so that nobody else knows its id.
pub(super) async fn enter(session: &Session, user: UserId) -> Result<(), Problem> {
    let entered = async {
        session.cycle_id().await?;
        session.insert(USER, user).await
    };
    entered.await.map_err(|error| {
        tracing::error!(%error, "a session cannot be kept");
        Problem::internal()
    })
}

const LOGIN: (&str, &str) = ("Log in", "");

pub(crate) async fn login_page(
    State(state): State<ServerState>,
    actor: Actor,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    if !state.has_owner().await? {
        return Ok(Redirect::to(&format!("{}/setup", state.base())).into_response());
    }
    if matches!(actor, Actor::User(_)) {
        return Ok(Redirect::to(safe(&asked.next, state.base())).into_response());
    }
    let next = safe(&asked.next, state.base()).to_owned();
    draw(&EnterPage {
        ways: ways(&state, "next", &next),
        next,
        has_forgot: true,
        ..EnterPage::new(&state, &headers, LOGIN.0, LOGIN.1, "/login", "Log in")
    })
}

pub(crate) async fn login(
    State(state): State<ServerState>,
    peer: Peer,
    session: Session,
    headers: HeaderMap,
    Form(filled): Form<Filled>,
) -> Result<Response, Problem> {
    let page = EnterPage {
        email: filled.email.clone(),
        ways: ways(&state, "next", safe(&filled.next, state.base())),
        next: safe(&filled.next, state.base()).to_owned(),
        has_forgot: true,
        ..EnterPage::new(&state, &headers, LOGIN.0, LOGIN.1, "/login", "Log in")
    };
    let next = safe(&filled.next, state.base()).to_owned();
    let entered = async {
        state.limits().login(peer.0.ip())?;
        state.limits().password(&filled.email)?;
        let user = state.identity().user_by_email(filled.email.trim()).await?;
        let kept = user.as_ref().and_then(|user| user.password_hash.clone());
        let is_right = state.passwords().is_of(filled.password, kept).await?;
        let user = user.filter(|_| is_right).ok_or_else(|| Problem::invalid("the address or the password is wrong"))?;
        enter(&session, user.id).await
    };
    match entered.await {
        Ok(()) => Ok(Redirect::to(&next).into_response()),
        Err(problem) => page.refuse(&problem),
    }
}

pub(crate) async fn logout(State(state): State<ServerState>, session: Session) -> Redirect {
    if let Err(error) = session.flush().await {
        tracing::error!(%error, "a session cannot be ended");
    }
    state.ended().notify_waiters();
    Redirect::to(&format!("{}/login", state.base()))
}

pub(crate) async fn invitation_page(
    State(state): State<ServerState>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (text, email, is_new) = invited(&state, &token).await?;
    draw(&EnterPage {
        email,
        is_new,
        has_email: false,
        ways: ways(&state, "invitation", &token),
        ..EnterPage::new(&state, &headers, "You are invited", &text, format!("/invitations/{token}"), "Accept")
    })
}

/// What an invitation says, whom it is for, and whether they are new here.
async fn invited(state: &ServerState, token: &str) -> Result<(String, String, bool), Problem> {
    let invitation = open_invitation(state, &Token::given(token).hash()).await?;
    let organization = state.identity().organization(invitation.organization).await?.ok_or_else(Problem::not_found)?;
    let user = state.identity().user_by_email(&invitation.email).await?;
    let text = match user {
        Some(_) => {
            format!("Log in as {} to join {} as {}.", invitation.email, organization.name, invitation.role.as_str())
        }
        None => format!(
            "Choose a password for {} to join {} as {}.",
            invitation.email,
            organization.name,
            invitation.role.as_str()
        ),
    };
    Ok((text, invitation.email, user.is_none()))
}

pub(crate) async fn accept(
    State(state): State<ServerState>,
    Path(token): Path<String>,
    peer: Peer,
    session: Session,
    headers: HeaderMap,
    Form(filled): Form<Filled>,
) -> Result<Response, Problem> {
    state.limits().login(peer.0.ip())?;
    let (text, email, is_new) = invited(&state, &token).await?;
    let name = filled.name.trim().to_owned();
    match join(&state, &token, &email, filled).await {
        Ok(user) => {
            enter(&session, user).await?;
            Ok(Redirect::to(&format!("{}/", state.base())).into_response())
        }
        Err(problem) => {
            let action = format!("/invitations/{token}");
            let page = EnterPage::new(&state, &headers, "You are invited", &text, action, "Accept");
            let ways = ways(&state, "invitation", &token);
            EnterPage { email, name, is_new, has_email: false, ways, ..page }.refuse(&problem)
        }
    }
}

/// Makes the user, or sees that it is they, and makes them a member.
async fn join(state: &ServerState, token: &str, email: &str, filled: Filled) -> Result<UserId, Problem> {
    let user = match state.identity().user_by_email(email).await? {
        Some(user) => {
            state.limits().password(email)?;
            if !state.passwords().is_of(filled.password, user.password_hash.clone()).await? {
                return Err(Problem::invalid("the password is wrong"));
            }
            user
        }
        None => {
            let user = User {
                id: UserId::new(),
                email: email.to_owned(),
                // Whoever has the link has read the mail, or was given it by who may invite.
                email_verified: false,
                name: filled.name.trim().to_owned(),
                password_hash: Some(state.passwords().digest(filled.password).await?),
                created_at: Timestamp::now(),
            };
            state.identity().create_user(user.clone()).await?;
            user
        }
    };
    accept_invitation(state, &Token::given(token).hash(), &user).await?;
    Ok(user.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_no_other_site() {
        for next in
            ["//evil.example", "https://evil.example", "", "evil", "/\\evil.example", "/a\r\nb", "/\t/evil.example"]
        {
            assert_eq!(safe(next, ""), "/", "{next}");
            assert_eq!(safe(next, "/ci"), "/ci", "{next}");
        }
        assert_eq!(safe("/acme/main?tab=x", "/ci"), "/acme/main?tab=x");
    }
}
