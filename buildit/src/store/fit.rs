//! Texts of people that a store keeps as they are.

use super::{Channel, StoreError};
use crate::account::{LinkedAccount, Organization, Tenant, User};

/// How many bytes a text of an account has at most: an index of a database holds no more beside an id.
pub const LONGEST_TEXT: usize = 1000;

/// Whether every store keeps this text as it is, and finds it again: no database column holds a NUL.
#[must_use]
pub fn is_fit(text: &str) -> bool {
    text.len() <= LONGEST_TEXT && !text.contains('\0')
}

/// Refuses a text that is not [fit](is_fit), or empty. `what` begins the message: `the name of a tenant`.
///
/// # Errors
///
/// [`StoreError::Unfit`] then.
pub fn check_text(what: &str, text: &str) -> Result<(), StoreError> {
    let why = match text {
        "" => "is empty".to_owned(),
        text if text.contains('\0') => "holds a NUL".to_owned(),
        text if text.len() > LONGEST_TEXT => format!("has more than {LONGEST_TEXT} bytes"),
        _ => return Ok(()),
    };
    Err(StoreError::Unfit(format!("{what} {why}")))
}

/// Refuses a text that may be empty, but is not [fit](is_fit).
fn check_words(what: &str, text: &str) -> Result<(), StoreError> {
    if text.is_empty() { Ok(()) } else { check_text(what, text) }
}

/// Refuses a user with a text that is not [fit](is_fit), or without an address.
///
/// # Errors
///
/// [`StoreError::Unfit`] then.
pub fn check_user(user: &User) -> Result<(), StoreError> {
    check_text("an address", &user.email)?;
    check_words("the name of a user", &user.name)?;
    check_words("the hash of a password", user.password_hash.as_deref().unwrap_or_default())
}

/// Refuses an account elsewhere with a text that is not [fit](is_fit), or without an issuer or a subject.
///
/// # Errors
///
/// [`StoreError::Unfit`] then.
pub fn check_link(link: &LinkedAccount) -> Result<(), StoreError> {
    check_text("an issuer", &link.issuer)?;
    check_text("a subject", &link.subject)?;
    check_words("what an account is known by", &link.label)
}

/// Refuses an organization with a text that is not [fit](is_fit), or without a name.
///
/// # Errors
///
/// [`StoreError::Unfit`] then.
pub fn check_organization(organization: &Organization) -> Result<(), StoreError> {
    check_text("the name of an organization", &organization.name)?;
    check_words("a plan", &organization.plan)?;
    check_words("an address", organization.billing_email.as_deref().unwrap_or_default())
}

/// Refuses a tenant without a name that is [fit](is_fit).
///
/// # Errors
///
/// [`StoreError::Unfit`] then.
pub fn check_tenant(tenant: &Tenant) -> Result<(), StoreError> {
    check_text("the name of a tenant", &tenant.name)
}

/// Refuses a channel with a text that is not [fit](is_fit), or without a name.
///
/// # Errors
///
/// [`StoreError::Unfit`] then.
pub fn check_channel(channel: &Channel) -> Result<(), StoreError> {
    check_text("the name of a channel", &channel.name)?;
    check_words("where a channel leads", &channel.target)
}
