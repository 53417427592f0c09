//! What the unit tests have samples of.

use buildit::id::{RepositoryId, TenantId};
use buildit::store::{Repository, RepositorySettings};
use jiff::Timestamp;

/// A repository at this address.
pub(crate) fn repository(url: &str, settings: RepositorySettings) -> Repository {
    Repository {
        id: RepositoryId::from(uuid::Uuid::nil()),
        tenant: TenantId::NONE,
        name: "shop".into(),
        url: url.into(),
        settings,
        last_fetch: None,
        webhook: None,
        version: 1,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    }
}
