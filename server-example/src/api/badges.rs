//! `/badges`: pictures for pages elsewhere, for everybody where the pipeline's settings allow it.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use buildit::account::Role;
use buildit::event::RunStatus;
use buildit::id::Digest;
use buildit::store::{StoreError, StoredPipeline};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::access::{Access, Actor};
use crate::app::badges;
use crate::list::Asked;
use crate::problem::Problem;
use crate::state::ServerState;
use crate::view::words;

/// How many characters of a name a badge has.
const NAME: usize = 40;

/// About how wide a character is, and what is left at each side of a text, in pixels.
const CHARACTER: usize = 7;
const MARGIN: usize = 6;

/// Whose badge.
#[derive(Debug, Deserialize)]
pub(crate) struct Named {
    organization: String,
    tenant: String,
    /// The name of the pipeline with `.svg` behind it.
    file: String,
}

/// Of which branch.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OfBranch {
    /// The latest run of this branch; of any without.
    branch: Option<String>,
}

#[derive(Template)]
#[template(path = "badge.svg", ext = "html")]
struct Badge<'a> {
    name: &'a str,
    status: &'a str,
    colour: &'static str,
    left: usize,
    right: usize,
}

impl<'a> Badge<'a> {
    fn new(name: &'a str, status: Option<RunStatus>) -> Self {
        let (status, colour) = shown(status);
        let wide = |text: &str| text.chars().count() * CHARACTER + 2 * MARGIN;
        Self { name, status, colour, left: wide(name), right: wide(status) }
    }

    fn width(&self) -> usize {
        self.left + self.right
    }

    /// The middle of the status.
    fn middle(&self) -> usize {
        self.left + self.right / 2
    }
}

/// The word and the colour of a status, which white text is read on.
fn shown(status: Option<RunStatus>) -> (&'static str, &'static str) {
    match status {
        None => ("no runs", "#5a606b"),
        Some(RunStatus::Queued) => ("queued", "#5a606b"),
        Some(RunStatus::Running) => ("running", "#0a58ca"),
        Some(RunStatus::Waiting) => ("waiting for approval", "#7a4d00"),
        Some(RunStatus::Succeeded) => ("succeeded", "#116d2e"),
        Some(RunStatus::Failed) => ("failed", "#b3261e"),
        Some(RunStatus::Cancelled) => ("cancelled", "#6f42c1"),
    }
}

/// How the latest run of a pipeline stands, as a picture. Everybody sees it where the pipeline's `public_badge` says so, and
/// else who may look at the pipeline; there is no such thing for others.
#[utoipa::path(get, path = "/badges/{organization}/{tenant}/{file}", tag = "badges", security((), ("key" = [])),
    params(("organization" = String, Path), ("tenant" = String, Path),
        ("file" = String, Path, description = "the name of the pipeline with `.svg` behind it"), OfBranch),
    responses((status = OK, body = String, content_type = "image/svg+xml"), (status = NOT_MODIFIED),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(
    State(state): State<ServerState>,
    actor: Actor,
    named: Option<Path<Named>>,
    Asked(of): Asked<OfBranch>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Path(named) = named.ok_or_else(Problem::not_found)?;
    let pipeline = find(&state, &named).await?.ok_or_else(Problem::not_found)?;
    if !badges::is_public(&pipeline) && Access::to(&state, actor, pipeline.tenant, Role::Viewer).await.is_err() {
        return Err(Problem::not_found());
    }
    let branch = of.branch.filter(|branch| !branch.is_empty());
    let status = badges::status(&state, &pipeline, branch).await?;
    let picture = Badge::new(&words::middle(&pipeline.name, NAME), status).render().map_err(|error| {
        tracing::error!(%error, "a badge cannot be drawn");
        Problem::internal()
    })?;
    let tag = format!("\"{}\"", &Digest::of(picture.as_bytes()).to_hex()[..16]);
    // Whoever keeps it asks again each time: it is as old as the run.
    let kept = [(header::ETAG, tag.clone()), (header::CACHE_CONTROL, "no-cache".to_owned())];
    let known = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok()).unwrap_or_default();
    if known.split(',').any(|known| known.trim().trim_start_matches("W/") == tag) {
        return Ok((StatusCode::NOT_MODIFIED, kept).into_response());
    }
    Ok((kept, [(header::CONTENT_TYPE, "image/svg+xml")], picture).into_response())
}

/// The pipeline, if there is one of these names.
async fn find(state: &ServerState, named: &Named) -> Result<Option<StoredPipeline>, Problem> {
    let Some(pipeline) = named.file.strip_suffix(".svg") else { return Ok(None) };
    let Some(organization) = state.identity().organization_named(&named.organization).await? else { return Ok(None) };
    let Some(tenant) = state.identity().tenant_named(organization.id, &named.tenant).await? else { return Ok(None) };
    match state.store().pipeline_named(tenant.id, pipeline).await {
        Ok(pipeline) => Ok(Some(pipeline)),
        Err(StoreError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_text_and_nothing_else() {
        let drawn = Badge::new("</text><script>x</script>&\"", Some(RunStatus::Failed)).render().unwrap();
        assert!(!drawn.contains("<script") && drawn.contains("failed"), "{drawn}");
    }

    /// How light a colour is, as WCAG counts.
    fn luminance(colour: &str) -> f64 {
        let part = |at: usize| {
            let part = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if part <= 0.03928 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
    }

    #[test]
    fn each_status_can_be_read() {
        use RunStatus::{Cancelled, Failed, Queued, Running, Succeeded, Waiting};
        for status in [None, Some(Queued), Some(Running), Some(Waiting), Some(Succeeded), Some(Failed), Some(Cancelled)]
        {
            let (word, colour) = shown(status);
            assert!(1.05 / (luminance(colour) + 0.05) >= 4.5, "{word}");
        }
    }
}
