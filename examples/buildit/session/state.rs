//! Where this program keeps what a run needs while it goes.

use std::fs::DirBuilder;
use std::io;
use std::path::{Path, PathBuf};

use buildit::kept;

use crate::exit::Failure;

/// The form of the state folder: `jobs`, and the store of all runs that were given no other.
const STATE_FORM: u32 = 1;

/// The state folder: `$XDG_STATE_HOME/buildit`, or `~/.local/state/buildit`. Jobs outlive this process there, so it
/// is the same whichever journal a run has, and outside of any source: a tool that looks for a project's root upwards
/// finds none but the stage's own.
///
/// It is made when it is not there, for this user alone.
pub(crate) fn folder() -> Result<PathBuf, Failure> {
    let folder = place()?;
    make(&folder).map_err(|error| unusable(&folder, &error))?;
    Ok(folder)
}

fn place() -> Result<PathBuf, Failure> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    set("XDG_STATE_HOME")
        .or_else(|| Some(set("HOME")?.join(".local/state")))
        .map(|folder| folder.join("buildit"))
        .ok_or_else(|| Failure::usage("neither XDG_STATE_HOME nor HOME names a folder to work in"))
}

/// Who starts the run, for its record.
pub(crate) fn person() -> String {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    set("USER").or_else(|| set("LOGNAME")).unwrap_or_else(|| "somebody".into())
}

/// The person named no folder: what is said has to.
fn unusable(state: &Path, error: &io::Error) -> Failure {
    let place = state.display();
    Failure::Backend(anyhow::anyhow!(
        "cannot keep what a run needs in {place}: {error}; set XDG_STATE_HOME to a folder that can be written to"
    ))
}

/// Makes the state folder for this user alone, with its mark.
fn make(state: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(state)?;
    kept::mark(state, "state", STATE_FORM)
}
