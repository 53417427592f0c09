//! All runs: by id, by age, by whether they are open.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::groups::Groups;
use super::journal::{ChangeFile, FileLogs, Folder, Index, IsNew, RunFile};
use super::kept::{KeptRun, RunPlace, newest_first};
use super::pipelines::{PipelineWrite, Pipelines, first_of_name};
use super::run::RunState;
use crate::id::{FencingToken, PipelineId, RunId};
use crate::store::{NewRun, RunFilter, RunRecord, Standing, StoreError, replaced_by};

/// How many closed runs stay in memory once they were read or have just ended: what people look at.
const RECENT: usize = 16;

/// How long the file of numbers may grow beyond one for each pipeline, in bytes, before it is written anew.
const NUMBERS_SLACK: u64 = 256 * 1024;

/// How long the file of pipelines may grow beyond one write for each pipeline, in bytes, before it is written anew.
const PIPELINES_SLACK: u64 = 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Runs {
    by_id: HashMap<RunId, Arc<KeptRun>, RandomState>,
    order: BTreeMap<RunPlace, Arc<KeptRun>>,
    /// Those that are not closed, by the order of creation.
    open: BTreeMap<u64, RunId>,
    pub(super) pipelines: Pipelines,
    last_place: u64,
    pub(super) groups: Groups,
    index: Option<Index>,
    /// The numbers of runs that were deleted.
    deleted: Option<ChangeFile>,
    /// The pipelines that are kept.
    kept_pipelines: Option<ChangeFile>,
    recent: VecDeque<RunId>,
}

impl Runs {
    /// The runs of a folder. Closed ones are known from the index; open ones, and those that the index does not know,
    /// are read.
    pub(super) fn open(folder: &Arc<Folder>) -> Result<Self, StoreError> {
        let (index, mut known) = Index::open(folder)?;
        let mut runs = Self { index: Some(index), ..Self::default() };
        let mut kept = ChangeFile::open(folder, "pipelines", |write| runs.pipelines.apply(write))?;
        if kept.length() > PIPELINES_SLACK + 4096 * runs.pipelines.len() as u64 {
            kept.replace(&runs.pipelines.as_writes())?;
        }
        runs.kept_pipelines = Some(kept);
        // After the pipelines: the name that a number was noted with may be another one's by now.
        let mut deleted = ChangeFile::open(folder, "numbers", |last| runs.pipelines.note_number(last))?;
        if deleted.length() > NUMBERS_SLACK + 1024 * runs.pipelines.len() as u64 {
            deleted.replace(&runs.pipelines.last_numbers())?;
        }
        runs.deleted = Some(deleted);
        runs.last_place = known.values().map(|entry| entry.place).max().unwrap_or(0);
        let mut cancelling = Vec::new();
        for id in Index::runs(folder)? {
            let logs = FileLogs::new(folder.logs(id), IsNew::No);
            let entry = known.remove(&id);
            let place = entry.as_ref().map(|entry| entry.place);
            if let Some(entry) = entry.filter(|entry| entry.is_closed) {
                let name = entry.summary.pipeline.clone();
                runs.add(KeptRun::stored(entry, logs, Arc::clone(folder)), &name);
                continue;
            }
            // A file without its first frame is a run that nobody was told of.
            let Some((file, stored)) = RunFile::load(&folder.run(id))? else {
                remove_unborn(folder, id);
                continue;
            };
            let (number, token, is_closed) = (stored.number, stored.token, stored.is_closed);
            let name = stored.run.plan.name.clone();
            let pipeline = stored.pipeline.unwrap_or_else(|| first_of_name(&name));
            let is_new = place.is_none();
            let group = stored.run.group.clone().filter(|_| !stored.progress.status.is_final());
            let cancels = group.is_some() && stored.run.cancels_earlier();
            let place = place.unwrap_or_else(|| {
                runs.last_place += 1;
                runs.last_place
            });
            let state = RunState::stored(file, stored);
            let run = KeptRun::new(place, pipeline, token, state, Some(logs), Some(Arc::clone(folder)));
            let run = runs.add(run, &name);
            if !is_closed {
                runs.open.insert(place, id);
            }
            if let Some(group) = group {
                runs.groups.join(id, pipeline, &group, number);
            }
            if cancels {
                cancelling.push((id, number));
            }
            if is_new || is_closed {
                runs.note(&run)?;
                run.forget();
            }
        }
        // What a crash left out between the making of a run and the asking of the others.
        cancelling.into_iter().try_for_each(|(id, number)| runs.cancel_before(id, number).map(drop))?;
        Ok(runs)
    }

