//! All events of a run, page by page.

use super::{RunStore, StoreError};
use crate::event::Event;
use crate::id::RunId;

/// How many events are read at once: enough that a long run takes few reads, and little memory.
const PAGE: usize = 4096;

/// Passes on every event of a run behind number `after` that is stored by now, in order, and gives the number of the last;
/// `after` when there is none.
///
/// # Errors
///
/// What the store or `each` gives; events before it were passed on.
pub async fn each_event<E: From<StoreError>>(
    store: &(impl RunStore + ?Sized),
    run: RunId,
    after: u64,
    mut each: impl FnMut(Event) -> Result<(), E>,
) -> Result<u64, E> {
    let mut seen = after;
    loop {
        let page = store.events(run, seen, PAGE).await?;
        let is_empty = page.events.is_empty();
        for event in page.events {
            seen = event.seq;
            each(event)?;
        }
        if is_empty || seen >= page.last_seq {
            return Ok(seen);
        }
    }
}
