//! The form that starts a run, made of the pipeline's own parameters.

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use buildit::account::Role;
use buildit::pipeline::ParamSpec;
use indexmap::IndexMap;

use super::page::{Frame, Place, draw, part};
use super::pipelines::{Head, Named, head, named};
use crate::app::pipelines;
use crate::problem::{Finding, Problem};
use crate::state::ServerState;

#[derive(Template)]
#[template(path = "run_new.html")]
struct RunPage {
    frame: Frame,
    head: Head,
    params: Vec<ParamSpec>,
    is_of_repository: bool,
    given: IndexMap<String, String>,
    problem: Option<String>,
    findings: Vec<Finding>,
}

impl RunPage {
    fn value(&self, param: &ParamSpec) -> String {
        let given = self.given.get(&format!("param.{}", param.name));
        given.cloned().or_else(|| param.default.clone()).unwrap_or_default()
    }

    fn field(&self, name: &str) -> String {
        self.given.get(name).cloned().unwrap_or_default()
    }
}

/// A form made of the pipeline's own parameters.
pub(crate) async fn form(
    State(state): State<ServerState>,
    place: Place,
    Path(named_): Path<Named>,
) -> Result<Response, Problem> {
    place.grant(Role::Member)?;
    let pipeline = named(&state, &place, &named_.pipeline).await?;
    let (frame, head) = head(&place, &pipeline, "run");
    let (params, problem, findings) = match pipelines::spec(&state, &pipeline).await {
        Ok(spec) => (spec.params, None, Vec::new()),
        Err(problem) => {
            let said = problem.said();
            (Vec::new(), Some(said), problem.diagnostics().to_vec())
        }
    };
    let is_of_repository = pipeline.source.repository().is_some();
    draw(&RunPage { frame, head, params, is_of_repository, given: IndexMap::new(), problem, findings })
}

pub(crate) async fn start(
    State(state): State<ServerState>,
    place: Place,
    Path(named_): Path<Named>,
    Form(given): Form<IndexMap<String, String>>,
) -> Result<Response, Problem> {
    let access = place.grant(Role::Member)?;
    let pipeline = named(&state, &place, &named_.pipeline).await?;
    let params =
        given.iter().filter_map(|(name, value)| Some((name.strip_prefix("param.")?.to_owned(), value.clone())));
    let field = |name: &str| given.get(name).map(|value| value.trim().to_owned()).unwrap_or_default();
    let start = pipelines::Start {
        traceparent: None,
        run: None,
        branch: field("branch"),
        tag: field("tag"),
        commit: field("commit"),
        params: params.collect(),
    };
    match pipelines::trigger(&state, &access, &pipeline, start).await {
        Ok(record) => {
            let to = format!("{}/pipelines/{}/runs/{}", place.root(), part(&pipeline.name), record.number);
            Ok(Redirect::to(&to).into_response())
        }
        Err(problem) => {
            let (frame, head) = head(&place, &pipeline, "run");
            let params = pipelines::spec(&state, &pipeline).await.map(|spec| spec.params).unwrap_or_default();
            let (status, findings) = (problem.status(), problem.diagnostics().to_vec());
            let said = Some(problem.said());
            let is_of_repository = pipeline.source.repository().is_some();
            let page = RunPage { frame, head, params, is_of_repository, given, problem: said, findings };
            Ok((status, draw(&page)?).into_response())
        }
    }
}
