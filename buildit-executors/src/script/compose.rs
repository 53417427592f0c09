//! One script of a stage's commands.

use std::fmt::Write as _;

use buildit::pipeline::RunAction;

use super::Marks;

/// The script that the stage's shell reads: all commands in one shell under `set -e`, each after its mark, and each by
/// an `eval` of its own, so that a quote that does not end is an error of that command alone. SIGTERM, which all
/// processes of a job get, ends the shell only once the command that it waits for has used its grace period.
///
/// A shell of another kind than `sh` gets the commands alone: only its wrapper, which is a `sh`, can mark them, all
/// together.
pub(crate) fn compose(action: &RunAction, marks: &Marks) -> String {
    if !action.shell.is_posix() {
        return action.commands.iter().map(|command| format!("{}\n", command.script())).collect();
    }
    let mut script = String::from("trap 'exit 143' TERM\nset -e\n");
    for (index, command) in action.commands.iter().enumerate() {
        script.push_str(&marks.command_line(index));
        let _ = writeln!(script, "eval {}", quoted(command.script()));
    }
    script
}

/// The text as one word of a shell.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Whether a shell can have a variable of this name.
pub(crate) fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
