//! Pipelines: those that are kept, and the bare ones that runs have made.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::kept::{KeptRun, RunPlace, newest_first};
use crate::id::{PipelineId, TenantId};
use crate::store::{PipelineFilter, StoreError, StoredPipeline};

/// What changes the pipelines that are kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PipelineWrite {
    /// What a pipeline is from now on.
    Kept(Box<StoredPipeline>),
    /// It is gone.
    Deleted { id: PipelineId },
}

/// The number that a pipeline has given last, when the run of it may be there no more.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LastNumber {
    /// Its name; it says which one it is in what format 2 wrote.
    pipeline: String,
    /// 0 when the pipeline is gone.
    number: u64,
    #[serde(default = "TenantId::none")]
    tenant: TenantId,
    #[serde(default)]
    id: Option<PipelineId>,
}

/// A pipeline.
#[derive(Debug)]
pub(super) struct Known {
    tenant: TenantId,
    name: String,
    pub(super) stored: Option<StoredPipeline>,
    last_number: u64,
    runs: BTreeMap<RunPlace, Arc<KeptRun>>,
    by_number: BTreeMap<u64, Arc<KeptRun>>,
}

impl Known {
    fn new(tenant: TenantId, name: String) -> Self {
        let (runs, by_number) = (BTreeMap::new(), BTreeMap::new());
        Self { tenant, name, stored: None, last_number: 0, runs, by_number }
    }

    /// Its runs behind this one, the newest first.
    pub(super) fn newest_first(&self, before: Option<RunPlace>) -> impl Iterator<Item = &Arc<KeptRun>> {
        newest_first(&self.runs, before)
    }

    /// The run of this number, if it is there.
    pub(super) fn numbered(&self, number: u64) -> Option<&Arc<KeptRun>> {
        self.by_number.get(&number)
    }

    /// The run of the largest number.
    pub(super) fn last(&self) -> Option<&Arc<KeptRun>> {
        self.by_number.values().next_back()
    }
}

#[derive(Debug, Default)]
pub(super) struct Pipelines {
    by_id: HashMap<PipelineId, Known>,
    by_name: BTreeMap<TenantId, BTreeMap<String, PipelineId>>,
}

impl Pipelines {
    pub(super) fn apply(&mut self, write: PipelineWrite) {
        match write {
            PipelineWrite::Kept(stored) => {
                let (id, tenant, name) = (stored.id, stored.tenant, stored.name.clone());
                let known = self.by_id.entry(id).or_insert_with(|| Known::new(tenant, name.clone()));
                let before = std::mem::replace(&mut known.name, name.clone());
                known.stored = Some(*stored);
                let names = self.by_name.entry(tenant).or_default();
                names.remove(&before);
                names.insert(name, id);
            }
            PipelineWrite::Deleted { id } => self.remove(id),
        }
    }

    fn remove(&mut self, id: PipelineId) {
        if let Some(gone) = self.by_id.remove(&id)
            && let Some(names) = self.by_name.get_mut(&gone.tenant)
        {
            names.remove(&gone.name);
        }
    }

    /// What leads to the pipelines that are kept.
    pub(super) fn as_writes(&self) -> Vec<PipelineWrite> {
        let stored = self.by_id.values().filter_map(|known| known.stored.clone());
        stored.map(|stored| PipelineWrite::Kept(Box::new(stored))).collect()
    }

    pub(super) fn note_number(&mut self, last: LastNumber) {
        let id = last.id.unwrap_or_else(|| first_of_name(&last.pipeline));
        let known = self.find_or_make(id, last.tenant, &last.pipeline);
        known.last_number = if last.number == 0 { 0 } else { known.last_number.max(last.number) };
        if last.number == 0 && known.stored.is_none() {
            self.remove(id);
        }
    }

