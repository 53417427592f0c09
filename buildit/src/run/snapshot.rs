//! The state of a run as bytes.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::Run;
use super::state::{State, Table};

impl Run {
    /// The whole state as bytes: equal for two runs exactly when nothing will ever tell them apart. It is for
    /// comparing (guarantee G10); a run is kept by its events.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        // Plain data without maps keyed by anything but numbers always serializes.
        serde_json::to_vec(&self.state).unwrap_or_default()
    }
}

impl PartialEq for Run {
    fn eq(&self, other: &Self) -> bool {
        self.state == other.state
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("id", &self.fixed.info.id)
            .field("status", &self.status())
            .field("stages", &self.state.cells.len())
            .field("open", &self.state.open)
            .field("events", &self.state.seq)
            .finish()
    }
}

impl Serialize for State {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fn sorted<V>(table: &Table<V>) -> BTreeMap<u32, &V> {
            table.iter().map(|(at, value)| (*at, value)).collect()
        }
        (
            (&self.cells, self.ready.raw(), &self.due, &self.active, &self.executors, &self.deadlines, &self.backoffs),
            (sorted(&self.times), sorted(&self.results), sorted(&self.products), sorted(&self.approvals)),
            (sorted(&self.approvers), sorted(&self.holds)),
            (&self.counts, self.idle_asking, self.idle_plain, self.unstopped_asking, self.unstopped_plain),
            (self.open, self.failures, self.started, &self.cancelled, &self.failed_fast, &self.finished, self.seq),
        )
            .serialize(serializer)
    }
}
