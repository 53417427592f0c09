//! Which commands cannot get at the shell that runs them. Pure.

use std::ffi::CString;
use std::path::Path;

use buildit::pipeline::Command;

/// What a plain command consists of beside letters and digits: nothing that a shell expands, joins, redirects or quotes.
const MARKS: &[u8] = b" \t\n_-./:,+@%=";

/// The words of POSIX, bash, ksh, zsh and busybox that act on the shell itself or are part of its language. As
/// the first word of a line they may end it, replace it, or change what its traps do.
const OF_THE_SHELL: [&str; 82] = [
    ".",
    "alias",
    "autoload",
    "bg",
    "bind",
    "break",
    "builtin",
    "bye",
    "caller",
    "case",
    "chdir",
    "command",
    "compgen",
    "complete",
    "compopt",
    "continue",
    "coproc",
    "declare",
    "dirs",
    "disable",
    "disown",
    "do",
    "done",
    "elif",
    "else",
    "emulate",
    "enable",
    "esac",
    "eval",
    "exec",
    "exit",
    "export",
    "fc",
    "fg",
    "fi",
    "float",
    "for",
    "foreach",
    "function",
    "getopts",
    "hash",
    "hist",
    "history",
    "if",
    "in",
    "integer",
    "jobs",
    "kill",
    "let",
    "local",
    "logout",
    "mapfile",
    "nameref",
    "nocorrect",
    "noglob",
    "popd",
    "pushd",
    "read",
    "readarray",
    "readonly",
    "repeat",
    "return",
    "select",
    "set",
    "setopt",
    "shift",
    "shopt",
    "source",
    "suspend",
    "then",
    "time",
    "times",
    "trap",
    "type",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unset",
    "until",
    "wait",
    "while",
];

/// The shells whose words are those above.
const SHELLS: [&str; 3] = ["sh", "bash", "dash"];

/// Variables by which a shell takes functions or other code over from its environment.
const CODE: [&[u8]; 4] = [b"BASH_FUNC_", b"BASH_ENV=", b"ENV=", b"SHELLOPTS="];

/// Whether these commands can neither end this shell before its own last line, nor replace or change it: each line
/// runs a program, or a builtin that acts on nothing but its output and the current folder. In doubt they can.
pub(super) fn are_plain(commands: &[Command], shell: &Path, environment: &[CString]) -> bool {
    let knows = |name: &str| SHELLS.contains(&name);
    shell.file_name().and_then(|name| name.to_str()).is_some_and(knows)
        && commands.iter().all(|command| is_plain(command.script()))
        && !environment.iter().any(|variable| CODE.iter().any(|name| variable.to_bytes().starts_with(name)))
}

fn is_plain(script: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || MARKS.contains(&byte);
    let first_words = || script.lines().filter_map(|line| line.split_ascii_whitespace().next());
    script.bytes().all(is_allowed) && first_words().all(|word| !word.contains('=') && !OF_THE_SHELL.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn are(script: &str, shell: &str, environment: &[&str]) -> bool {
        let environment: Vec<_> = environment.iter().map(|variable| CString::new(*variable).unwrap()).collect();
        are_plain(&[Command::new(script)], Path::new(shell), &environment)
    }

    #[test]
    fn programs_with_plain_words_are_plain() {
        for script in ["true", "echo hi", "\n  cargo test --workspace\n\tcargo fmt --check\n", "./x -Dk=v", "exec.sh a"]
        {
            assert!(are(script, "/bin/sh", &["PATH=/bin", "ENVIRONMENT=x"]), "{script}");
        }
    }

    #[test]
    fn what_gets_at_the_shell_is_not() {
        for script in [
            "exit 3",
            "\texit",
            "exec true",
            "a\n exit",
            "trap x EXIT",
            "set -x",
            ". ./env",
            "A=b c",
            "PATH=x",
            "kill 1",
            "\"exit\"",
            "ex\\it",
            "e$x",
            "`x`",
            "a; exit",
            "a && b",
            "a | b",
            "a &",
            "(a)",
            "{ a",
            "if a",
            "a > b",
            "a\rb",
            "~/x",
            "a*",
            "! a",
            "command exec a",
            "eval exit",
            "\u{a0}exit",
        ] {
            assert!(!are(script, "/bin/sh", &[]), "{script:?}");
        }
    }

    #[test]
    fn an_unknown_shell_and_code_in_the_environment_are_not() {
        assert!(are("true", "/usr/bin/bash", &[]));
        for shell in ["/bin/zsh", "/opt/rc", "/"] {
            assert!(!are("true", shell, &[]), "{shell}");
        }
        for variable in ["BASH_FUNC_true%%=() { exit 1; }", "BASH_ENV=x", "ENV=x", "SHELLOPTS=noexec"] {
            assert!(!are("true", "/bin/bash", &[variable]), "{variable}");
        }
    }
}
