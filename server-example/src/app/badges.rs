//! Badges: how a pipeline stands, as a picture for pages elsewhere.

use buildit::event::RunStatus;
use buildit::store::{RunFilter, StoredPipeline};

use crate::problem::Problem;
use crate::state::ServerState;

/// Whether anybody may see the badge of a pipeline, in its settings.
pub(crate) const PUBLIC: &str = "public_badge";

/// Whether anybody may see it.
pub(crate) fn is_public(pipeline: &StoredPipeline) -> bool {
    pipeline.settings.get(PUBLIC).and_then(serde_json::Value::as_bool).unwrap_or_default()
}

/// Where the latest run is, of this branch or of any.
pub(crate) async fn status(
    state: &ServerState,
    pipeline: &StoredPipeline,
    branch: Option<String>,
) -> Result<Option<RunStatus>, Problem> {
    let filter = RunFilter { tenant: Some(pipeline.tenant), branch, ..RunFilter::of_pipeline(&pipeline.name) };
    Ok(state.store().runs(&filter, 1).await?.first().map(|run| run.status))
}
