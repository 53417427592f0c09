//! Which commands cannot get at the shell that runs them. Pure.

use std::ffi::CString;
use std::path::Path;

use buildit::pipeline::Command;

/// What the first word of a plain command consists of beside letters and digits.
const IN_COMMAND: &[u8] = b"_-./:,+@%";

/// What stands in its further words beside these and what [`Scan`] looks at: it means the same to the command only.
const IN_ARGUMENT: &[u8] = b"=^~*?[]{}!#";

/// The words of POSIX, bash, ksh, zsh and busybox that act on the shell itself or are part of its language. As
/// the first word of a line they may end it, replace it, or change what its traps do.
const OF_THE_SHELL: &str = "\
    . alias autoload bg bind break builtin bye caller case chdir command compgen complete compopt \
    continue coproc declare dirs disable disown do done elif else emulate enable esac eval exec exit \
    export fc fg fi float for foreach function getopts hash hist history if in integer jobs kill let \
    local logout mapfile nameref nocorrect noglob popd pushd read readarray readonly repeat return \
    select set setopt shift shopt source suspend then time times trap type typeset ulimit umask unalias \
    unset until wait while";

/// The shells whose words are those above.
const SHELLS: [&str; 3] = ["sh", "bash", "dash"];

/// Variables by which a shell takes functions or other code over from its environment.
const CODE: [&[u8]; 4] = [b"BASH_FUNC_", b"BASH_ENV=", b"ENV=", b"SHELLOPTS="];

/// Whether these commands can neither end this shell before its own last line, nor replace or change it: all that they
/// run are programs, and builtins that act on nothing but their output and the current folder. In doubt they can.
///
/// First words are literal and no word of the shell; what follows them are words, quotes, redirections and variables,
/// which never become a command. They may be joined by `&&`, `||`, `|`, `;` and ends of lines.
pub(super) fn are_plain(commands: &[Command], shell: &Path, environment: &[CString]) -> bool {
    let knows = |name: &str| SHELLS.contains(&name);
    shell.file_name().and_then(|name| name.to_str()).is_some_and(knows)
        && commands.iter().all(|command| Scan(command.script().as_bytes()).reach_end().is_some())
        && !environment.iter().any(|variable| CODE.iter().any(|name| variable.to_bytes().starts_with(name)))
}

/// What is left of a script. Each step gives `None` where it comes to something that is not plain.
struct Scan<'a>(&'a [u8]);

impl<'a> Scan<'a> {
    fn reach_end(mut self) -> Option<()> {
        while let Some(&byte) = self.0.first() {
            match byte {
                b' ' | b'\t' | b'\n' => self.skip(1)?,
                b'#' => self.comment(),
                _ => {
                    self.first_word()?;
                    self.further_words()?;
                }
            }
        }
        Some(())
    }

    fn first_word(&mut self) -> Option<()> {
        let word = self.run_of(|byte| byte.is_ascii_alphanumeric() || IN_COMMAND.contains(&byte));
        // Digits before a redirection are no command.
        let ends = self.0.first().is_none_or(|next| b" \t\n;&|".contains(next));
        (ends && !word.is_empty() && OF_THE_SHELL.split(' ').all(|known| known.as_bytes() != word)).then_some(())
    }

    /// Everything up to where the next command begins.
    fn further_words(&mut self) -> Option<()> {
        let mut begins = false;
        while let Some(&byte) = self.0.first() {
            let was = std::mem::replace(&mut begins, matches!(byte, b' ' | b'\t'));
            match (byte, self.0.get(1)) {
                (b'&', Some(b'&')) | (b'|', Some(b'|')) => return self.skip(2),
                (b'&', _) | (b'|', Some(b'&')) | (b';', Some(b';' | b'&')) | (b'<', Some(b'<' | b'>' | b'(')) => {
                    return None;
                }
                (b'\n' | b';' | b'|', _) => return self.skip(1),
                (b'>', Some(b'>' | b'&' | b'|')) | (b'<', Some(b'&')) => self.skip(2)?,
                (b' ' | b'\t' | b'<' | b'>', _) => self.skip(1)?,
                (b'#', _) if was => self.comment(),
                (b'$', _) => self.variable()?,
                (b'"', _) => self.quoted()?,
                (b'\'', _) => {
                    let end = self.0[1..].iter().position(|&byte| byte == b'\'')?;
                    self.skip(end + 2)?;
                }
                _ if byte.is_ascii_alphanumeric() || IN_COMMAND.contains(&byte) || IN_ARGUMENT.contains(&byte) => {
                    self.skip(1)?;
                }
                _ => return None,
            }
        }
        Some(())
    }

