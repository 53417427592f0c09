//! One script of a stage's commands.

use buildit::pipeline::Command;

use super::marks::{Marks, Outputs};
use super::quote::quoted;

/// The script that a shell of sh's family reads: all commands in one shell under `set -e`, each after its mark, and
/// each by an `eval` of its own, so that a quote that does not end is an error of that command alone. SIGTERM, which
/// all processes of a job get, ends the shell only once the command that it waits for has used its grace period.
///
/// Bytes, because the outputs may be files whose names are no text.
pub(crate) fn compose(commands: &[Command], marks: &Marks, outputs: Outputs<'_>) -> Vec<u8> {
    let mut script = b"trap 'exit 143' TERM\nset -e\n".to_vec();
    for (index, command) in commands.iter().enumerate() {
        script.extend(marks.line(index, outputs));
        script.extend_from_slice(format!("eval {}\n", quoted(command.script())).as_bytes());
    }
    script
}

/// The commands alone, for a shell of another family: only its wrapper, which is a `sh`, can mark them, all together.
pub(crate) fn foreign_commands(commands: &[Command]) -> String {
    commands.iter().map(|command| format!("{}\n", command.script())).collect()
}
