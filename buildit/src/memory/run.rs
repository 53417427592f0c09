//! One run in memory.

use jiff::Timestamp;

use crate::event::Event;
use crate::id::FencingToken;
use crate::store::{EventPage, Lease, NewRun, RunProgress, RunRecord, RunSummary, StoreError};

/// How many events lie together: long enough to be found quickly, short enough never to be copied when a run grows.
const SEGMENT: usize = 4096;

/// A run, its lease and its events.
#[derive(Debug)]
pub(super) struct RunState {
    pub(super) run: NewRun,
    pub(super) number: u64,
    pub(super) progress: RunProgress,
    pub(super) last_seq: u64,
    pub(super) lease: Option<Lease>,
    events: Vec<Vec<Event>>,
}

impl RunState {
    pub(super) fn new(run: NewRun, number: u64) -> Self {
        Self { run, number, progress: RunProgress::default(), last_seq: 0, lease: None, events: Vec::new() }
    }

    /// Whether these events are the next ones.
    pub(super) fn check(&self, expected_seq: u64, events: &[Event]) -> Result<(), StoreError> {
        let conflict = |expected| StoreError::Conflict { expected, actual: self.last_seq };
        if expected_seq != self.last_seq {
            return Err(conflict(expected_seq));
        }
        match events.iter().zip(expected_seq + 1..).find(|(event, seq)| event.seq != *seq) {
            Some((event, _)) => Err(conflict(event.seq.saturating_sub(1))),
            None => Ok(()),
        }
    }

    /// Takes events that were checked.
    pub(super) fn append(&mut self, events: &[Event]) {
        for event in events {
            self.progress.apply(event);
            match self.events.last_mut() {
                Some(segment) if segment.len() < SEGMENT => segment.push(event.clone()),
                _ => {
                    // A short run pays for what it has.
                    let mut segment = Vec::with_capacity(if self.events.is_empty() { 16 } else { SEGMENT });
                    segment.push(event.clone());
                    self.events.push(segment);
                }
            }
        }
        self.last_seq += events.len() as u64;
    }

    pub(super) fn page(&self, after: u64, limit: usize) -> EventPage {
        let after = usize::try_from(after).unwrap_or(usize::MAX);
        let segments = self.events.get(after / SEGMENT..).unwrap_or_default();
        let events = segments.iter().flatten().skip(after % SEGMENT).take(limit).cloned().collect();
        EventPage { events, last_seq: self.last_seq }
    }

    /// What to lease the run with: the lease to keep and its token, when `token` is the largest that was seen.
    pub(super) fn lease(&self, lease: &Lease, token: FencingToken, now: Timestamp) -> Result<FencingToken, StoreError> {
        match &self.lease {
            Some(held) if held.until > now && held.worker == lease.worker => Ok(token),
            Some(held) if held.until > now => Err(StoreError::Fenced),
            _ => Ok(FencingToken(token.0 + 1)),
        }
    }

    pub(super) fn record(&self) -> RunRecord {
        RunRecord { run: self.run.clone(), number: self.number, status: self.progress.status, last_seq: self.last_seq }
    }

    pub(super) fn summary(&self) -> RunSummary {
        RunSummary {
            id: self.run.id,
            number: self.number,
            pipeline: self.run.plan.name.clone(),
            status: self.progress.status,
            created_at: self.run.created_at,
            started_at: self.progress.started_at,
            finished_at: self.progress.finished_at,
        }
    }
}
