//! Where this program keeps what a run needs while it goes.

use std::path::PathBuf;

use crate::exit::Failure;

/// The state folder: `$XDG_STATE_HOME/buildit`, or `~/.local/state/buildit`. Jobs outlive this process there, so it
/// is the same whichever journal a run has, and outside of any source: a tool that looks for a project's root upwards
/// finds none but the stage's own.
pub(crate) fn folder() -> Result<PathBuf, Failure> {
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