    pub(super) fn get(&self, run: RunId) -> Result<Arc<KeptRun>, StoreError> {
        self.by_id.get(&run).cloned().ok_or(StoreError::NoRun(run))
    }

    /// Keeps a new run; beside it, the runs that are asked to end by it.
    pub(super) fn create(
        &mut self,
        run: NewRun,
        folder: Option<&Arc<Folder>>,
    ) -> Result<(RunRecord, Vec<RunId>), StoreError> {
        if self.by_id.contains_key(&run.id) {
            return Err(StoreError::Exists(run.id));
        }
        let id = run.id;
        let (pipeline, number) = self.pipelines.next(run.tenant, &run.plan.name);
        let file = folder.map(|folder| RunFile::create(folder.run(id), &run, number, pipeline)).transpose()?;
        let logs = folder.map(|folder| FileLogs::new(folder.logs(id), IsNew::Yes));
        let state = RunState::new(run, number, file);
        let record = state.record();
        self.last_place += 1;
        let run = KeptRun::new(self.last_place, pipeline, FencingToken(0), state, logs, folder.cloned());
        let run = self.add(run, &record.run.plan.name);
        self.open.insert(run.place, id);
        // The index follows from the file that is already there: a failure is made good when the folder is opened.
        if let Err(error) = self.note(&run) {
            tracing::warn!(%error, "a run is missing in the index of its journal");
        }
        let Some(group) = &record.run.group else { return Ok((record, Vec::new())) };
        self.groups.join(id, pipeline, group, number);
        if !record.run.cancels_earlier() {
            return Ok((record, Vec::new()));
        }
        // The run is kept; whom it could not ask is asked when the folder is opened.
        let asked = self.cancel_before(id, number).unwrap_or_else(|error| {
            tracing::warn!(run = %id, %error, "the earlier runs of a group could not be asked to end");
            Vec::new()
        });
        Ok((record, asked))
    }

    /// Asks the earlier runs of this one's group to end.
    fn cancel_before(&self, run: RunId, number: u64) -> Result<Vec<RunId>, StoreError> {
        let reason = replaced_by(number);
        let earlier: Vec<RunId> = self.groups.before(run).collect();
        for run in &earlier {
            self.get(*run)?.with_state(|state| state.request_cancel(&reason))?;
        }
        Ok(earlier)
    }

    /// How a run stands with others of its group.
    pub(super) fn standing(&self, run: RunId) -> Option<Standing> {
        let kept = self.by_id.get(&run)?;
        let cancel = kept.with_state(|state| Ok(state.cancel().map(str::to_owned))).ok()?;
        Some(Standing { run, waits_for: self.groups.before(run).next(), cancel })
    }

    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Arc<KeptRun>> {
        newest_first(&self.order, None)
    }

    /// The closed runs in the order of creation, the last one first, behind the place `before`.
    pub(super) fn closed_before(&self, before: u64) -> Vec<Arc<KeptRun>> {
        let mut closed: Vec<_> = self.by_id.values().filter(|run| run.place < before && !self.is_open(run)).collect();
        closed.sort_by_key(|run| std::cmp::Reverse(run.place));
        closed.into_iter().cloned().collect()
    }

    pub(super) fn open_runs(&self) -> Vec<RunId> {
        self.open.values().copied().collect()
    }

    /// Takes a closed run out of the open ones.
    pub(super) fn close(&mut self, run: &KeptRun) -> Result<(), StoreError> {
        self.note(run)?;
        self.open.remove(&run.place);
        Ok(())
    }

    /// Says that a run was looked at, and which one nobody looked at lately: it may leave memory.
    pub(super) fn touch(&mut self, run: RunId) -> Option<Arc<KeptRun>> {
        if self.index.is_none() || self.recent.back() == Some(&run) {
            return None;
        }
        self.recent.retain(|recent| *recent != run);
        self.recent.push_back(run);
        if self.recent.len() <= RECENT {
            return None;
        }
        self.recent.pop_front().and_then(|oldest| self.by_id.get(&oldest).cloned())
    }

