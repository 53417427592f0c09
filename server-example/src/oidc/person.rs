//! Who somebody is at a provider.

use std::collections::BTreeMap;

use buildit::account::Role;
use serde::{Deserialize, Serialize};

/// Somebody for whom a provider vouches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Person {
    pub(crate) issuer: String,
    pub(crate) subject: String,
    /// What they are called there.
    pub(crate) name: String,
    /// Their address, whether or not it is theirs.
    pub(crate) email: Option<String>,
    /// Whether the provider says that it is.
    pub(crate) is_verified: bool,
    /// The organizations that the settings let them into.
    pub(crate) admitted: BTreeMap<String, Role>,
}

impl Person {
    /// The address that is theirs.
    pub(crate) fn verified_email(&self) -> Option<&str> {
        self.email.as_deref().filter(|_| self.is_verified)
    }

    /// What people know them by.
    pub(crate) fn label(&self) -> &str {
        self.email.as_deref().unwrap_or(&self.name)
    }
}
