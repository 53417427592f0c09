//! Webhooks of pipelines: `on "webhook" secret="NAME"`.

use axum::http::HeaderMap;
use buildit::id::PipelineId;
use buildit::pipeline::{PipelineSpec, RunContext};
use buildit::secret::{SecretReader, SecretSource};
use buildit::store::StoredPipeline;
use indexmap::IndexMap;
use secrecy::SecretString;
use serde_json::Value;

use super::pipelines::{self, Origin, Start};
use super::requests::{self, Made};
use crate::forge::{Unsigned, check_generic};
use crate::problem::Problem;
use crate::secrets::OfRuns;
use crate::state::ServerState;

/// Starts a run of a pipeline for whoever knows a secret that one of its `on "webhook"` names. A delivery that has a key
/// and comes again starts none.
pub(crate) async fn receive(
    state: &ServerState,
    id: PipelineId,
    headers: &HeaderMap,
    key: Option<String>,
    body: &[u8],
) -> Result<Made, Problem> {
    let pipeline = state.store().pipeline(id).await?;
    let spec = pipelines::spec(state, &pipeline).await?;
    check(state, &pipeline, &spec, headers, body).await?;
    let params = params(&spec, body)?;
    let origin = Origin::of_server(state, &pipeline, "webhook", "a webhook".to_owned()).await?;
    let start = Start { params, ..Start::default() };
    let Some(key) = key else {
        return Ok(Made::Now(pipelines::start(state, &origin, &pipeline, start).await?));
    };
    // Keys of one pipeline are not those of another, nor those of the API.
    let (key, content) = (format!("webhook {id} {key}"), requests::content(&(id, &start.params))?);
    requests::once(state, pipeline.tenant, key, content, async |run| {
        pipelines::start(state, &origin, &pipeline, Start { run: Some(run), ..start }).await
    })
    .await
}

/// Refuses who knows none of the secrets.
async fn check(
    state: &ServerState,
    pipeline: &StoredPipeline,
    spec: &PipelineSpec,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), Problem> {
    let triggers = spec.triggers.iter().filter(|trigger| trigger.event == "webhook");
    let names: Vec<&String> = triggers.filter_map(|trigger| trigger.secret.as_ref()).collect();
    if names.is_empty() {
        // One without a secret would let everybody start runs.
        return Err(Problem::not_found());
    }
    let mut refused = Unsigned::Missing;
    for name in names {
        match check_generic(headers, body, &secret(state, pipeline, name).await?) {
            Ok(()) => return Ok(()),
            Err(Unsigned::Wrong) => refused = Unsigned::Wrong,
            Err(Unsigned::Missing) => {}
        }
    }
    Err(Problem::unauthenticated().with_detail(refused.to_string()))
}

/// The secret of this name as the pipeline's runs have it; an empty one, which lets nobody in, when there is none.
async fn secret(state: &ServerState, pipeline: &StoredPipeline, name: &str) -> Result<SecretString, Problem> {
    let context = RunContext { pipeline_id: pipeline.id.to_string(), ..RunContext::default() };
    let reader =
        SecretReader { tenant: pipeline.tenant, pipeline: &pipeline.name, context: &context, environment: None };
    let found = OfRuns(state.secrets().clone()).secret_for(reader, name).await.map_err(|error| {
        tracing::error!(%error, pipeline = %pipeline.id, "the secret of a webhook cannot be read");
        Problem::internal()
    })?;
    Ok(found.unwrap_or_default())
}

/// What the fields of a JSON object give the parameters of their names; other fields are nobody's.
fn params(spec: &PipelineSpec, body: &[u8]) -> Result<IndexMap<String, String>, Problem> {
    if body.trim_ascii().is_empty() {
        return Ok(IndexMap::new());
    }
    let body: Value =
        serde_json::from_slice(body).map_err(|error| Problem::invalid(format!("the body is no JSON: {error}")))?;
    let given = spec.params.iter().filter_map(|param| {
        let text = match body.get(&param.name)? {
            Value::Null => return None,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Some((param.name.clone(), text))
    });
    Ok(given.collect())
}
