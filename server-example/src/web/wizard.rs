//! The wizard that makes a pipeline.

use askama::Template;
use axum::Form;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use buildit::account::Role;
use buildit::diagnostic::Severity;
use buildit::store::Repository;
use serde::Deserialize;

use super::page::{Crumb, Frame, Place, draw, part};
use super::pipelines::Written;
use crate::app::{pipelines, repositories};
use crate::problem::{Finding, Problem};
use crate::state::ServerState;

/// A text to begin with.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) text: &'static str,
}

/// The texts that a new pipeline may begin with. Each of them runs.
pub(crate) const SAMPLES: [Sample; 4] = [
    Sample { name: "hello", about: "One stage, no image", text: include_str!("../../templates/samples/hello.kdl") },
    Sample {
        name: "checks",
        about: "Stages at once, then one that needs them",
        text: include_str!("../../templates/samples/checks.kdl"),
    },
    Sample {
        name: "matrix",
        about: "The same stage with several values",
        text: include_str!("../../templates/samples/matrix.kdl"),
    },
    Sample {
        name: "release",
        about: "A parameter, an artifact, and a person who says yes",
        text: include_str!("../../templates/samples/release.kdl"),
    },
];

/// How many repositories are offered.
const OFFERED: usize = 200;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Begin {
    template: Option<String>,
}

#[derive(Template)]
#[template(path = "new.html")]
struct NewPage {
    frame: Frame,
    samples: &'static [Sample],
    /// What a pipeline may be made of instead, when there is anything, and the one that was chosen.
    repositories: Vec<Repository>,
    from: FromRepository,
    may_connect: bool,
    chosen: String,
    name: String,
    config: String,
    problem: Option<String>,
    findings: Vec<Finding>,
}

impl NewPage {
    async fn new(state: &ServerState, place: &Place) -> Result<Self, Problem> {
        let crumbs = vec![Crumb::to("Pipelines", format!("{}/pipelines", place.root())), Crumb::here("New pipeline")];
        Ok(Self {
            frame: place.frame("pipelines", "New pipeline", crumbs),
            samples: &SAMPLES,
            repositories: state.store().repositories(place.access.tenant.id, None, OFFERED).await?,
            from: FromRepository::default(),
            may_connect: place.may(Role::Admin),
            chosen: String::new(),
            name: String::new(),
            config: String::new(),
            problem: None,
            findings: Vec::new(),
        })
    }

    fn is_chosen(&self, repository: &Repository) -> bool {
        repository.id.to_string() == self.from.repository
    }
}

pub(crate) async fn new_page(
    State(state): State<ServerState>,
    place: Place,
    Query(begin): Query<Begin>,
) -> Result<Response, Problem> {
    place.grant(Role::Member)?;
    let chosen = begin.template.as_deref().unwrap_or(SAMPLES[0].name);
    let sample = SAMPLES.iter().find(|sample| sample.name == chosen).ok_or_else(Problem::not_found)?;
    let page = NewPage::new(&state, &place).await?;
    draw(&NewPage { chosen: chosen.to_owned(), config: sample.text.to_owned(), ..page })
}

pub(crate) async fn create(
    State(state): State<ServerState>,
    place: Place,
    Form(written): Form<Written>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Member)?;
    let name = Some(written.name.trim()).filter(|name| !name.is_empty());
    // What a browser sends has its own line ends.
    let config = written.config.replace("\r\n", "\n");
    match pipelines::create(&state, &access, name, config.clone()).await {
        Ok(made) => Ok(Redirect::to(&format!("{}/pipelines/{}", place.root(), part(&made.name))).into_response()),
        Err(problem) => {
            let page = NewPage {
                name: written.name,
                config,
                problem: Some(problem.said()),
                findings: problem.diagnostics().to_vec(),
                ..NewPage::new(&state, &place).await?
            };
            Ok((problem.status(), draw(&page)?).into_response())
        }
    }
}

/// A pipeline that is to be a file of a repository.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct FromRepository {
    repository: String,
    path: String,
    name: String,
}

pub(crate) async fn create_from(
    State(state): State<ServerState>,
    place: Place,
    Form(from): Form<FromRepository>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Member)?;
    let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let made = async {
        let id = from.repository.parse().map_err(|_| Problem::invalid("say which repository it is of"))?;
        let repository = repositories::within(&state, &access, id).await?;
        let (name, path) = (given(&from.name), given(&from.path));
        pipelines::create_from(&state, &access, name.as_deref(), &repository, path.as_deref()).await
    };
    match made.await {
        Ok(made) => Ok(Redirect::to(&format!("{}/pipelines/{}", place.root(), part(&made.name))).into_response()),
        Err(problem) => {
            let said = Some(problem.said());
            let page = NewPage { problem: said, from, ..NewPage::new(&state, &place).await? };
            Ok((problem.status(), draw(&page)?).into_response())
        }
    }
}

#[derive(Template)]
#[template(path = "findings.html")]
struct Findings {
    findings: Vec<Finding>,
    is_valid: bool,
}

/// What is wrong with a text, as it is typed.
pub(crate) async fn validate(_: Place, Form(written): Form<Written>) -> Result<Response, Problem> {
    let found = pipelines::check(&written.config.replace("\r\n", "\n"));
    let is_valid = found.iter().all(|found| found.severity != Severity::Error);
    let page = Findings { findings: found.iter().map(Finding::from).collect(), is_valid };
    draw(&page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sample_is_a_pipeline() {
        for sample in &SAMPLES {
            assert_eq!(pipelines::check(sample.text), [], "{}", sample.name);
        }
    }
}
