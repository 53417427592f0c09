//! One's own account, and the way back in for who has forgotten their password.

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use buildit::account::{LinkedAccount, User};
use secrecy::SecretString;
use serde::Deserialize;
use tower_sessions::Session;

use super::assets::VERSION;
use super::enter::enter;
use super::page::{Theme, draw};
use crate::access::Actor;
use crate::app::account;
use crate::app::members::address;
use crate::problem::Problem;
use crate::providers::ProviderSettings;
use crate::state::{Peer, ServerState};

/// A page with a sentence and one step to take.
#[derive(Template)]
#[template(path = "step.html")]
pub(super) struct StepPage<'a> {
    pub(super) base: &'a str,
    pub(super) theme: &'static str,
    pub(super) version: &'static str,
    pub(super) title: String,
    pub(super) text: String,
    pub(super) problem: Option<&'a str>,
    /// Where the form leads, when there is one.
    pub(super) action: Option<String>,
    /// Where one goes on to, when there is no form.
    pub(super) onward: Option<String>,
    pub(super) button: &'static str,
    pub(super) asks_email: bool,
    pub(super) asks_password: bool,
    /// Whose password is asked for that is set already.
    pub(super) asks_known_password: Option<String>,
}

impl<'a> StepPage<'a> {
    pub(super) fn new(
        state: &'a ServerState,
        headers: &HeaderMap,
        title: impl Into<String>,
        text: impl Into<String>,
    ) -> Self {
        Self {
            base: state.base(),
            theme: Theme::of(headers).word(),
            version: &VERSION,
            title: title.into(),
            text: text.into(),
            problem: None,
            action: None,
            onward: None,
            button: "",
            asks_email: false,
            asks_password: false,
            asks_known_password: None,
        }
    }

    fn forgot(state: &'a ServerState, headers: &HeaderMap) -> Self {
        let text = "A link that sets another password is sent to your address.";
        Self {
            action: Some(format!("{}/forgot", state.base())),
            button: "Send the link",
            asks_email: true,
            ..Self::new(state, headers, "Forgotten password", text)
        }
    }

    fn reset(state: &'a ServerState, headers: &HeaderMap, token: &str) -> Self {
        let text = "All your logins end with it. API keys stay as they are.";
        Self {
            action: Some(format!("{}/reset/{}", state.base(), super::page::part(token))),
            button: "Set it",
            asks_password: true,
            ..Self::new(state, headers, "Another password", text)
        }
    }

    fn verify(state: &'a ServerState, headers: &HeaderMap, token: &str) -> Self {
        Self {
            action: Some(format!("{}/verify/{}", state.base(), super::page::part(token))),
            button: "It is mine",
            ..Self::new(state, headers, "Your address", "Say that mail to your address arrives.")
        }
    }

    pub(super) fn refuse(self, problem: &Problem) -> Result<Response, Problem> {
        let said = problem.said();
        let page = draw(&StepPage { problem: Some(&said), ..self })?;
        Ok((problem.status(), page).into_response())
    }
}

pub(crate) async fn forgot_page(State(state): State<ServerState>, headers: HeaderMap) -> Result<Response, Problem> {
    draw(&StepPage::forgot(&state, &headers))
}

#[derive(Debug, Deserialize)]
pub(crate) struct Forgotten {
    email: String,
}

pub(crate) async fn forgot(
    State(state): State<ServerState>,
    peer: Peer,
    headers: HeaderMap,
    Form(forgotten): Form<Forgotten>,
) -> Result<Response, Problem> {
    let asked = (|| {
        state.limits().login(peer.0.ip())?;
        let email = address(&forgotten.email)?;
        state.limits().password(&email)?;
        account::forgot(&state, &email);
        Ok(())
    })();
    match asked {
        Ok(()) => {
            let text = match state.mail() {
                Some(_) => "If somebody here has this address, a link is on its way.",
                None => {
                    "This server sends no mail: if somebody here has this address, whoever runs it finds a link in its log."
                }
            };
            draw(&StepPage::new(&state, &headers, "Look for the link", text))
        }
        Err(problem) => StepPage::forgot(&state, &headers).refuse(&problem),
    }
}

pub(crate) async fn reset_page(
    State(state): State<ServerState>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    draw(&StepPage::reset(&state, &headers, &token))
}

#[derive(Debug, Deserialize)]
pub(crate) struct NewPassword {
    password: SecretString,
}

pub(crate) async fn reset(
    State(state): State<ServerState>,
    Path(token): Path<String>,
    peer: Peer,
    headers: HeaderMap,
    Form(new): Form<NewPassword>,
) -> Result<Response, Problem> {
    state.limits().login(peer.0.ip())?;
    match account::reset(&state, &token, new.password).await {
        Ok(()) => Ok(Redirect::to(&format!("{}/login", state.base())).into_response()),
        Err(problem) => StepPage::reset(&state, &headers, &token).refuse(&problem),
    }
}

