//! The pages of environments: the list, and one with its variables, secrets and rules.

use std::time::Duration;

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use buildit::account::Role;
use buildit::pipeline::{EnvironmentSpec, Protection, StarterRule};
use buildit::store::{Environment, SecretScope, SecretSummary};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;

use super::page::{Crumb, Frame, Place, When, draw, part};
use crate::app::{environments, secrets};
use crate::list::{Asked, List, Page};
use crate::problem::Problem;
use crate::secrets::{of_environment, owner_of_environment};
use crate::state::ServerState;

fn home(place: &Place) -> String {
    format!("{}/environments", place.root())
}

#[derive(Template)]
#[template(path = "environments.html")]
struct ListPage {
    frame: Frame,
    environments: List<Environment>,
    may_change: bool,
    problem: Option<String>,
    name: String,
}

impl ListPage {
    async fn new(state: &ServerState, place: &Place, page: &Page) -> Result<Self, Problem> {
        let frame = place.frame("environments", "Environments", vec![Crumb::here("Environments")]);
        let environments = environments::list(state, &place.access, page).await?;
        let may_change = place.may(Role::Admin);
        Ok(Self { frame, environments, may_change, problem: None, name: String::new() })
    }

    fn link(&self, name: &str) -> String {
        format!("{}/environments/{}", self.frame.root, part(name))
    }

    fn more(&self) -> Option<String> {
        let next = self.environments.next.as_ref()?;
        Some(format!("{}/environments?cursor={}", self.frame.root, part(next)))
    }

    fn rules(&self, environment: &Environment) -> String {
        rules(&environment.spec.protection)
    }
}

/// What must be before a stage starts, in a few words.
fn rules(protection: &Protection) -> String {
    let mut all = Vec::new();
    match protection.approvals {
        0 => {}
        1 => all.push("1 approval".to_owned()),
        more => all.push(format!("{more} approvals")),
    }
    if !protection.branches.is_empty() {
        all.push(protection.branches.join(", "));
    }
    if !protection.wait.is_zero() {
        all.push(format!("waits {} min", protection.wait.as_secs().div_ceil(60)));
    }
    if all.is_empty() { "not protected".to_owned() } else { all.join(" · ") }
}

pub(crate) async fn list(
    State(state): State<ServerState>,
    place: Place,
    Query(page): Query<Page>,
) -> Result<Response, Problem> {
    draw(&ListPage::new(&state, &place, &page).await?)
}

#[derive(Debug, Deserialize)]
pub(crate) struct New {
    name: String,
}

pub(crate) async fn create(
    State(state): State<ServerState>,
    place: Place,
    Form(new): Form<New>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Admin)?;
    let name = new.name.trim();
    match environments::put(&state, &access, name, EnvironmentSpec::default(), Some(0)).await {
        Ok(made) => Ok(Redirect::to(&format!("{}/{}", home(&place), part(&made.name))).into_response()),
        Err(problem) => {
            let page = ListPage::new(&state, &place, &Page::default()).await?;
            let page = ListPage { problem: Some(problem.said()), name: new.name, ..page };
            Ok((problem.status(), draw(&page)?).into_response())
        }
    }
}

#[derive(Template)]
#[template(path = "environment.html")]
struct OnePage {
    frame: Frame,
    environment: Environment,
    secrets: List<SecretSummary>,
    link: String,
    may_change: bool,
    problem: Option<String>,
}

impl OnePage {
    async fn new(state: &ServerState, place: &Place, name: &str, page: &Page) -> Result<Self, Problem> {
        let environment = environments::find(state, &place.access, name).await?;
        let crumbs = vec![Crumb::to("Environments", home(place)), Crumb::here(&environment.name)];
        let frame = place.frame("environments", &environment.name, crumbs);
        let may_change = place.may(Role::Admin);
        let owner = owner_of_environment(place.access.tenant.id, name);
        let secrets = match may_change {
            true => secrets::page(state, SecretScope::Environment, &owner, page).await?,
            false => List { items: Vec::new(), next: None },
        };
        let link = format!("{}/{}", home(place), part(&environment.name));
        Ok(Self { frame, environment, secrets, link, may_change, problem: None })
    }

    fn ago(&self, time: &Timestamp) -> When {
        When(*time)
    }

    /// Where the secrets are that come after these.
    fn more(&self) -> Option<String> {
        Some(format!("{}?cursor={}", self.link, part(self.secrets.next.as_ref()?)))
    }

    fn rules(&self) -> String {
        rules(&self.environment.spec.protection)
    }

    fn by(&self) -> String {
        self.environment.spec.protection.by.join(", ")
    }

    fn branches(&self) -> String {
        self.environment.spec.protection.branches.join(", ")
    }

    fn minutes(&self) -> u64 {
        self.environment.spec.protection.wait.as_secs().div_ceil(60)
    }

    fn is_starter_out(&self) -> bool {
        self.environment.spec.protection.starter == StarterRule::MayNot
    }

