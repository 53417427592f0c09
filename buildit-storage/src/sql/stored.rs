//! A run as its columns have it.

use buildit::id::FencingToken;
use buildit::store::{RunRecord, StoreError, TakenRun};

use super::{Definitions, count, from_json, run_status};

/// The columns that say what a run was created with and where it is.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) definition: String,
    pub(crate) number: i64,
    pub(crate) status: String,
    pub(crate) last_seq: i64,
    /// The bodies of its first events, with a comma between two.
    pub(crate) events: String,
}

impl Stored {
    pub(crate) fn taken(self, token: FencingToken, definitions: &Definitions) -> Result<TakenRun, StoreError> {
        let record = RunRecord {
            run: definitions.read(&self.definition)?,
            number: count(self.number)?,
            status: run_status(&self.status)?,
            last_seq: count(self.last_seq)?,
        };
        Ok(TakenRun { token, record, events: from_json(&format!("[{}]", self.events))? })
    }
}
