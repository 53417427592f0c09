//! What is done for a store once a run of it has ended. None of it changes how the command ends.

use super::session::Session;
use crate::args::RunOutput;
use crate::out::Out;
use crate::session::{Keep, Signals, UpkeepDone, daily};
use crate::text::clean;

impl Session {
    /// Tidies the store, if it is time to.
    pub(super) async fn afterwards(&self, keep: &Keep, signals: &mut Signals) {
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
