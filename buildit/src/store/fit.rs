//! Texts of people that a store keeps as they are.

use super::StoreError;

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
