//! Sign-in with a provider: there, back again, and what the page of an account says of it.

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use secrecy::SecretString;
use serde::Deserialize;
use subtle::ConstantTimeEq;
use tower_sessions::Session;

use super::account::{AccountPage, StepPage, own};
use super::enter::{enter, safe};
use super::page::{draw, part};
use crate::access::{Actor, Token};
use crate::app::members::open_invitation;
use crate::app::sign_in::{self, Came};
use crate::oidc::{Begun, Kept, Person, Proven, Provider, Purpose, no_cookie};
use crate::problem::Problem;
use crate::state::{Peer, ServerState};

/// The pages that are there where people may sign in with a provider.
pub(crate) fn router() -> Router<ServerState> {
    Router::new()
        .route("/login/{provider}", get(start))
        .route("/login/{provider}/callback", get(callback))
        .route("/login/{provider}/link", post(show))
        .route("/account/links", post(add))
        .route("/account/links/remove", post(remove))
}

fn named<'a>(state: &'a ServerState, name: &str) -> Result<&'a Provider, Problem> {
    state.providers().named(name).ok_or_else(Problem::not_found)
}

/// The page that says why nobody is signed in.
fn refuse(
    state: &ServerState,
    headers: &HeaderMap,
    provider: &Provider,
    problem: &Problem,
) -> Result<Response, Problem> {
    let title = format!("Sign in with {}", provider.label());
    StepPage::new(state, headers, &title, "").refuse(problem)
}

/// Begins a sign-in: where the provider wants people, and the cookie that they come back with.
async fn leave(state: &ServerState, provider: &Provider, purpose: Purpose) -> Result<(String, HeaderValue), Problem> {
    let (url, begun) = provider.begin(purpose).await.map_err(|error| error.told(provider.label()))?;
    Ok((url.into(), begun.keep(state).await?))
}

#[derive(Debug, Deserialize)]
struct Asked {
    #[serde(default)]
    next: String,
    invitation: Option<String>,
}

async fn start(
    State(state): State<ServerState>,
    Path(name): Path<String>,
    peer: Peer,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let provider = named(&state, &name)?;
    if !state.has_owner().await? {
        return Ok(Redirect::to(&format!("{}/setup", state.base())).into_response());
    }
    let left = async {
        state.limits().login(peer.0.ip())?;
        let purpose = match asked.invitation {
            Some(token) => {
                let invitation = Token::given(token).hash();
                open_invitation(&state, &invitation).await?;
                Purpose::Accept { invitation }
            }
            None => Purpose::Enter { next: safe(&asked.next, state.base()).to_owned() },
        };
        leave(&state, provider, purpose).await
    };
    match left.await {
        Ok((url, cookie)) => Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&url)).into_response()),
        Err(problem) => refuse(&state, &headers, provider, &problem),
    }
}

/// What the provider says when somebody comes back.
#[derive(Deserialize)]
struct Back {
    #[serde(default)]
    state: String,
    code: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

async fn callback(
    State(state): State<ServerState>,
    Path(name): Path<String>,
    actor: Actor,
    session: Session,
    headers: HeaderMap,
    Query(back): Query<Back>,
) -> Result<Response, Problem> {
    let provider = named(&state, &name)?;
    let came = async {
        let (person, purpose) = come_back(&state, provider, &headers, back).await?;
        let invitation = match &purpose {
            Purpose::Link { user } => {
                let owner = own(actor)?;
                if owner.id != *user {
                    return Err(Problem::conflict("somebody else is logged in here by now"));
                }
                sign_in::add_link(&state, provider, &person, &owner).await?;
                return Ok(Redirect::to(&format!("{}/account?done=linked", state.base())).into_response());
            }
            Purpose::Accept { invitation } => Some(invitation),
            Purpose::Enter { .. } => None,
        };
        match sign_in::sign_in(&state, provider, &person, invitation).await? {
            Came::In(user) => {
                enter(&session, user).await?;
                Ok(Redirect::to(&next(&state, &purpose)).into_response())
            }
            Came::As(user) => {
                let proven = Proven { provider: provider.name().to_owned(), person, user: user.id, purpose };
                let cookie = proven.keep(&state).await?;
                let page = draw(&show_page(&state, &headers, provider, &user.email))?;
                Ok(([(header::SET_COOKIE, cookie)], page).into_response())
            }
        }
    };
    let mut response = match came.await {
        Ok(response) => response,
        Err(problem) => refuse(&state, &headers, provider, &problem)?,
    };
    // What was begun is taken; a page that asks for more has a cookie of its own.
    if !response.headers().contains_key(header::SET_COOKIE) {
        response.headers_mut().insert(header::SET_COOKIE, no_cookie(&state)?);
    }
    Ok(response)
}

/// Who has come back, and what for, if it is this browser that was sent.
async fn come_back(
    state: &ServerState,
    provider: &Provider,
    headers: &HeaderMap,
    back: Back,
) -> Result<(Person, Purpose), Problem> {
    let begun = Begun::take(state, headers).await?.map(|(begun, _)| begun);
    let begun = begun.filter(|begun| {
        begun.provider == provider.name() && bool::from(begun.state.as_bytes().ct_eq(back.state.as_bytes()))
    });
    let begun = begun.ok_or_else(gone)?;
    if back.iss.is_some_and(|issuer| issuer != provider.issuer()) {
        return Err(Problem::conflict("another provider sent you back: nobody is signed in"));
    }
    let Some(code) = back.code else {
        let why = back.error.unwrap_or_else(|| "nothing".to_owned()).chars().take(100).collect::<String>();
        return Err(Problem::forbidden(format!("{} does not let you in: it says `{why}`", provider.label())));
    };
    let purpose = begun.purpose.clone();
    let person = provider.finish(code, begun).await.map_err(|error| error.told(provider.label()))?;
    Ok((person, purpose))
}

fn gone() -> Problem {
    Problem::conflict("this sign-in was used, took too long, or was begun in another browser: begin anew")
}

/// Where who has signed in wants to be.
fn next(state: &ServerState, purpose: &Purpose) -> String {
    match purpose {
        Purpose::Enter { next } => safe(next, state.base()).to_owned(),
        Purpose::Accept { .. } | Purpose::Link { .. } => format!("{}/", state.base()),
    }
}

/// The page that asks for the password of the account that somebody seems to have.
fn show_page<'a>(state: &'a ServerState, headers: &HeaderMap, provider: &Provider, email: &str) -> StepPage<'a> {
    let text = format!(
        "{email} has an account here. Its password shows once that it is yours; from then on {} lets you in.",
        provider.label()
    );
    StepPage {
        action: Some(format!("{}/login/{}/link", state.base(), part(provider.name()))),
        button: "Link and log in",
        asks_known_password: Some(email.to_owned()),
        ..StepPage::new(state, headers, "Is it you?", text)
    }
}

