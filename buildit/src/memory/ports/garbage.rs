//! What is referred to.

use std::collections::HashSet;

use async_trait::async_trait;

use super::super::kept::KeptRun;
use super::super::run::Page;
use super::super::store::MemoryStore;
use crate::event::EventBody;
use crate::id::Digest;
use crate::store::{ReferenceStore, StoreError};

/// How many events are read at once.
const PAGE: usize = 4096;

#[async_trait]
impl ReferenceStore for MemoryStore {
    async fn referred(&self, digests: &[Digest]) -> Result<HashSet<Digest>, StoreError> {
        let mut asked = Asked { open: digests.iter().copied().collect(), referred: HashSet::new() };
        self.caches_locked().caches.archives().for_each(|archive| asked.note(archive));
        self.results_locked().blobs().for_each(|blob| asked.note(blob));
        let runs: Vec<_> = self.runs_locked().newest_first().cloned().collect();
        for run in runs {
            match asked.note_run(&run) {
                // It was deleted meanwhile.
                Err(_) if self.kept(run.id).is_err() => {}
                noted => noted?,
            }
            run.forget();
        }
        Ok(asked.referred)
    }
}

struct Asked {
    open: HashSet<Digest>,
    referred: HashSet<Digest>,
}

impl Asked {
    fn note(&mut self, digest: Digest) {
        if self.open.remove(&digest) {
            self.referred.insert(digest);
        }
    }

    fn note_run(&mut self, run: &KeptRun) -> Result<(), StoreError> {
        let new = run.with_state(|state| Ok(state.record().run))?;
        new.blobs().for_each(|blob| self.note(blob));
        let mut after = 0;
        loop {
            let page = match run.with_state(|state| Ok(state.page(after, PAGE)))? {
                Page::Here(page) => page,
                Page::InFile(reader) => reader.read()?,
            };
            for event in &page.events {
                let products = match &event.body {
                    EventBody::AttemptFinished { outcome, .. } => &outcome.products,
                    EventBody::ResultTaken { result, .. } => &result.products,
                    _ => continue,
                };
                products.iter().flat_map(|products| products.digests()).for_each(|digest| self.note(digest));
            }
            match page.events.last() {
                Some(last) if last.seq < page.last_seq => after = last.seq,
                _ => return Ok(()),
            }
        }
    }
}
