//! Requests that may come twice, in memory.

use std::collections::HashMap;

use jiff::Timestamp;

use super::journal::{ChangeFile, Folder};
use crate::id::TenantId;
use crate::store::{Request, StoreError};

/// What is remembered: what is journaled is the request, and whoever comes later under its key replaces it.
#[derive(Debug, Default)]
pub(super) struct JournaledRequests {
    known: HashMap<(TenantId, String), Request>,
    file: Option<ChangeFile>,
}

impl JournaledRequests {
    pub(super) fn open(folder: &Folder) -> Result<Self, StoreError> {
        let mut known = HashMap::new();
        let file = ChangeFile::open(folder, "requests", |request: Request| {
            known.insert((request.tenant, request.key.clone()), request);
        })?;
        Ok(Self { known, file: Some(file) })
    }

    pub(super) fn remember(&mut self, request: Request, now: Timestamp) -> Result<Request, StoreError> {
        let place = (request.tenant, request.key.clone());
        if let Some(known) = self.known.get(&place).filter(|known| known.expires_at > now) {
            return Ok(known.clone());
        }
        if let Some(file) = &mut self.file {
            file.append_durably(std::slice::from_ref(&request))?;
        }
        self.known.insert(place, request.clone());
        Ok(request)
    }

    pub(super) fn forget(&mut self, request: &Request) -> Result<(), StoreError> {
        let is_it =
            |known: &Request| known.tenant == request.tenant && known.key == request.key && known.run == request.run;
        self.keep(|known| !is_it(known)).map(drop)
    }

    pub(super) fn sweep(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        self.keep(|known| known.expires_at > now)
    }

    /// Keeps these only; how many it forgets.
    fn keep(&mut self, mut wanted: impl FnMut(&Request) -> bool) -> Result<u64, StoreError> {
        let before = self.known.len();
        self.known.retain(|_, known| wanted(known));
        let gone = before - self.known.len();
        if let Some(file) = self.file.as_mut().filter(|_| gone > 0) {
            file.replace(&self.known.values().collect::<Vec<_>>())?;
        }
        Ok(gone as u64)
    }
}