    fn forget(&self, kind: &str, name: &str) -> String {
        format!("{}/{kind}/{}/delete", self.link, part(name))
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Named {
    environment: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct NamedWithin {
    environment: String,
    name: String,
}

pub(crate) async fn show(
    State(state): State<ServerState>,
    place: Place,
    Path(named): Path<Named>,
    Asked(page): Asked<Page>,
) -> Result<Response, Problem> {
    draw(&OnePage::new(&state, &place, &named.environment, &page).await?)
}

/// Back to the environment, or the same page with what is wrong.
async fn answer(
    state: &ServerState,
    place: &Place,
    name: &str,
    done: Result<(), Problem>,
) -> Result<Response, Problem> {
    match done {
        Ok(()) => Ok(Redirect::to(&format!("{}/{}", home(place), part(name))).into_response()),
        Err(problem) => {
            let page = OnePage::new(state, place, name, &Page::default()).await?;
            let drawn = draw(&OnePage { problem: Some(problem.said()), ..page })?;
            Ok((problem.status(), drawn).into_response())
        }
    }
}

/// Changes what is there, unless somebody else does meanwhile.
async fn change(
    state: &ServerState,
    place: &Place,
    name: &str,
    change: impl FnOnce(&mut EnvironmentSpec) -> Result<(), Problem>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Admin)?;
    let Environment { mut spec, version, .. } = environments::find(state, &access, name).await?;
    let done = match change(&mut spec) {
        Ok(()) => environments::put(state, &access, name, spec, Some(version)).await.map(drop),
        Err(problem) => Err(problem),
    };
    answer(state, place, name, done).await
}

#[derive(Debug, Deserialize)]
pub(crate) struct Variable {
    name: String,
    value: String,
}

pub(crate) async fn set_variable(
    State(state): State<ServerState>,
    place: Place,
    Path(named): Path<Named>,
    Form(given): Form<Variable>,
) -> Result<Response, Problem> {
    let set = |spec: &mut EnvironmentSpec| {
        // Forms send every line end as two characters.
        spec.variables.insert(given.name.trim().to_owned(), given.value.replace("\r\n", "\n"));
        Ok(())
    };
    change(&state, &place, &named.environment, set).await
}

pub(crate) async fn delete_variable(
    State(state): State<ServerState>,
    place: Place,
    Path(named): Path<NamedWithin>,
) -> Result<Response, Problem> {
    let delete =
        |spec: &mut EnvironmentSpec| spec.variables.shift_remove(&named.name).map(drop).ok_or_else(Problem::not_found);
    change(&state, &place, &named.environment, delete).await
}

/// The rules, as the form has them.
#[derive(Debug, Deserialize)]
pub(crate) struct Rules {
    #[serde(default)]
    approvals: String,
    #[serde(default)]
    by: String,
    starter: Option<String>,
    #[serde(default)]
    branches: String,
    #[serde(default)]
    minutes: String,
}

/// Words between commas.
fn words(text: &str) -> Vec<String> {
    text.split([',', '\n']).map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn number<N: std::str::FromStr + Default>(text: &str, what: &str) -> Result<N, Problem> {
    match text.trim() {
        "" => Ok(N::default()),
        text => text.parse().map_err(|_| Problem::invalid(format!("{what} is a number"))),
    }
}

impl Rules {
    fn read(self) -> Result<Protection, Problem> {
        let minutes: u32 = number(&self.minutes, "a time to wait")?;
        Ok(Protection {
            approvals: number(&self.approvals, "how many approvals are needed")?,
            by: words(&self.by),
            starter: if self.starter.is_some() { StarterRule::MayNot } else { StarterRule::May },
            branches: words(&self.branches),
            wait: Duration::from_secs(u64::from(minutes) * 60),
        })
    }
}

pub(crate) async fn protect(
    State(state): State<ServerState>,
    place: Place,
    Path(named): Path<Named>,
    Form(rules): Form<Rules>,
) -> Result<Response, Problem> {
    change(&state, &place, &named.environment, |spec| {
        spec.protection = rules.read()?;
        Ok(())
    })
    .await
}

#[derive(Debug, Deserialize)]
pub(crate) struct Secret {
    name: String,
    value: SecretString,
}

pub(crate) async fn set_secret(
    State(state): State<ServerState>,
    place: Place,
    Path(named): Path<Named>,
    Form(given): Form<Secret>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Admin)?;
    environments::find(&state, &access, &named.environment).await?;
    let at = of_environment(access.tenant.id, &named.environment, given.name.trim());
    let done = secrets::set(&state, &access, &at, given.value).await;
    answer(&state, &place, &named.environment, done).await
}

pub(crate) async fn delete_secret(
    State(state): State<ServerState>,
    place: Place,
    Path(named): Path<NamedWithin>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Admin)?;
    let at = of_environment(access.tenant.id, &named.environment, &named.name);
    let done = secrets::delete(&state, &access, &at).await;
    answer(&state, &place, &named.environment, done).await
}

#[derive(Debug, Deserialize)]
pub(crate) struct Typed {
    typed: String,
}

pub(crate) async fn delete(
    State(state): State<ServerState>,
    place: Place,
    Path(named): Path<Named>,
    Form(sure): Form<Typed>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Admin)?;
    if sure.typed.trim() != named.environment {
        let problem = Problem::invalid("type the name of the environment to delete it");
        return answer(&state, &place, &named.environment, Err(problem)).await;
    }
    environments::delete(&state, &access, &named.environment).await?;
    Ok(Redirect::to(&home(&place)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_from_a_form_and_told_in_words() {
        let form = Rules {
            approvals: " 2 ".into(),
            by: "role:admin,, user:ann@example.org ".into(),
            starter: Some("on".into()),
            branches: "main\nrelease/*".into(),
            minutes: "5".into(),
        };
        let read = form.read().unwrap();
        assert_eq!(read.by, ["role:admin", "user:ann@example.org"]);
        assert_eq!((read.starter, read.wait), (StarterRule::MayNot, Duration::from_secs(300)));
        assert_eq!(rules(&read), "2 approvals · main, release/* · waits 5 min");
        assert_eq!(rules(&Protection::default()), "not protected");
        let bad = Rules { approvals: "many".into(), ..empty() };
        assert_eq!(bad.read().unwrap_err().detail(), Some("how many approvals are needed is a number"));
        assert_eq!(empty().read().unwrap(), Protection::default());
    }

    fn empty() -> Rules {
        let nothing = String::new;
        Rules { approvals: nothing(), by: nothing(), starter: None, branches: nothing(), minutes: nothing() }
    }
}
