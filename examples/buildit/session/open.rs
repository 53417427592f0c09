//! What an open run may still ask of a person.

use std::collections::HashSet;

use buildit::event::EventBody;
use buildit::id::{RunId, StageName};
use buildit::store::{RunStore, StoreError, each_event};

/// The stages of a kept run whose approval is not to be waited for any more: it was given, or the stage has ended.
/// `None` when nothing is: the run is being cancelled.
pub(crate) async fn decided(
    store: &(impl RunStore + ?Sized),
    run: RunId,
) -> Result<Option<HashSet<StageName>>, StoreError> {
    let (mut decided, mut is_ending) = (HashSet::new(), false);
    each_event(store, run, 0, |event| {
        match event.body {
            EventBody::ApprovalGiven { stage, missing: 0, .. } | EventBody::StageFinished { stage, .. } => {
                let _ = decided.insert(stage);
            }
            EventBody::CancelRequested { .. } | EventBody::RunFinished { .. } => is_ending = true,
            _ => {}
        }
        Ok::<_, StoreError>(())
    })
    .await?;
    Ok((!is_ending).then_some(decided))
}
