//! Who asks, as a server sees it.

use serde::Deserialize;

/// Who a key is.
#[derive(Debug, Deserialize)]
pub(crate) struct Me {
    pub(crate) name: String,
    /// The id of the tenant that it is of.
    pub(super) tenant: Option<String>,
    pub(super) tenant_name: Option<String>,
    pub(super) organization_name: Option<String>,
}
