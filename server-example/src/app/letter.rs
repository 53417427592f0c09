//! Letters to people.

use crate::mail::SendError;
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

/// Sends a letter. Where there is no mail server, whoever runs this one finds the link in its log, to pass it on.
pub(crate) async fn send(state: &ServerState, letter: Letter<'_>) -> Result<(), Problem> {
    if !post(state, letter).await? {
        let Letter { to, subject, text, link } = letter;
        tracing::warn!(to, subject, text, link, "there is no mail server: pass this link on");
    }
    Ok(())
}

/// Sends a letter by mail; `false`, with nothing sent, where there is no mail server.
pub(crate) async fn post(state: &ServerState, letter: Letter<'_>) -> Result<bool, Problem> {
    let Some(mail) = state.mail() else { return Ok(false) };
    let Letter { to, subject, text, link } = letter;
    let body = format!("{text}\n\n{link}\n\n-- \nBuildIt at {}\n", state.settings().url());
    match mail.send(&[to], &format!("BuildIt: {subject}"), &body).await {
        Ok(()) => Ok(true),
        Err(error @ SendError::Address(..)) => Err(Problem::invalid(error.to_string())),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, to, subject, "a letter is not sent");
            Err(Problem::no_mail())
        }
    }
}
