//! The state of one run.

use std::fs::File;
use std::sync::Arc;

use jiff::Timestamp;

use super::journal::{EventReader, RunFile, StoredRun};
use crate::event::Event;
use crate::id::FencingToken;
use crate::store::{EventPage, Lease, NewRun, RunProgress, RunRecord, RunSummary, StoreError};

/// A run, its lease and its events.
#[derive(Debug)]
pub(super) struct RunState {
    run: NewRun,
    number: u64,
    progress: RunProgress,
    last_seq: u64,
    lease: Option<Lease>,
    is_closed: bool,
    cancel: Option<String>,
    events: Events,
}

#[derive(Debug)]
enum Events {
    /// As they came, and never copied: a run of millions is as quick at its end as at its beginning.
    Memory(Vec<Arc<[Event]>>),
    File(RunFile),
}

/// Some events, or where they are.
pub(super) enum Page {
    Here(EventPage),
    InFile(EventReader),
}

impl RunState {
    /// A new run, kept in this file if there is one.
    pub(super) fn new(run: NewRun, number: u64, file: Option<RunFile>) -> Self {
        let events = file.map_or_else(|| Events::Memory(Vec::new()), Events::File);
        Self {
            run,
            number,
            progress: RunProgress::default(),
            last_seq: 0,
            lease: None,
            is_closed: false,
            cancel: None,
            events,
        }
    }

    /// A run out of its file. Its lease is void: whoever held it had the folder open, and has it no more.
    pub(super) fn stored(file: RunFile, stored: StoredRun) -> Self {
        let StoredRun { run, number, progress, last_seq, is_closed, cancel, .. } = stored;
        Self { run, number, progress, last_seq, lease: None, is_closed, cancel, events: Events::File(file) }
    }

    /// Appends events, all or none; they are durable once the file that is given back is synced.
    pub(super) fn append(
        &mut self,
        expected_seq: u64,
        token: FencingToken,
        events: Arc<[Event]>,
    ) -> Result<Option<Arc<File>>, StoreError> {
        self.check(expected_seq, &events)?;
        let file = match &mut self.events {
            Events::Memory(_) => None,
            Events::File(file) => Some(file.append(token, &events)?),
        };
        events.iter().for_each(|event| self.progress.apply(event));
        self.last_seq += events.len() as u64;
        if let Events::Memory(batches) = &mut self.events
            && !events.is_empty()
        {
            batches.push(events);
        }
        Ok(file)
    }

    /// Whether these events are the next ones.
    fn check(&self, expected_seq: u64, events: &[Event]) -> Result<(), StoreError> {
        let conflict = |expected| StoreError::Conflict { expected, actual: self.last_seq };
        if expected_seq != self.last_seq {
            return Err(conflict(expected_seq));
        }
        match events.iter().zip(expected_seq + 1..).find(|(event, seq)| event.seq != *seq) {
            Some((event, _)) => Err(conflict(event.seq.saturating_sub(1))),
            None => Ok(()),
        }
    }

    /// Says that the file could not be synced: it takes nothing more.
    pub(super) fn sync_failed(&mut self, error: &std::io::Error) {
        if let Events::File(file) = &mut self.events {
            file.sync_failed(error);
        }
    }

    /// Events after number `after`, at most `limit`, or how to read them.
    pub(super) fn page(&self, after: u64, limit: usize) -> Page {
        match &self.events {
            Events::Memory(batches) => {
                // No batch is empty, so each has a first event, and their numbers are without gaps.
                let first = batches.partition_point(|batch| batch.last().is_some_and(|last| last.seq <= after));
                let events = batches[first..].iter().flat_map(|batch| batch.iter());
                let events = events.skip_while(|event| event.seq <= after).take(limit).cloned().collect();
                Page::Here(EventPage { events, last_seq: self.last_seq })
            }
            Events::File(file) => Page::InFile(file.page(after, limit, self.last_seq)),
        }
    }

    /// Leases the run and says with which token, when `seen` is the largest so far.
    pub(super) fn lease(
        &mut self,
        lease: Lease,
        seen: FencingToken,
        now: Timestamp,
    ) -> Result<FencingToken, StoreError> {
        let token = match &self.lease {
            Some(held) if held.until > now && held.worker == lease.worker => seen,
            Some(held) if held.until > now => return Err(StoreError::Fenced),
            _ => FencingToken(seen.0 + 1),
        };
        self.set_lease(token, Some(lease))?;
        Ok(token)
    }

    /// Moves the end of the lease, if there is one.
    pub(super) fn renew(&mut self, token: FencingToken, until: Timestamp) -> Result<(), StoreError> {
        match self.lease.clone() {
            Some(lease) => self.set_lease(token, Some(Lease { until, ..lease })),
            None => Ok(()),
        }
    }

    pub(super) fn set_lease(&mut self, token: FencingToken, lease: Option<Lease>) -> Result<(), StoreError> {
        if let Events::File(file) = &mut self.events {
            file.lease(token, lease.as_ref())?;
        }
        self.lease = lease;
        Ok(())
    }

    /// The lease, whether or not it has ended.
    pub(super) fn held(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// Whether somebody holds the run.
    pub(super) fn is_leased(&self, now: Timestamp) -> bool {
        self.lease.as_ref().is_some_and(|held| held.until > now)
    }

    /// Why it is to end, when another run has asked it to.
    pub(super) fn cancel(&self) -> Option<&str> {
        self.cancel.as_deref()
    }

    /// Asks the run to end, if nobody did before.
    pub(super) fn request_cancel(&mut self, reason: &str) -> Result<(), StoreError> {
        if self.cancel.is_none() {
            if let Events::File(file) = &mut self.events {
                file.request_cancel(reason)?;
            }
            self.cancel = Some(reason.to_owned());
        }
        Ok(())
    }

    /// Closes the run; `false` when it was closed already.
    pub(super) fn close(&mut self) -> Result<bool, StoreError> {
        if !self.progress.status.is_final() {
            return Err(StoreError::NotEnded(self.run.id));
        }
        if self.is_closed {
            return Ok(false);
        }
        if let Events::File(file) = &mut self.events {
            file.close()?;
        }
        self.is_closed = true;
        Ok(true)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.progress.status.is_final()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    pub(super) fn record(&self) -> RunRecord {
        RunRecord { run: self.run.clone(), number: self.number, status: self.progress.status, last_seq: self.last_seq }
    }

    pub(super) fn summary(&self) -> RunSummary {
        RunSummary::of_new(&self.run, self.number).with_progress(&self.progress)
    }
}