pub(crate) async fn verify_page(
    State(state): State<ServerState>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    draw(&StepPage::verify(&state, &headers, &token))
}

pub(crate) async fn verify(
    State(state): State<ServerState>,
    Path(token): Path<String>,
    peer: Peer,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    state.limits().login(peer.0.ip())?;
    match account::verify(&state, &token).await {
        Ok(()) => draw(&StepPage::new(&state, &headers, "Your address", "Thank you: it is known to be yours.")),
        Err(problem) => StepPage::verify(&state, &headers, &token).refuse(&problem),
    }
}

#[derive(Template)]
#[template(path = "account.html")]
pub(super) struct AccountPage<'a> {
    base: &'a str,
    theme: &'static str,
    version: &'static str,
    user: User,
    problem: Option<String>,
    note: Option<&'static str>,
    /// With whom one may sign in.
    providers: &'a [ProviderSettings],
    /// The accounts elsewhere that let one in, and whose they are.
    links: Vec<(String, LinkedAccount)>,
}

impl<'a> AccountPage<'a> {
    async fn new(state: &'a ServerState, headers: &HeaderMap, user: User) -> Result<Self, Problem> {
        let (base, theme, providers) = (state.base(), Theme::of(headers).word(), &state.settings().oidc[..]);
        let whose = |link: &LinkedAccount| match providers.iter().find(|provider| provider.issuer == link.issuer) {
            Some(provider) => provider.label().to_owned(),
            None => link.issuer.clone(),
        };
        let links = if providers.is_empty() { Vec::new() } else { state.identity().links_of(user.id).await? };
        let links = links.into_iter().map(|link| (whose(&link), link)).collect();
        Ok(Self { base, theme, version: &VERSION, user, problem: None, note: None, providers, links })
    }

    /// The page after a step, with what was wrong with it.
    pub(super) async fn after(
        state: &ServerState,
        headers: &HeaderMap,
        user: User,
        done: Result<&str, Problem>,
    ) -> Result<Response, Problem> {
        match done {
            Ok(done) => Ok(Redirect::to(&format!("{}/account?done={done}", state.base())).into_response()),
            Err(problem) => {
                let said = problem.said();
                let page = draw(&AccountPage { problem: Some(said), ..AccountPage::new(state, headers, user).await? })?;
                Ok((problem.status(), page).into_response())
            }
        }
    }
}

/// Who is logged in.
pub(super) fn own(actor: Actor) -> Result<User, Problem> {
    match actor {
        Actor::User(user) => Ok(user),
        _ => Err(Problem::unauthenticated()),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Done {
    done: String,
}

pub(crate) async fn page(
    State(state): State<ServerState>,
    actor: Actor,
    headers: HeaderMap,
    Query(done): Query<Done>,
) -> Result<Response, Problem> {
    let note = match done.done.as_str() {
        "changed" => Some("Saved."),
        "password" => Some("The password is another one now; all your other logins have ended."),
        "linked" => Some("That account lets you in from now on."),
        "unlinked" => Some("That account lets you in no more."),
        "sent" if state.mail().is_some() => Some("A link is on its way to your address."),
        "sent" => Some("This server sends no mail: whoever runs it finds the link in its log."),
        _ => None,
    };
    draw(&AccountPage { note, ..AccountPage::new(&state, &headers, own(actor)?).await? })
}

#[derive(Debug, Deserialize)]
pub(crate) struct Changed {
    #[serde(default)]
    name: String,
    email: String,
    #[serde(default)]
    old: SecretString,
}

pub(crate) async fn change(
    State(state): State<ServerState>,
    actor: Actor,
    headers: HeaderMap,
    Form(changed): Form<Changed>,
) -> Result<Response, Problem> {
    let user = own(actor)?;
    let done = match address(&changed.email) {
        Ok(email) => account::change(&state, user.clone(), &changed.name, email, changed.old).await,
        Err(problem) => Err(problem),
    };
    AccountPage::after(&state, &headers, user, done.map(|()| "changed")).await
}

#[derive(Debug, Deserialize)]
pub(crate) struct Passwords {
    old: SecretString,
    password: SecretString,
}

pub(crate) async fn change_password(
    State(state): State<ServerState>,
    actor: Actor,
    session: Session,
    headers: HeaderMap,
    Form(given): Form<Passwords>,
) -> Result<Response, Problem> {
    let user = own(actor)?;
    let done = account::change_password(&state, user.clone(), given.old, given.password).await;
    if done.is_ok() {
        enter(&session, user.id).await?;
    }
    AccountPage::after(&state, &headers, user, done.map(|()| "password")).await
}

pub(crate) async fn send_verification(
    State(state): State<ServerState>,
    actor: Actor,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let user = own(actor)?;
    let sent = match state.limits().password(&user.email) {
        Ok(()) => account::send_verification(&state, &user).await,
        Err(problem) => Err(problem),
    };
    AccountPage::after(&state, &headers, user, sent.map(|()| "sent")).await
}
