//! Until when somebody may look.

use std::time::Duration;

use buildit::account::Role;
use buildit::id::RunId;

use crate::access::{Actor, Credential};
use crate::app::runs;
use crate::state::ServerState;

/// How often it is looked whether they still may. What ends on this server is known at once.
const LOOK: Duration = Duration::from_secs(5);

/// Somebody who looks at a run, and what let them in.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    pub(crate) actor: Actor,
    pub(crate) credential: Credential,
    pub(crate) run: RunId,
}

impl Reader {
    /// Ends when this reader may look no longer: the key or the login has ended, or they were taken out.
    pub(crate) async fn until_out(self, state: ServerState) {
        loop {
            let ended = state.ended().notified();
            tokio::pin!(ended);
            // What ends while it is looked is heard of.
            ended.as_mut().enable();
            if !self.may_look(&state).await {
                return;
            }
            tokio::select! {
                () = ended => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// A store that does not answer lets nobody look: readers come again.
    async fn may_look(&self, state: &ServerState) -> bool {
        matches!(self.credential.holds(state).await, Ok(true))
            && runs::find(state, self.actor.clone(), self.run, Role::Viewer).await.is_ok()
    }
}
