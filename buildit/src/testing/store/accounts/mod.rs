//! Clauses about who there is, what lets them in, and what they did.

pub(super) mod audit;
pub(super) mod credential;
pub(super) mod durable;
pub(super) mod identity;
pub(super) mod invitation;
pub(super) mod link;
pub(super) mod member;
mod samples;
pub(super) mod tenant;
