//! What an open run may still ask of a person.

use std::collections::HashSet;

use buildit::event::EventBody;
use buildit::id::{RunId, StageName};
use buildit::store::{RunStore, StoreError};

/// How many events are read at once.
const PAGE: usize = 4096;

/// The stages of a kept run whose approval is not to be waited for any more: it was given, or the stage has ended.
/// `None` when nothing is: the run is being cancelled.
pub(crate) async fn decided(
    store: &(impl RunStore + ?Sized),
    run: RunId,
) -> Result<Option<HashSet<StageName>>, StoreError> {
    let mut decided = HashSet::new();
    let mut seen = 0;
    loop {
        let page = store.events(run, seen, PAGE).await?;
        for event in &page.events {
            seen = event.seq;
            match &event.body {
                EventBody::ApprovalGiven { stage, .. } | EventBody::StageFinished { stage, .. } => {
                    decided.insert(stage.clone());
                }
                EventBody::CancelRequested { .. } | EventBody::RunFinished { .. } => return Ok(None),
                _ => {}
            }
        }
        if page.events.is_empty() || seen >= page.last_seq {
            return Ok(Some(decided));
        }
    }
}
