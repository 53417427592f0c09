//! A run's file: what it was started with, its events and leases.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::{At, NAME};
use super::file::{FrameReader, GrowingFile};
use super::folder::sync_folder;
use crate::event::Event;
use crate::id::{FencingToken, PipelineId};
use crate::store::{EventPage, Lease, NewRun, RunProgress, StoreError};

/// How far apart the places lie that are remembered, in bytes: a reader reads so much at most to find its event. Whoever
/// watches a run reads after each batch, and parses all of it; a place takes 16 bytes.
const STRIDE: u64 = 4 * 1024;

/// A frame of the file, as it is written (by reference) and read.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Entry<R, E> {
    Created {
        run: R,
        number: u64,
        /// Format 2 did not write it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pipeline: Option<PipelineId>,
    },
    Events {
        token: FencingToken,
        events: E,
    },
    Leased {
        token: FencingToken,
        lease: Option<Lease>,
    },
    CancelRequested {
        reason: String,
    },
    Closed,
}

/// The events of a run in its file.
#[derive(Debug)]
pub(in super::super) struct RunFile {
    file: GrowingFile,
    /// The number of the first event of a frame and where the frame begins, one for each [`STRIDE`].
    places: Vec<(u64, u64)>,
    /// The largest token of a lease that is durable.
    leased: FencingToken,
}

/// What a run's file says.
#[derive(Debug)]
pub(in super::super) struct StoredRun {
    pub(in super::super) run: NewRun,
    pub(in super::super) number: u64,
    pub(in super::super) pipeline: Option<PipelineId>,
    pub(in super::super) token: FencingToken,
    pub(in super::super) progress: RunProgress,
    pub(in super::super) last_seq: u64,
    pub(in super::super) is_closed: bool,
    /// Why it is to end, when another run has asked it to.
    pub(in super::super) cancel: Option<String>,
}

