//! Names to places and back.

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashTable};
use std::hash::BuildHasher;

use super::StageIndex;
use crate::id::StageName;

/// The names of all stages. The table holds places only, 5 bytes a slot: a key is compared with the name at its
/// place. The hash is seeded anew in each process, so that no pipeline can be written to make it collide.
#[derive(Clone)]
pub(super) struct Names {
    names: Vec<StageName>,
    table: HashTable<u32>,
    hasher: RandomState,
    cells: HashMap<StageName, Vec<StageIndex>, RandomState>,
}

impl Names {
    pub(super) fn with_capacity(stages: usize) -> Self {
        Self {
            names: Vec::with_capacity(stages),
            table: HashTable::with_capacity(stages),
            hasher: RandomState::default(),
            cells: HashMap::with_hasher(RandomState::default()),
        }
    }

    /// Adds the next name; gives the stage that has it already, if one has. The place is taken in any case.
    pub(super) fn push(&mut self, name: &StageName) -> Result<(), StageIndex> {
        let place = self.names.len() as u32;
        self.names.push(name.clone());
        let Self { names, table, hasher, .. } = self;
        let hash = hasher.hash_one(name.as_str());
        let entry =
            table.entry(hash, |&at| names[at as usize] == *name, |&at| hasher.hash_one(names[at as usize].as_str()));
        match entry {
            hashbrown::hash_table::Entry::Occupied(known) => Err(StageIndex(*known.get())),
            hashbrown::hash_table::Entry::Vacant(vacant) => {
                vacant.insert(place);
                Ok(())
            }
        }
    }

    /// Notes that a stage is a cell of this matrix; gives the cells that are known already.
    pub(super) fn push_cell(&mut self, of: &StageName, cell: StageIndex) -> &[StageIndex] {
        let cells = self.cells.entry(of.clone()).or_default();
        cells.push(cell);
        &cells[..cells.len() - 1]
    }

    pub(super) fn name(&self, stage: StageIndex) -> &StageName {
        &self.names[stage.index()]
    }

    pub(super) fn index(&self, name: &str) -> Option<StageIndex> {
        let hash = self.hasher.hash_one(name);
        self.table.find(hash, |&at| self.names[at as usize] == *name).map(|&at| StageIndex(at))
    }

    /// As [`Self::index`], looking first at one stage that may well be it: in a large pipeline a look into the table is
    /// a cache miss.
    pub(super) fn index_near(&self, name: &StageName, guess: StageIndex) -> Option<StageIndex> {
        let is_it = self.names.get(guess.index()).is_some_and(|known| known == name);
        if is_it { Some(guess) } else { self.index(name) }
    }

    pub(super) fn cells(&self, of: &str) -> &[StageIndex] {
        if self.cells.is_empty() { &[] } else { self.cells.get(of).map_or(&[], Vec::as_slice) }
    }

    /// Every name that `needs` may say: those of stages, and those of matrices.
    pub(super) fn all(&self) -> impl Iterator<Item = &StageName> {
        self.cells.keys().chain(&self.names)
    }
}
