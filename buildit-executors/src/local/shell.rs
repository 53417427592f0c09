//! Finding the shell of a stage.

use std::path::{Path, PathBuf};

use buildit::pipeline::Shell;

/// Where `sh` is on every system that follows the standard's habits.
const SH: &str = "/bin/sh";

/// Who reads a job's script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    /// The program that is started: of sh's family.
    pub(super) wrapper: PathBuf,
    /// The program that reads the commands, when it is of another family.
    pub(super) foreign: Option<PathBuf>,
}

/// The absolute path of a stage's shell, looked for in `path`; `None` when there is no such program. The path must be
/// absolute: a bare name takes the slow way to start a process.
pub(super) fn find(shell: &Shell, path: &str, folder: &Path) -> Option<Program> {
    let name = shell.program();
    if name == "sh" && Path::new(SH).exists() {
        return Some(Program { wrapper: SH.into(), foreign: None });
    }
    let found = which::which_in(name, Some(path), folder).ok()?;
    Some(if shell.is_posix() {
        Program { wrapper: found, foreign: None }
    } else {
        Program { wrapper: SH.into(), foreign: Some(found) }
    })
}
