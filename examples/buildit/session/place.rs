//! Where the jobs of a run work.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use buildit::store::{NewRun, WorkFolder};

use crate::text::clean;

/// Where the jobs of a run work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Each in a workspace of its own.
    Workspaces,
    /// All in this folder, one after another.
    InPlace(PathBuf),
}

impl Place {
    /// Where the jobs of a kept run work, or why that cannot be, in words that go on from the run's name.
    ///
    /// What lies in the folder is not looked at: it is a person's own, and what a run has done there so far is to be gone
    /// on from, as in any stage of it. That it is the same folder is: another one at its place, as after a new clone, has
    /// nothing of what the stages that have ended left.
    pub(crate) fn of(run: &NewRun) -> Result<Self, String> {
        match (&run.source, &run.in_place) {
            (Some(_), _) => Ok(Self::Workspaces),
            (None, None) => Err("worked in a folder that is not kept with it".into()),
            (None, Some(folder)) => {
                let (path, shown) = (Path::new(&folder.path), clean(&folder.path));
                match identity(path) {
                    Some(found) if found == folder.identity => Ok(Self::InPlace(path.to_owned())),
                    Some(_) => Err(format!("worked in place, in {shown}, where another folder is by now")),
                    None => Err(format!("worked in place, in {shown}, which is gone")),
                }
            }
        }
    }

    /// Whether jobs share a folder.
    pub(crate) fn is_in_place(&self) -> bool {
        matches!(self, Self::InPlace(_))
    }

    /// What is kept with a run that works here: the folder, if it has a name that text can hold.
    pub(crate) fn folder(&self) -> Option<WorkFolder> {
        let Self::InPlace(path) = self else { return None };
        Some(WorkFolder { path: path.to_str()?.to_owned(), identity: identity(path)? })
    }
}

/// What tells a folder from another one that lies in its place later: its inode. Its device would tell more, and is another
/// after a restart of the machine.
fn identity(path: &Path) -> Option<String> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    metadata.is_dir().then(|| metadata.ino().to_string())
}

#[cfg(test)]
mod tests {
    use buildit::pipeline::{PipelineSpec, RunContext};
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_run_goes_on_in_its_own_folder_only() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("project");
        std::fs::create_dir(&path).unwrap();
        let place = Place::InPlace(path.clone());
        let new = NewRun::new(PipelineSpec::default(), RunContext::manual(), Timestamp::UNIX_EPOCH);
        let run = NewRun { in_place: place.folder(), ..new.clone() };
        assert_eq!(Place::of(&run), Ok(place));
        // Its inode is taken as long as it is there.
        std::fs::rename(&path, parent.path().join("moved")).unwrap();
        assert!(Place::of(&run).unwrap_err().ends_with("which is gone"));
        std::fs::create_dir(&path).unwrap();
        assert!(Place::of(&run).unwrap_err().ends_with("where another folder is by now"));
        assert!(Place::of(&new).is_err(), "no folder was kept");
        let source = Some(buildit::id::Digest::of(b"source"));
        assert_eq!(Place::of(&NewRun { source, ..run }), Ok(Place::Workspaces));
    }
}
