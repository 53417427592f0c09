//! Test reports, parsed. What stages leave is kept as they wrote it; what is made of that is kept in memory alone, as it
//! can be made again, and never grows old: it goes by the content's address.

use std::sync::Arc;

use buildit::artifact::BlobStore;
use buildit::id::Digest;
use buildit_executors::reports::{Reports, read_reports};
use buildit_executors::workspace::WorkspaceError;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

/// How much memory parsed reports take, in bytes: a few of the largest, or those of thousands of stages.
const MEMORY: u64 = 128 << 20;

/// For how many archives the cache makes room before it knows their sizes.
const ARCHIVES: usize = 1024;

/// How many archives are parsed at once: each may take several hundred MiB while it is.
const AT_ONCE: usize = 2;

/// The reports that were read last.
pub(crate) struct ReportCache {
    parsed: Cache<Digest, Arc<Reports>, Weight>,
    parsing: Semaphore,
}

#[derive(Clone, Copy)]
struct Weight;

impl Weighter<Digest, Arc<Reports>> for Weight {
    fn weight(&self, _: &Digest, reports: &Arc<Reports>) -> u64 {
        reports.weight() as u64
    }
}

impl std::fmt::Debug for ReportCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReportCache").field("archives", &self.parsed.len()).finish_non_exhaustive()
    }
}

impl ReportCache {
    pub(crate) fn new() -> Self {
        Self { parsed: Cache::with_weighter(ARCHIVES, MEMORY, Weight), parsing: Semaphore::new(AT_ONCE) }
    }

    /// What stands in an archive of reports. Several who ask for one at once have it parsed once.
    pub(crate) async fn read(
        &self,
        blobs: &Arc<dyn BlobStore>,
        archive: &Digest,
    ) -> Result<Arc<Reports>, WorkspaceError> {
        let parse = async {
            // It is never closed.
            let _turn = self.parsing.acquire().await;
            read_reports(blobs, archive).await.map(Arc::new)
        };
        self.parsed.get_or_insert_async(archive, parse).await
    }
}
