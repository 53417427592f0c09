//! The test reports of kept runs.

use std::sync::Arc;

use buildit::artifact::BlobStore;
use buildit::compare::RunFacts;
use buildit_executors::reports::{Ended, TestDifference, changes, read_reports};

use crate::out::Out;
use crate::text::clean;

/// The tests of two runs that do not end alike. Reports that are gone or cannot be read are told, and passed over.
pub(crate) async fn test_changes(
    blobs: &Arc<dyn BlobStore>,
    before: &RunFacts,
    after: &RunFacts,
) -> Vec<TestDifference> {
    changes(&ended(blobs, before).await, &ended(blobs, after).await)
}

/// How each test of a run ended.
async fn ended(blobs: &Arc<dyn BlobStore>, run: &RunFacts) -> Ended {
    let mut all = Ended::new();
    for (stage, facts) in &run.stages {
        let Some(archive) = &facts.reports else { continue };
        let told = |what: &str| tell_unread(run.record.number, stage, what);
        match read_reports(blobs, archive).await {
            Ok(reports) => {
                all.extend(reports.statuses().map(|(test, status)| ((stage.clone(), test.clone()), status)));
                reports.unread.iter().for_each(|(file, why)| told(&format!("{file} is no report: {why}")));
            }
            Err(error) => told(&format!("its test reports cannot be read: {error}")),
        }
    }
    all
}

/// Tells people of reports that are passed over.
pub(crate) fn tell_unread(number: u64, stage: &str, what: &str) {
    Out::stderr().line(&format!("run #{number}: {}: {}", clean(stage), clean(what)));
}