    /// Between double quotes.
    fn quoted(&mut self) -> Option<()> {
        self.skip(1)?;
        loop {
            match self.0.first()? {
                b'"' => return self.skip(1),
                b'$' => self.variable()?,
                b'\\' | b'`' => return None,
                _ => self.skip(1)?,
            }
        }
    }

    /// `$NAME` or `${NAME}`.
    fn variable(&mut self) -> Option<()> {
        let is_braced = self.0.get(1) == Some(&b'{');
        self.skip(if is_braced { 2 } else { 1 })?;
        let name = self.run_of(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let is_name = name.first().is_some_and(|first| !first.is_ascii_digit());
        match (is_name, is_braced) {
            (true, true) if self.0.first() == Some(&b'}') => self.skip(1),
            (true, false) => Some(()),
            _ => None,
        }
    }

    fn comment(&mut self) {
        self.run_of(|byte| byte != b'\n');
    }

    fn run_of(&mut self, belongs: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|&byte| !belongs(byte)).unwrap_or(self.0.len());
        let (run, rest) = self.0.split_at(end);
        self.0 = rest;
        run
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.0 = self.0.get(count..)?;
        Some(())
    }
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
        for script in [
            "",
            "true",
            "echo hi",
            "\n  cargo test --workspace\n\tcargo fmt --check\n",
            "./x -Dk=v",
            "exec.sh a",
            "cargo build && cargo test || echo 'no $(exit); `exit`'",
            "make -j4 2>&1 | tee log >>all </dev/null",
            "echo \"${BUILDIT_GIT_BRANCH}: $X\" # exit; (\nls *.rs ~/[a]?",
            "a;b ;c\n\n# it's\n",
            "echo \"\u{a0}\" 'x\nexit'",
            "a >x;b",
            "a|b",
            "echo if exec # '",
            "echo a#b",
        ] {
            assert!(are(script, "/bin/sh", &["PATH=/bin", "ENVIRONMENT=x"]), "{script}");
        }
    }

    #[test]
    fn what_gets_at_the_shell_is_not() {
        let of_the_shell = [
            "exit 3",
            "\texit",
            "exec true",
            "a\n exit",
            "trap x EXIT",
            "set -x",
            ". ./env",
            "kill 1",
            "if a",
            "! a",
            "{ a",
            "(a)",
            "f() { a",
            "command exec a",
            "eval exit",
            "exit;",
            "exit>x",
            "exit&&a",
            "A=b c",
            "PATH=x",
        ];
        let joined = [
            "a; exit",
            "a && exit",
            "a||exit",
            "a | exec b",
            "a &",
            "a & exit",
            "a |& exit",
            "a ;; exit",
            "a &> b",
            ";exit",
            "||exit",
            "> b exit",
            "2>x exit",
            "2<x exit",
            "a\rb",
            "a\u{b}exit",
            "\u{a0}exit",
            "a \u{a0}",
            "a#b\nexit",
            "x 'a\nb'\nexit",
            "a # 'b\nexit # '",
        ];
        let expanded = [
            "e$x",
            "`x`",
            "~/x",
            "a*",
            "a $(exit)",
            "a `exit`",
            "a ${x:=y}",
            "a $((1))",
            "a $'x'",
            "a $1",
            "a $$",
            "a ${x",
        ];
        let quoted = [
            "\"exit\"",
            "'exit'",
            "ex\\it",
            "a \"$(b)\"",
            "a \"`b`\"",
            "a \"\\\"",
            "a 'b",
            "a \"b",
            "a \\\nexit",
            "a <<x\nexit\nx",
            "a <(b)",
            "a >(b)",
        ];
        for script in of_the_shell.iter().chain(&joined).chain(&expanded).chain(&quoted) {
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
