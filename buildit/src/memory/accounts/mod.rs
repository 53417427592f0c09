//! Users, organizations, tenants, credentials and the audit log.

mod change;
mod find;
mod journaled;
mod state;

pub(super) use change::{AccountChange, BegunSignIn, SentToken};
pub(super) use journaled::{JournaledAccounts, JournaledAudit};
