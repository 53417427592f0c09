//! What is done for a store once a run of it has ended. None of it changes how the command ends.

use buildit::store::StoreError;
use jiff::Timestamp;

use super::session::Session;
use crate::args::{RunOutput, StoreArgs};
use crate::out::Out;
use crate::session::{Keep, Local, Place, Signals, UpkeepDone, daily};
use crate::text::clean;

/// How many runs that were broken off are looked at: nobody asks for a number beyond.
const MOST: usize = 100;

impl Session {
    /// Tells what waits to be taken up in the store that was asked for, and tidies that if it is time to.
    pub(super) async fn afterwards(&self, asked: &StoreArgs, keep: &Keep, signals: &mut Signals) {
        if let Some(local) = &keep.local
            && self.output == RunOutput::Human
        {
            match broken_off(keep, local).await {
                Ok(0) => {}
                Ok(runs) => self.hint(&to_resume(runs, asked)),
                Err(error) => self.hint(&format!("nobody can tell which runs of this store were broken off: {error}")),
            }
        }
        self.upkeep(keep, signals).await;
    }

    async fn upkeep(&self, keep: &Keep, signals: &mut Signals) {
        match daily(keep, signals).await {
            Ok(None) => {}
            Ok(Some(UpkeepDone::Whole(tidied))) if tidied.runs == 0 => {}
            Ok(Some(UpkeepDone::Whole(tidied))) => {
                self.hint(&format!("forgot {} runs that ended long ago, as it does once a day", tidied.runs));
            }
            Ok(Some(UpkeepDone::CutShort)) => {
                self.hint("there is more to tidy in this store than a run has time for; `buildit gc` does it");
            }
            Err(error) => Out::stderr().line(&clean(&format!("buildit: this store could not be tidied: {error:#}"))),
        }
    }

    /// Something that is good to know, for a person.
    fn hint(&self, text: &str) {
        if self.output == RunOutput::Human {
            Out::stderr().line(&self.look.stderr().faint(&format!("buildit: {}", clean(text))));
        }
    }
}

/// How many runs `resume` would go on with.
async fn broken_off(keep: &Keep, local: &Local) -> Result<usize, StoreError> {
    let mut runs = 0;
    for run in local.store.broken_off_runs(Timestamp::now()).await?.into_iter().take(MOST) {
        match keep.stores.store.run(run).await {
            Ok(record) => runs += usize::from(Place::of(&record.run).is_ok()),
            // Somebody has gone on with it, and it has been forgotten since.
            Err(StoreError::NoRun(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(runs)
}

/// How to go on with so many runs of this store.
fn to_resume(runs: usize, store: &StoreArgs) -> String {
    let options = [("--store", &store.store), ("--blobs", &store.blobs)];
    let given = options.iter().filter_map(|(name, value)| Some(format!(" {name} {}", value.as_ref()?)));
    let resume = format!("`buildit resume{}`", given.collect::<String>());
    match runs {
        1 => format!("an earlier run of this store was broken off; {resume} goes on with it"),
        runs => format!("{runs} earlier runs of this store were broken off; {resume} goes on with them"),
    }
}
