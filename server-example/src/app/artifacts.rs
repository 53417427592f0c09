//! What the stages of a run have left.

use std::collections::HashSet;
use std::path::PathBuf;

use buildit::artifact::{BlobError, BlobStream};
use buildit::id::Digest;
use buildit_executors::workspace::merge_archives;

use crate::problem::Problem;
use crate::state::ServerState;
use crate::view::run::RunView;

/// All artifacts of a run as one archive, each in a folder of its own: `STAGE/NAME`. It is made while it is read.
pub(crate) async fn all(state: &ServerState, view: &RunView) -> Result<BlobStream, Problem> {
    let placed = placed(view);
    if placed.is_empty() {
        return Err(Problem::not_found().with_detail("the run has left no artifact"));
    }
    // What is gone is told as a problem, not by an answer that breaks off.
    for (folder, artifact) in &placed {
        let failed = |error: BlobError| {
            tracing::error!(%error, run = %view.id, "artifacts cannot be read");
            Problem::internal()
        };
        if !state.blobs().contains(artifact).await.map_err(failed)? {
            return Err(Problem::not_found().with_detail(format!("`{}` is not there any more", folder.display())));
        }
    }
    Ok(merge_archives(state.blobs().clone(), placed))
}

/// The artifacts, each with its folder.
fn placed(view: &RunView) -> Vec<(PathBuf, Digest)> {
    let of_stage = |stage: &'_ crate::view::run::StageView| {
        let artifacts = stage.products.as_deref().map(|products| &products.artifacts[..]).unwrap_or_default();
        let named = artifacts.iter().map(|artifact| (stage.name.to_string(), artifact.name.clone(), artifact.digest));
        named.collect::<Vec<_>>()
    };
    let mut taken = HashSet::new();
    let all =
        view.stages.iter().flat_map(of_stage).map(|(stage, name, digest)| (free(&mut taken, &stage, &name), digest));
    all.collect()
}

/// A folder that nothing else has: names may differ only in what a folder's name cannot have.
fn free(taken: &mut HashSet<String>, stage: &str, name: &str) -> PathBuf {
    let wished = format!("{}/{}", folder(stage), folder(name));
    let mut place = wished.clone();
    let mut number = 1;
    while !taken.insert(place.to_lowercase()) {
        number += 1;
        place = format!("{wished}-{number}");
    }
    place.into()
}

/// A name as that of a folder, on whatever system it is unpacked.
fn folder(name: &str) -> String {
    let is_odd = |character: char| character.is_control() || r#"/\:*?"<>|"#.contains(character);
    let name: String = name.chars().map(|character| if is_odd(character) { '_' } else { character }).collect();
    let name = name.trim_matches(['.', ' ']);
    if name.is_empty() { "_".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_artifacts_share_a_folder_and_none_leaves_it() {
        let mut taken = HashSet::new();
        let mut place = |stage, name| free(&mut taken, stage, name).display().to_string();
        assert_eq!(place("build", "dist/**"), "build/dist___");
        assert_eq!(place("build", "dist_*?"), "build/dist___-2");
        assert_eq!(place("Build", "DIST/**"), "Build/DIST___-3");
        assert_eq!(place("..", "../../etc"), "_/_.._etc");
        assert_eq!(place("test[os=linux]", " "), "test[os=linux]/_");
    }
}
