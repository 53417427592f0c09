//! The APIs of forges: how it stands with a commit is said there, and webhooks are made, looked for and removed.
//!
//! What a forge is asked is a [`Call`](call::Call), which its [`Dialect`](dialect::Dialect) makes without asking anybody;
//! the [`Client`] asks, and is alone in that.

mod ask;
mod bitbucket;
mod call;
mod dialect;
mod error;
mod gitea;
mod github;
mod gitlab;
mod place;
#[cfg(test)]
mod tests;

pub(crate) use ask::Client;
pub(crate) use call::known;
pub(crate) use dialect::{Hook, Saying, Standing, needs};
pub(crate) use error::ForgeError;
pub(crate) use place::Place;
