//! What forges tell and are told: webhooks that come in.
//!
//! ```text
//! headers, raw body ─► signature (constant time) ─► github, gitlab, gitea, bitbucket ─► ForgeEvent
//! ```
//!
//! All of it is pure: no clock, no store, no network. A body that makes no sense gives [`Unreadable`], never a panic.

mod bitbucket;
mod event;
mod gitea;
mod github;
mod gitlab;
mod headers;
mod signature;
#[cfg(test)]
mod tests;

use axum::http::HeaderMap;

pub(crate) use event::{ForgeEvent, PullRequest, Unreadable, ref_name};
pub(crate) use headers::{Forge, event_name};
pub(crate) use signature::{Unsigned, check_generic};

/// How many changes of one delivery are looked at: one push may bring many branches.
const MOST_EVENTS: usize = 50;

/// What this forge tells with this body.
///
/// # Errors
///
/// [`Unreadable`] when it is no JSON, or not what this forge says for its event.
pub(crate) fn read(forge: Forge, headers: &HeaderMap, body: &[u8]) -> Result<Vec<ForgeEvent>, Unreadable> {
    let name = event_name(forge, headers).ok_or(Unreadable::NoEvent)?;
    read_named(forge, name, body)
}

/// The same, for a body whose event has this name.
///
/// # Errors
///
/// As of [`read`].
pub(crate) fn read_named(forge: Forge, name: &str, body: &[u8]) -> Result<Vec<ForgeEvent>, Unreadable> {
    let mut events = match forge {
        Forge::GitHub => vec![github::read(name, body)?],
        Forge::GitLab => vec![gitlab::read(name, body)?],
        Forge::Gitea => vec![gitea::read(name, body)?],
        Forge::Bitbucket => bitbucket::read(name, body)?,
    };
    events.truncate(MOST_EVENTS);
    Ok(events)
}
