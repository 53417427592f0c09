//! What happens, as it happens: events and logs of runs, whichever server drives them.

mod follow;
mod leave;
pub(crate) mod socket;
pub(crate) mod sse;

pub(crate) use follow::{events, log, stored};
pub(crate) use leave::Reader;