    pub(super) fn is_open(&self, run: &KeptRun) -> bool {
        self.open.contains_key(&run.place)
    }

    pub(super) fn check_closed(&self, id: RunId) -> Result<Arc<KeptRun>, StoreError> {
        let run = self.get(id)?;
        if self.is_open(&run) { Err(StoreError::NotEnded(id)) } else { Ok(run) }
    }

    /// Forgets a closed run, whose files are still to be removed. Its number is noted first and its own file goes last,
    /// so that whatever ends this in between leaves a run that can be deleted when the folder is opened again.
    pub(super) fn delete(&mut self, id: RunId) -> Result<Arc<KeptRun>, StoreError> {
        let run = self.check_closed(id)?;
        if let Some(deleted) = &mut self.deleted {
            let last = self.pipelines.number_of(run.pipeline, run.number);
            deleted.append_durably(&last.into_iter().collect::<Vec<_>>())?;
        }
        self.by_id.remove(&id);
        self.order.remove(&run.in_order());
        self.pipelines.forget(&run);
        self.recent.retain(|recent| *recent != id);
        Ok(run)
    }

    /// Changes the pipelines that are kept; it is durable when this returns.
    pub(super) fn write_pipeline(&mut self, write: PipelineWrite) -> Result<(), StoreError> {
        if let Some(kept) = &mut self.kept_pipelines {
            kept.append_durably(std::slice::from_ref(&write))?;
        }
        self.pipelines.apply(write);
        Ok(())
    }

    /// Forgets a pipeline without runs. That its numbers begin anew is noted first, so that whatever ends this in between
    /// leaves a pipeline that can be deleted.
    pub(super) fn delete_pipeline(&mut self, id: PipelineId) -> Result<(), StoreError> {
        if let Some(deleted) = &mut self.deleted {
            let gone = self.pipelines.number_of(id, 0);
            deleted.append_durably(&gone.into_iter().collect::<Vec<_>>())?;
        }
        self.write_pipeline(PipelineWrite::Deleted { id })
    }

    /// Those runs that a filter lets through as far as this is known without looking into them, the newest first, each
    /// with the name of its pipeline; at most `limit`.
    pub(super) fn candidates(
        &self,
        filter: &RunFilter,
        limit: usize,
    ) -> Result<Vec<(Arc<KeptRun>, String)>, StoreError> {
        let before = filter.before.map(|run| self.get(run)).transpose()?.map(|run| run.in_order());
        let runs: Box<dyn Iterator<Item = &Arc<KeptRun>>> = match (filter.tenant, &filter.pipeline) {
            (Some(tenant), Some(name)) => {
                let pipeline = self.pipelines.find(tenant, name).and_then(|id| self.pipelines.get(id));
                Box::new(pipeline.into_iter().flat_map(move |pipeline| pipeline.newest_first(before)))
            }
            _ => Box::new(newest_first(&self.order, before)),
        };
        let of_tenant = runs.filter(|run| filter.tenant.is_none_or(|tenant| tenant == run.tenant));
        let named = of_tenant.filter_map(|run| Some((run, self.pipelines.name(run.pipeline)?)));
        let found = named.filter(|(_, name)| filter.pipeline.as_ref().is_none_or(|wanted| wanted == name));
        Ok(found.take(limit).map(|(run, name)| (Arc::clone(run), name.to_owned())).collect())
    }

    fn add(&mut self, run: KeptRun, name: &str) -> Arc<KeptRun> {
        let run = Arc::new(run);
        self.pipelines.add(&run, name);
        self.by_id.insert(run.id, Arc::clone(&run));
        self.order.insert(run.in_order(), Arc::clone(&run));
        run
    }

    fn note(&mut self, run: &KeptRun) -> Result<(), StoreError> {
        self.index.as_mut().map_or(Ok(()), |index| index.note(&run.index_entry()))
    }
}

fn remove_unborn(folder: &Folder, run: RunId) {
    // Left there, it is passed over again the next time.
    let _ = std::fs::remove_file(folder.run(run));
}
