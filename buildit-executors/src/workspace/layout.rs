//! Filling a workspace before its job starts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use buildit::artifact::{BlobError, BlobStore};
use buildit::cached::InputGlobs;
use buildit::executor::{ArtifactInput, JobInputs};

use super::WorkspaceError;
use super::caches::{CachePath, unpack_cache};
use super::read::Limits;
use super::stream::load_archive;
use super::unpack::{unpack, unpack_seen};

/// Sees to it that no two stages bring the same path.
///
/// # Errors
///
/// [`WorkspaceError::Conflict`] with the path and both artifacts.
pub fn check_conflicts(artifacts: &[ArtifactInput]) -> Result<(), WorkspaceError> {
    let mut seen: HashMap<&str, &ArtifactInput> = HashMap::new();
    for artifact in artifacts {
        for path in &artifact.paths {
            match seen.insert(path, artifact) {
                Some(first) if first.stage != artifact.stage => {
                    let name = |artifact: &ArtifactInput| format!("{}: {}", artifact.stage, artifact.name);
                    let (first, second) = (name(first), name(artifact));
                    return Err(WorkspaceError::Conflict { path: path.clone(), first, second });
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Fills a new workspace: the source, what other stages left, and the caches, in this order. A cache whose archive
/// is gone is left out: a cache may be lost at any time.
///
/// # Errors
///
/// [`WorkspaceError`]: [`is_of_the_job`](WorkspaceError::is_of_the_job) tells who is to blame. The folder must not
/// be used then.
pub async fn lay_out(
    inputs: &JobInputs,
    blobs: &Arc<dyn BlobStore>,
    workspace: &Path,
    home: Option<&Path>,
) -> Result<(), WorkspaceError> {
    check_conflicts(&inputs.artifacts)?;
    lay_out_source(inputs, blobs, workspace).await?;
    lay_over(inputs, blobs, workspace, home).await
}

/// The first part of [`lay_out`]: the source alone, or as much of it as the job sees.
pub(crate) async fn lay_out_source(
    inputs: &JobInputs,
    blobs: &Arc<dyn BlobStore>,
    workspace: &Path,
) -> Result<(), WorkspaceError> {
    let Some(source) = &inputs.source else { return Ok(()) };
    let (root, seen) = (workspace.to_owned(), seen(inputs)?);
    let limits = Limits::strict().with_links_anywhere();
    load_archive(blobs, source, move |reader| unpack_seen(reader, &root, limits, seen.as_ref())).await
}

/// What of the source a job sees, when that is not all of it.
pub(crate) fn seen(inputs: &JobInputs) -> Result<Option<InputGlobs>, WorkspaceError> {
    let globs = inputs.only.as_ref().map(|only| InputGlobs::new(only.iter().map(String::as_str)));
    Ok(globs.transpose()?)
}

/// The rest of [`lay_out`]: what comes over the source.
pub(crate) async fn lay_over(
    inputs: &JobInputs,
    blobs: &Arc<dyn BlobStore>,
    workspace: &Path,
    home: Option<&Path>,
) -> Result<(), WorkspaceError> {
    check_conflicts(&inputs.artifacts)?;
    for artifact in &inputs.artifacts {
        let root = workspace.to_owned();
        load_archive(blobs, &artifact.archive, move |reader| unpack(reader, &root, Limits::strict())).await?;
    }
    for cache in &inputs.caches {
        let Some(archive) = &cache.archive else { continue };
        let paths = CachePath::parse_all(&cache.paths)?;
        let (workspace, home) = (workspace.to_owned(), home.map(PathBuf::from));
        let restored =
            load_archive(blobs, archive, move |reader| unpack_cache(reader, &paths, &workspace, home.as_deref()));
        match restored.await {
            Err(WorkspaceError::Blob(BlobError::Missing(_))) => {}
            done => done?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use buildit::id::Digest;

    use super::*;

    #[test]
    fn two_stages_that_bring_one_path_are_both_named() {
        let artifact = |stage: &str, path: &str| ArtifactInput {
            stage: stage.into(),
            name: "bin".into(),
            archive: Digest::of(stage.as_bytes()),
            paths: vec![path.into()],
        };
        assert!(check_conflicts(&[artifact("a", "x"), artifact("a", "x"), artifact("b", "y")]).is_ok());
        let error = check_conflicts(&[artifact("a", "x"), artifact("b", "x")]).unwrap_err();
        assert_eq!(error.to_string(), "`x` comes from both `a: bin` and `b: bin`");
    }
}
