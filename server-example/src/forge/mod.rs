//! What forges tell, by webhooks that come in, and what they are told, by their APIs.
//!
//! ```text
//! headers, raw body ─► signature (constant time) ─► github, gitlab, gitea, bitbucket ─► ForgeEvent
//! Saying, Hook      ─► client: a dialect for each forge ─► Call ─► the forge ─► Answer, or why not
//! ```
//!
//! All but the [`Client`] itself is pure: no clock, no store, no network. A body that makes no sense gives [`Unreadable`],
//! never a panic.

mod bitbucket;
mod client;
mod event;
mod gitea;
mod github;
mod gitlab;
mod headers;
pub(crate) mod pages;
mod signature;
#[cfg(test)]
mod tests;

pub(crate) use client::{Client, ForgeError, Hook, Place, Saying, Standing, known, needs};
pub(crate) use event::{ForgeEvent, PullRequest, Unreadable, ref_name};
use headers::Forge;
pub(crate) use headers::{delivery_id, event_name, forge_of};
pub(crate) use signature::{Unsigned, check, check_generic};

/// How many changes of one delivery are looked at: one push may bring many branches.
const MOST_EVENTS: usize = 50;

/// What this forge tells with this body of an event that it calls so.
///
/// # Errors
///
/// [`Unreadable`] when it is no JSON, or not what this forge says for its event.
pub(crate) fn read(forge: Forge, name: &str, body: &[u8]) -> Result<Vec<ForgeEvent>, Unreadable> {
    let mut events = match forge {
        Forge::GitHub => vec![github::read(name, body)?],
        Forge::GitLab => vec![gitlab::read(name, body)?],
        Forge::Gitea => vec![gitea::read(name, body)?],
        Forge::Bitbucket => bitbucket::read(name, body)?,
    };
    events.truncate(MOST_EVENTS);
    Ok(events)
}
