//! Environment variables whose values a shell runs.

/// Variables whose values a shell reads as code, by itself and at any time.
const CODE: &[&str] = &["BASH_ENV", "ENV", "PROMPT_COMMAND", "PS0", "PS1", "PS2", "PS3", "PS4", "PROMPT"];

/// Whether a shell reads the value of this variable as code: with `set -x` it expands `PS4` before every command.
#[must_use]
pub(crate) fn is_code_variable(name: &str) -> bool {
    CODE.contains(&name) || name.starts_with("BASH_FUNC_")
}
