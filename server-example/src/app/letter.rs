//! Letters to people.

use crate::problem::Problem;
use crate::state::ServerState;

/// A letter with a link, which is a secret of whom it is for.
#[derive(Clone, Copy)]
pub(crate) struct Letter<'a> {
    /// An address.
    pub(crate) to: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) text: &'a str,
    pub(crate) link: &'a str,
}

/// Hands a letter to whoever runs this server: its log has the link, to be passed on.
#[expect(clippy::unused_async, reason = "a mail server is waited for, where there is one")]
pub(crate) async fn send(_: &ServerState, letter: Letter<'_>) -> Result<(), Problem> {
    let Letter { to, subject, text, link } = letter;
    tracing::warn!(to, subject, text, link, "there is no mail server: pass this link on");
    Ok(())
}
