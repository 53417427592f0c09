//! What worlds share that come one after another.

use std::path::Path;

use super::child::Harm;
use super::matrix::Outage;
#[cfg(feature = "postgres")]
use super::server::Server;
#[cfg(feature = "postgres")]
use super::stores;

/// A place for one world at a time.
#[derive(Debug)]
pub(crate) struct Lane {
    #[cfg(feature = "postgres")]
    server: Option<Server>,
}

#[cfg(feature = "postgres")]
impl Lane {
    pub(crate) fn new(harm: Harm) -> Self {
        Self { server: (harm == Harm::Server).then(Server::start) }
    }

    /// Tells a world what it may use.
    pub(crate) fn furnish(&self, world: &Path) {
        if let Some(server) = &self.server {
            stores::use_server(world, server.folder());
        }
    }

    /// How long what is taken away next stays away.
    pub(crate) fn prepare(&self, outage: Outage) {
        if let Some(server) = &self.server {
            server.stay_down(outage.time());
        }
    }

    /// Waits until everything is there again.
    pub(crate) fn wait(&self) {
        if let Some(server) = &self.server {
            server.wait();
        }
    }
}

#[cfg(not(feature = "postgres"))]
impl Lane {
    pub(crate) fn new(_: Harm) -> Self {
        Self {}
    }

    pub(crate) fn furnish(&self, _: &Path) {}

    pub(crate) fn prepare(&self, _: Outage) {}

    pub(crate) fn wait(&self) {}
}