#[derive(Deserialize)]
struct Shown {
    password: SecretString,
}

/// Takes the password that shows that an account is theirs who came back.
async fn show(
    State(state): State<ServerState>,
    Path(name): Path<String>,
    peer: Peer,
    session: Session,
    headers: HeaderMap,
    Form(shown): Form<Shown>,
) -> Result<Response, Problem> {
    let provider = named(&state, &name)?;
    if let Err(problem) = state.limits().login(peer.0.ip()) {
        return refuse(&state, &headers, provider, &problem);
    }
    let proven = Proven::take(&state, &headers).await?.filter(|(proven, _)| proven.provider == provider.name());
    let Some((proven, token)) = proven else { return refuse(&state, &headers, provider, &gone()) };
    match sign_in::show(&state, provider, &proven, shown.password).await {
        Ok(user) => {
            enter(&session, user).await?;
            let next = Redirect::to(&next(&state, &proven.purpose));
            Ok(([(header::SET_COOKIE, no_cookie(&state)?)], next).into_response())
        }
        Err(problem) => {
            // Another try needs no other way to the provider and back.
            proven.keep_under(&state, &token).await?;
            let user = state.identity().user(proven.user).await?.ok_or_else(Problem::not_found)?;
            show_page(&state, &headers, provider, &user.email).refuse(&problem)
        }
    }
}

#[derive(Deserialize)]
struct Added {
    provider: String,
    #[serde(default)]
    old: SecretString,
}

/// Sends who is logged in to a provider that is to let them in from now on. By a page: a form may lead to this server alone.
async fn add(
    State(state): State<ServerState>,
    actor: Actor,
    headers: HeaderMap,
    Form(added): Form<Added>,
) -> Result<Response, Problem> {
    let user = own(actor)?;
    let provider = named(&state, &added.provider)?;
    let left = async {
        sign_in::may_link(&state, &user, added.old).await?;
        leave(&state, provider, Purpose::Link { user: user.id }).await
    };
    let (url, cookie) = match left.await {
        Ok(left) => left,
        Err(problem) => return AccountPage::after(&state, &headers, user, Err(problem)).await,
    };
    let refresh = HeaderValue::from_str(&format!("0; url={url}")).map_err(|_| Problem::internal())?;
    let title = format!("On to {}", provider.label());
    let text = "It sends you back here when you have signed in there.";
    let page = draw(&StepPage { onward: Some(url), button: "Go on", ..StepPage::new(&state, &headers, &title, text) })?;
    Ok(([(header::SET_COOKIE, cookie), (header::REFRESH, refresh)], page).into_response())
}

#[derive(Debug, Deserialize)]
struct Removed {
    issuer: String,
    subject: String,
}

async fn remove(
    State(state): State<ServerState>,
    actor: Actor,
    headers: HeaderMap,
    Form(removed): Form<Removed>,
) -> Result<Response, Problem> {
    let user = own(actor)?;
    let done = sign_in::remove_link(&state, &user, &removed.issuer, &removed.subject).await;
    AccountPage::after(&state, &headers, user, done.map(|()| "unlinked")).await
}
