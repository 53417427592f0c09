//! The page of private registries.

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use buildit::account::Role;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;

use super::page::{Crumb, Frame, Place, When, draw};
use crate::app::registries::{self, Registry};
use crate::problem::Problem;
use crate::state::ServerState;

/// What is set. `Debug` shows no password.
#[derive(Debug, Deserialize)]
pub(crate) struct Filled {
    host: String,
    username: String,
    password: SecretString,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Named {
    host: String,
}

#[derive(Template)]
#[template(path = "settings_registries.html")]
struct RegistriesPage {
    frame: Frame,
    registries: Vec<Registry>,
    may_change: bool,
    problem: Option<String>,
    host: String,
    username: String,
}

impl RegistriesPage {
    async fn new(state: &ServerState, place: &Place) -> Result<Self, Problem> {
        let crumbs = vec![Crumb::to("Settings", format!("{}/settings", place.root())), Crumb::here("Registries")];
        let may_change = place.may(Role::Admin);
        Ok(Self {
            frame: place.frame("settings", "Registries", crumbs),
            registries: if may_change { registries::all(state, &place.access).await? } else { Vec::new() },
            may_change,
            problem: None,
            host: String::new(),
            username: String::new(),
        })
    }

    fn ago(&self, time: &Timestamp) -> When {
        When(*time)
    }
}

fn link(place: &Place) -> String {
    format!("{}/settings/registries", place.root())
}

pub(crate) async fn show(State(state): State<ServerState>, place: Place) -> Result<Response, Problem> {
    draw(&RegistriesPage::new(&state, &place).await?)
}

pub(crate) async fn set(
    State(state): State<ServerState>,
    place: Place,
    Form(filled): Form<Filled>,
) -> Result<Response, Problem> {
    let Filled { host, username, password } = filled;
    match registries::set(&state, &place.grant(Role::Admin)?, &host, &username, password).await {
        Ok(()) => Ok(Redirect::to(&link(&place)).into_response()),
        Err(problem) => {
            let said = Some(problem.said());
            let page = RegistriesPage { problem: said, host, username, ..RegistriesPage::new(&state, &place).await? };
            Ok((problem.status(), draw(&page)?).into_response())
        }
    }
}

pub(crate) async fn delete(
    State(state): State<ServerState>,
    place: Place,
    Path(one): Path<Named>,
) -> Result<Response, Problem> {
    registries::delete(&state, &place.grant(Role::Admin)?, &one.host).await?;
    Ok(Redirect::to(&link(&place)).into_response())
}