impl RunFile {
    /// Makes the file of a new run; it is durable when this returns, and is not there when it fails.
    pub(in super::super) fn create(
        path: PathBuf,
        run: &NewRun,
        number: u64,
        pipeline: PipelineId,
    ) -> Result<Self, StoreError> {
        let mut file = Self { file: GrowingFile::create(path.clone())?, places: Vec::new(), leased: FencingToken(0) };
        let written =
            file.write(&Entry::<_, ()>::Created { run, number, pipeline: Some(pipeline) }).and_then(|(_, handle)| {
                handle.sync_data().at("sync", &path)?;
                path.parent().map_or(Ok(()), sync_folder)
            });
        if let Err(error) = written {
            // Nobody was told of the run; a file that stays has no whole frame or a run that never begins.
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        Ok(file)
    }

    /// Reads the file; `None` when a crash left not even its first frame whole.
    pub(in super::super) fn load(path: &Path) -> Result<Option<(Self, StoredRun)>, StoreError> {
        let mut reader = FrameReader::open(path, 0, None)?;
        let Some(first) = reader.next()? else { return Ok(None) };
        let Entry::Created { run, number, pipeline } = parse(&reader, &first)? else {
            return Err(reader.damage("the file does not begin with its run"));
        };
        let mut stored = StoredRun {
            run,
            number,
            pipeline,
            token: FencingToken(0),
            progress: RunProgress::default(),
            last_seq: 0,
            is_closed: false,
            cancel: None,
        };
        let mut places = Vec::new();
        loop {
            let place = reader.offset();
            let Some(payload) = reader.next()? else { break };
            match parse(&reader, &payload)? {
                Entry::Created { .. } => return Err(reader.damage("a second run begins")),
                Entry::Events { token, events } => {
                    note(&mut places, stored.last_seq + 1, place);
                    for event in &events {
                        if event.seq != stored.last_seq + 1 {
                            return Err(reader.damage(format!("event {} follows {}", event.seq, stored.last_seq)));
                        }
                        stored.last_seq = event.seq;
                        stored.progress.apply(event);
                    }
                    stored.token = stored.token.max(token);
                }
                Entry::Leased { token, .. } => stored.token = stored.token.max(token),
                Entry::CancelRequested { reason } => stored.cancel = Some(reason),
                Entry::Closed => stored.is_closed = true,
            }
        }
        let file = GrowingFile::recovered(path.to_owned(), reader.offset())?;
        Ok(Some((Self { file, places, leased: stored.token }, stored)))
    }

    /// Appends events; they are durable once the file that is given back is synced.
    pub(in super::super) fn append(&mut self, token: FencingToken, events: &[Event]) -> Result<Arc<File>, StoreError> {
        let Some(first) = events.first() else {
            return self.write(&Entry::<(), _>::Events { token, events }).map(|(_, file)| file);
        };
        let (place, file) = self.write(&Entry::<(), _>::Events { token, events })?;
        note(&mut self.places, first.seq, place);
        Ok(file)
    }

    /// Appends a lease and makes it durable, if its token is a new one. Of a lease only the token outlives whoever has
    /// the folder open: when it ends, or that it was given back, is void with the next opening and need not be kept.
    pub(in super::super) fn lease(&mut self, token: FencingToken, lease: Option<&Lease>) -> Result<(), StoreError> {
        if token <= self.leased {
            return self.file.check();
        }
        let (_, file) = self.write(&Entry::<(), ()>::Leased { token, lease: lease.cloned() })?;
        file.sync_data().inspect_err(|error| self.file.sync_failed(error)).at("sync", self.file.path())?;
        self.leased = token;
        Ok(())
    }

    /// Notes why the run is to end, and makes it durable.
    pub(in super::super) fn request_cancel(&mut self, reason: &str) -> Result<(), StoreError> {
        let (_, file) = self.write(&Entry::<(), ()>::CancelRequested { reason: reason.to_owned() })?;
        file.sync_data().inspect_err(|error| self.file.sync_failed(error)).at("sync", self.file.path())
    }

    /// Notes that the run is closed. Lost in a crash of the machine, it is closed again.
    pub(in super::super) fn close(&mut self) -> Result<(), StoreError> {
        self.write(&Entry::<(), ()>::Closed).map(drop)
    }

    /// Says that the file could not be synced.
    pub(in super::super) fn sync_failed(&mut self, error: &std::io::Error) {
        self.file.sync_failed(error);
    }

    /// How to read the events after number `after`, at most `limit` of them; `last_seq` is the number of the last.
    pub(in super::super) fn page(&self, after: u64, limit: usize, last_seq: u64) -> EventReader {
        let before = self.places.partition_point(|(first, _)| *first <= after.saturating_add(1));
        let place = self.places.get(before.saturating_sub(1)).map_or(self.file.length(), |(_, place)| *place);
        let (path, length) = (self.file.path().to_owned(), self.file.length());
        EventReader { path, place, length, after, limit, last_seq }
    }

    fn write(&mut self, entry: &impl Serialize) -> Result<(u64, Arc<File>), StoreError> {
        let payload = serde_json::to_vec(entry).map_err(|error| StoreError::backend(NAME, error))?;
        self.file.append(&payload)
    }
}

/// Reads events out of a run's file.
#[derive(Debug)]
pub(in super::super) struct EventReader {
    path: PathBuf,
    place: u64,
    length: u64,
    after: u64,
    limit: usize,
    last_seq: u64,
}

impl EventReader {
    pub(in super::super) fn read(self) -> Result<EventPage, StoreError> {
        let mut page = EventPage { events: Vec::new(), last_seq: self.last_seq };
        if self.after >= self.last_seq {
            return Ok(page);
        }
        let mut reader = FrameReader::open(&self.path, self.place, Some(self.length))?;
        while page.events.len() < self.limit {
            let Some(payload) = reader.next()? else { break };
            if let Entry::Events { events, .. } = parse(&reader, &payload)? {
                page.events.extend(events.into_iter().filter(|event| event.seq > self.after));
            }
        }
        page.events.truncate(self.limit);
        Ok(page)
    }
}

fn parse(reader: &FrameReader, payload: &[u8]) -> Result<Entry<NewRun, Vec<Event>>, StoreError> {
    serde_json::from_slice(payload).map_err(|error| reader.damage(error))
}

fn note(places: &mut Vec<(u64, u64)>, first: u64, place: u64) {
    if places.last().is_none_or(|(_, last)| place >= last + STRIDE) {
        places.push((first, place));
    }
}
