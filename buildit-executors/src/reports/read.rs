//! The archive that a stage leaves.

use std::sync::Arc;

use buildit::artifact::BlobStore;
use buildit::id::Digest;

use super::Reports;
use crate::workspace::{Kind, Limits, MAX_REPORT, WorkspaceError, load_archive, read_archive};

/// How much of an archive is parsed, and how many tests of it are kept: more than the largest suites have, and what a
/// reader can hold. What comes behind is passed over.
const MAX_PARSED: u64 = 256 << 20;
const MAX_TESTS: usize = 200_000;

/// Reads the archive of reports that a stage left.
///
/// # Errors
///
/// [`WorkspaceError`] when the archive is missing or damaged. A file in it that is no report is none.
pub async fn read_reports(blobs: &Arc<dyn BlobStore>, archive: &Digest) -> Result<Reports, WorkspaceError> {
    load_archive(blobs, archive, |archive| {
        let (mut reports, mut parsed) = (Reports::default(), 0);
        read_archive(archive, Limits::strict(), |entry, content| {
            let Kind::File(size) = entry.kind else { return Ok(()) };
            let file = entry.path.to_string_lossy().into_owned();
            let refused = if size > MAX_REPORT {
                Some(format!("it has more than {MAX_REPORT} bytes"))
            } else if parsed + size > MAX_PARSED {
                Some(format!("the reports before it have {parsed} bytes, and no more than {MAX_PARSED} are read"))
            } else if reports.tests.len() >= MAX_TESTS {
                Some(format!("the reports before it have {MAX_TESTS} tests or more"))
            } else {
                None
            };
            if let Some(why) = refused {
                reports.pass_over(file, why);
                return Ok(());
            }
            parsed += size;
            let mut xml = Vec::new();
            content.read_to_end(&mut xml)?;
            reports.add(&file, &xml);
            Ok(())
        })?;
        Ok(reports)
    })
    .await
}
