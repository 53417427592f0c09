//! What forges were told of commits.

use buildit::account::Role;
use buildit::id::StatusId;
use buildit::store::{Report, Repository};
use jiff::Timestamp;

use super::audit;
use crate::access::Access;
use crate::list::{List, Page};
use crate::problem::Problem;
use crate::state::ServerState;

/// What the forge of a repository was or is to be told, the newest first, a page at a time.
pub(crate) async fn list(state: &ServerState, repository: &Repository, page: &Page) -> Result<List<Report>, Problem> {
    let limit = page.limit();
    let found = state.store().statuses(repository.id, page.after()?, limit + 1).await?;
    Ok(List::cut(found, limit, |report| report.status.id.to_string()))
}

/// Tells the forge what it was not told yet, once more and at once.
pub(crate) async fn retry(
    state: &ServerState,
    access: &Access,
    repository: &Repository,
    id: StatusId,
) -> Result<(), Problem> {
    let access = access.clone().at_least(Role::Member)?;
    if !state.store().retry_status(repository.id, id, Timestamp::now()).await? {
        return Err(Problem::conflict("the forge was told, is being told, or is told something newer"));
    }
    audit::of_tenant(state, &access, "status.retry", &repository.name, &[("status", id.to_string().into())]).await;
    Ok(())
}
