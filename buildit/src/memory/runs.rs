//! All runs: by id, by age, by whether they are open.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use foldhash::fast::RandomState;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::groups::Groups;
use super::journal::{ChangeFile, FileLogs, Folder, Index, IsNew, RunFile};
use super::kept::KeptRun;
use super::run::RunState;
use crate::id::{FencingToken, RunId};
use crate::store::{NewRun, RunRecord, Standing, StoreError, replaced_by};

/// How many closed runs stay in memory once they were read or have just ended: what people look at.
const RECENT: usize = 16;

/// How long the file of numbers may grow beyond one for each pipeline, in bytes, before it is written anew.
const NUMBERS_SLACK: u64 = 256 * 1024;

/// A number that a pipeline has given to a run that is there no more.
#[derive(Debug, Serialize, Deserialize)]
struct LastNumber {
    pipeline: String,
    number: u64,
}

#[derive(Debug, Default)]
pub(super) struct Runs {
    by_id: HashMap<RunId, Arc<KeptRun>, RandomState>,
    /// By the time of creation, then by the order of creation.
    order: BTreeMap<(Timestamp, u64), Arc<KeptRun>>,
    /// Those that are not closed, by the order of creation.
    open: BTreeMap<u64, RunId>,
    /// The last number of each pipeline.
    numbers: HashMap<String, u64>,
    last_place: u64,
    pub(super) groups: Groups,
    index: Option<Index>,
    /// The numbers of runs that were deleted.
    deleted: Option<ChangeFile>,
    recent: VecDeque<RunId>,
}

impl Runs {
    /// The runs of a folder. Closed ones are known from the index; open ones, and those that the index does not know,
    /// are read.
    pub(super) fn open(folder: &Arc<Folder>) -> Result<Self, StoreError> {
        let (index, mut known) = Index::open(folder)?;
        let mut runs = Self { index: Some(index), ..Self::default() };
        let mut deleted = ChangeFile::open(folder, "numbers", |last: LastNumber| {
            let known = runs.numbers.entry(last.pipeline).or_default();
            *known = last.number.max(*known);
        })?;
        if deleted.length() > NUMBERS_SLACK + 1024 * runs.numbers.len() as u64 {
            let last = |(pipeline, number): (&String, &u64)| LastNumber { pipeline: pipeline.clone(), number: *number };
            deleted.replace(&runs.numbers.iter().map(last).collect::<Vec<_>>())?;
        }
        runs.deleted = Some(deleted);
        runs.last_place = known.values().map(|entry| entry.place).max().unwrap_or(0);
        let mut cancelling = Vec::new();
        for id in Index::runs(folder)? {
            let logs = FileLogs::new(folder.logs(id), IsNew::No);
            let entry = known.remove(&id);
            let place = entry.as_ref().map(|entry| entry.place);
            if let Some(entry) = entry.filter(|entry| entry.is_closed) {
                let (created_at, number) = (entry.summary.created_at, entry.summary.number);
                runs.add(KeptRun::stored(entry, logs, Arc::clone(folder)), created_at, number);
                continue;
            }
            // A file without its first frame is a run that nobody was told of.
            let Some((file, stored)) = RunFile::load(&folder.run(id))? else {
                remove_unborn(folder, id);
                continue;
            };
            let (created_at, number, token, is_closed) =
                (stored.run.created_at, stored.number, stored.token, stored.is_closed);
            let is_new = place.is_none();
            let group = stored.run.group.clone().filter(|_| !stored.progress.status.is_final());
            let cancels = group.is_some() && stored.run.cancels_earlier();
            let place = place.unwrap_or_else(|| {
                runs.last_place += 1;
                runs.last_place
            });
            let state = RunState::stored(file, stored);
            let run = KeptRun::new(place, token, state, Some(logs), Some(Arc::clone(folder)));
            let run = runs.add(run, created_at, number);
            if !is_closed {
                runs.open.insert(place, id);
            }
            if let Some(group) = group {
                runs.groups.join(id, &run.pipeline, &group, number);
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
        let (id, created_at) = (run.id, run.created_at);
        let number = self.numbers.get(&run.plan.name).copied().unwrap_or(0) + 1;
        let file = folder.map(|folder| RunFile::create(folder.run(id), &run, number)).transpose()?;
        let logs = folder.map(|folder| FileLogs::new(folder.logs(id), IsNew::Yes));
        let state = RunState::new(run, number, file);
        let record = state.record();
        self.last_place += 1;
        let run = KeptRun::new(self.last_place, FencingToken(0), state, logs, folder.cloned());
        let run = self.add(run, created_at, number);
        self.open.insert(run.place, id);
        // The index follows from the file that is already there: a failure is made good when the folder is opened.
        if let Err(error) = self.note(&run) {
            tracing::warn!(%error, "a run is missing in the index of its journal");
        }
        let Some(group) = &record.run.group else { return Ok((record, Vec::new())) };
        self.groups.join(id, &record.run.plan.name, group, number);
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
        self.order.values().rev()
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
        let summary = run.summary();
        if let Some(deleted) = &mut self.deleted {
            deleted.append_durably(&[LastNumber { pipeline: summary.pipeline, number: summary.number }])?;
        }
        self.by_id.remove(&id);
        self.order.remove(&(summary.created_at, run.place));
        self.recent.retain(|recent| *recent != id);
        Ok(run)
    }

    fn add(&mut self, run: KeptRun, created_at: Timestamp, number: u64) -> Arc<KeptRun> {
        let run = Arc::new(run);
        let last = self.numbers.entry(run.pipeline.clone()).or_default();
        *last = number.max(*last);
        self.by_id.insert(run.id, Arc::clone(&run));
        self.order.insert((created_at, run.place), Arc::clone(&run));
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
