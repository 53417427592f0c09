//! What a run is of, for whoever tells of it.

use buildit::id::TenantId;
use buildit::store::{RunRecord, StoreError, StoredPipeline};

use crate::state::ServerStore;
use crate::web::part;

/// The pipeline that a run is of, if it is kept.
pub(crate) async fn pipeline_of(
    store: &dyn ServerStore,
    record: &RunRecord,
) -> Result<Option<StoredPipeline>, StoreError> {
    let found = match record.run.context.pipeline_id.parse() {
        Ok(id) => store.pipeline(id).await,
        Err(_) => store.pipeline_named(record.run.tenant, &record.run.plan.name).await,
    };
    match found {
        Ok(pipeline) => Ok(Some(pipeline).filter(|pipeline| pipeline.tenant == record.run.tenant)),
        Err(StoreError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where people see a pipeline, or a run of it; the server itself, where no page has it.
pub(crate) async fn page_of(
    store: &dyn ServerStore,
    server: &str,
    tenant: TenantId,
    pipeline: &str,
    run: Option<u64>,
) -> Result<String, StoreError> {
    let Some(tenant) = store.tenant(tenant).await? else { return Ok(server.to_owned()) };
    let Some(organization) = store.organization(tenant.organization).await? else { return Ok(server.to_owned()) };
    let [organization, tenant, pipeline] = [organization.name.as_str(), &tenant.name, pipeline].map(part);
    let run = run.map_or_else(String::new, |number| format!("/runs/{number}"));
    Ok(format!("{server}/{organization}/{tenant}/pipelines/{pipeline}{run}"))
}