    /// The numbers that all have given.
    pub(super) fn last_numbers(&self) -> Vec<LastNumber> {
        let last = |(id, known): (&PipelineId, &Known)| LastNumber {
            pipeline: known.name.clone(),
            number: known.last_number,
            tenant: known.tenant,
            id: Some(*id),
        };
        self.by_id.iter().filter(|(_, known)| known.last_number > 0).map(last).collect()
    }

    /// What is noted when the run of this number is deleted.
    pub(super) fn number_of(&self, id: PipelineId, number: u64) -> Option<LastNumber> {
        let known = self.by_id.get(&id)?;
        Some(LastNumber { pipeline: known.name.clone(), number, tenant: known.tenant, id: Some(id) })
    }

    /// The pipeline of a new run and the run's number.
    pub(super) fn next(&self, tenant: TenantId, name: &str) -> (PipelineId, u64) {
        match self.find(tenant, name) {
            Some(id) => (id, self.by_id.get(&id).map_or(0, |known| known.last_number) + 1),
            None => (PipelineId::new(), 1),
        }
    }

    /// Adds a run of this pipeline, which was of this tenant and name when the run was created.
    pub(super) fn add(&mut self, run: &Arc<KeptRun>, name: &str) {
        let known = self.find_or_make(run.pipeline, run.tenant, name);
        known.last_number = known.last_number.max(run.number);
        known.runs.insert(run.in_order(), Arc::clone(run));
        known.by_number.insert(run.number, Arc::clone(run));
    }

    pub(super) fn forget(&mut self, run: &KeptRun) {
        if let Some(known) = self.by_id.get_mut(&run.pipeline) {
            known.runs.remove(&run.in_order());
            known.by_number.remove(&run.number);
        }
    }

    fn find_or_make(&mut self, id: PipelineId, tenant: TenantId, name: &str) -> &mut Known {
        let by_name = &mut self.by_name;
        self.by_id.entry(id).or_insert_with(|| {
            by_name.entry(tenant).or_default().entry(name.to_owned()).or_insert(id);
            Known::new(tenant, name.to_owned())
        })
    }

    /// The pipeline of this name, which may be a bare one.
    pub(super) fn find(&self, tenant: TenantId, name: &str) -> Option<PipelineId> {
        self.by_name.get(&tenant)?.get(name).copied()
    }

    pub(super) fn get(&self, id: PipelineId) -> Option<&Known> {
        self.by_id.get(&id)
    }

    /// The name that the pipeline has now.
    pub(super) fn name(&self, id: PipelineId) -> Option<&str> {
        self.by_id.get(&id).map(|known| known.name.as_str())
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// A pipeline that is kept.
    pub(super) fn stored(&self, id: PipelineId) -> Result<&StoredPipeline, StoreError> {
        let stored = self.by_id.get(&id).and_then(|known| known.stored.as_ref());
        stored.ok_or_else(|| StoreError::NotFound(format!("pipeline {id}")))
    }

    /// Those that are kept, in the order of their names.
    pub(super) fn list<'a>(
        &'a self,
        filter: &'a PipelineFilter,
    ) -> impl Iterator<Item = (&'a StoredPipeline, &'a Known)> {
        let from = filter.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let names = self.by_name.get(&filter.tenant);
        let ids = names.into_iter().flat_map(move |names| names.range::<str, _>((from, Bound::Unbounded)));
        let search = filter.search.as_ref().map(|search| search.to_lowercase());
        let found = ids.filter(move |(name, _)| {
            search.as_ref().is_none_or(|search| name.to_lowercase().contains(search.as_str()))
        });
        let found = found.filter_map(|(_, id)| {
            let known = self.by_id.get(id)?;
            Some((known.stored.as_ref()?, known))
        });
        let of = filter.repository;
        found.filter(move |(stored, _)| of.is_none() || stored.source.repository() == of)
    }
}

/// The pipeline of runs that format 2 wrote, which knew them by their names.
pub(super) fn first_of_name(name: &str) -> PipelineId {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&blake3::hash(name.as_bytes()).as_bytes()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().into()
}
