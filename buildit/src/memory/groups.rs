//! Concurrency groups: which runs have not ended, by their numbers.

use std::collections::{BTreeMap, HashMap};

use crate::id::{PipelineId, RunId};

/// A pipeline and one of its groups.
type Key = (PipelineId, String);

/// The runs of groups that have not ended.
#[derive(Debug, Default)]
pub(super) struct Groups {
    members: HashMap<RunId, (Key, u64)>,
    lines: HashMap<Key, BTreeMap<u64, RunId>>,
}

impl Groups {
    pub(super) fn join(&mut self, run: RunId, pipeline: PipelineId, group: &str, number: u64) {
        let key = (pipeline, group.to_owned());
        self.lines.entry(key.clone()).or_default().insert(number, run);
        self.members.insert(run, (key, number));
    }

    /// A run has ended; the one whose turn it is then.
    pub(super) fn leave(&mut self, run: RunId) -> Option<RunId> {
        let (key, number) = self.members.remove(&run)?;
        let line = self.lines.get_mut(&key)?;
        line.remove(&number);
        let first = line.values().next().copied();
        if first.is_none() {
            self.lines.remove(&key);
        }
        first
    }

    /// The earlier runs of its group, the first one first.
    pub(super) fn before(&self, run: RunId) -> impl Iterator<Item = RunId> {
        let line = self.members.get(&run).and_then(|(key, number)| Some((self.lines.get(key)?, *number)));
        line.into_iter().flat_map(|(line, number)| line.range(..number).map(|(_, run)| *run))
    }
}
