//! What happens, as it happens: events and logs of runs, whichever server drives them.

mod fanout;
mod follow;
mod leave;
pub(crate) mod socket;
pub(crate) mod sse;

pub(crate) use fanout::Fanout;
pub(crate) use follow::{events, stored};
pub(crate) use leave::Reader;
