//! The script of a job: a small wrapper of builtins around the commands. Pure.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use buildit::pipeline::{Command, RunAction};

use super::spool::Spool;

/// What a job's script is made of.
#[derive(Debug)]
pub(super) struct Script<'a> {
    pub(super) run: &'a RunAction,
    pub(super) spool: &'a Spool,
    /// Where the commands start.
    pub(super) folder: &'a Path,
    /// The program of a shell that is none of sh's family; it reads the commands from a file of their own.
    pub(super) foreign: Option<&'a Path>,
    /// What nobody else can know: it tells markers from output.
    pub(super) nonce: &'a str,
    /// The machine and its boot, for an engine that comes back.
    pub(super) boot: &'a str,
}

impl Script<'_> {
    /// The text that the shell reads.
    ///
    /// It makes the claim, which only one process ever can, and runs the commands in one subshell, so that their
    /// `exit`, `exec` or `set` never gets at the line that records their exit code. SIGTERM, sent to all processes
    /// of the job, kills neither shell: the inner one ends once the command that it waits for has, so that a command
    /// can use its grace period. Each command is read by an `eval` of its own: a quote that does not end is an error
    /// of that command alone. Markers go to the files themselves: a command may have sent the shell's own output
    /// elsewhere.
    pub(super) fn text(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(1024);
        let mut line = |parts: &[&[u8]]| {
            parts.iter().for_each(|part| text.extend_from_slice(part));
            text.push(b'\n');
        };
        line(&[HEADER.as_bytes(), self.boot.as_bytes(), b" ", self.nonce.as_bytes()]);
        line(&[b"trap : TERM"]);
        line(&[b"set -C"]);
        line(&[b"{ echo $$ >", &quoted_path(&self.spool.claim()), b"; } 2>/dev/null || exit 0"]);
        line(&[b"set +C"]);
        line(&[b"("]);
        line(&[b"trap 'exit 143' TERM"]);
        line(&[b"cd ", &quoted_path(self.folder), b" || exit"]);
        if let Some(program) = self.foreign {
            let all: Vec<&str> = self.run.commands.iter().map(|command| command.source.as_str()).collect();
            line(&[&self.marker(0, &all.join("\n"))]);
            line(&[b"exec ", &quoted_path(program), b" ", &quoted_path(&self.spool.commands(program))]);
        } else {
            line(&[b"set -e"]);
            for (index, command) in self.run.commands.iter().enumerate() {
                line(&[&self.marker(index, &command.source)]);
                line(&[b"eval ", quoted(command.script()).as_bytes()]);
            }
        }
        line(&[b")"]);
        line(&[b"printf '%s\\n' \"$?\" >>", &quoted_path(&self.spool.claim())]);
        text
    }

    /// The line that writes the echo of a command between two markers to the one file, and a marker to the other.
    /// A shell that traces (`set -x`) keeps it to itself.
    fn marker(&self, index: usize, source: &str) -> Vec<u8> {
        let mut line = format!("{{ printf '\\036%s {index}\\n%s\\n\\036%s {index}.\\n' {0} ", self.nonce).into_bytes();
        line.extend_from_slice(quoted(echo(source)).as_bytes());
        line.extend_from_slice(format!(" {} >>", self.nonce).as_bytes());
        line.extend_from_slice(&quoted_path(&self.spool.stdout()));
        line.extend_from_slice(format!("; printf '\\036%s {index}\\n' {} >>", self.nonce).as_bytes());
        line.extend_from_slice(&quoted_path(&self.spool.stderr()));
        line.extend_from_slice(b"; } 2>/dev/null");
        line
    }
}

/// What the first line of a script begins with: the number is that of its form.
pub(super) const HEADER: &str = "# buildit 1 ";

/// The commands as a file that a shell of another family reads.
pub(super) fn foreign_commands(commands: &[Command]) -> String {
    commands.iter().fold(String::new(), |mut text, command| {
        text.push_str(command.script());
        text.push('\n');
        text
    })
}

/// A command as it is shown before it runs: as it was written, without the line ends around it.
fn echo(source: &str) -> &str {
    source.trim_matches('\n').trim_end()
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn quoted_path(path: &Path) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'\'' => quoted.extend_from_slice(br"'\''"),
            byte => quoted.push(byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

#[cfg(test)]
mod tests {
    use buildit::pipeline::Shell;

    use super::*;

    fn script(run: &RunAction, foreign: Option<&Path>) -> String {
        let spool = Spool::at("/state/it's/bi-1".into());
        let folder = Path::new("/state/it's/bi-1/workspace/sub");
        let script = Script { run, spool: &spool, folder, foreign, nonce: "f00d", boot: "host/boot" };
        String::from_utf8(script.text()).unwrap()
    }

    #[test]
    fn the_commands_share_a_subshell_and_each_has_its_own_eval() {
        let commands = vec![
            Command::new("cargo fmt --check"),
            Command {
                script: Some("echo \"${BUILDIT_GIT_BRANCH}\"\nexit 3".into()),
                ..Command::new("\necho ${git.branch}\nexit 3\n")
            },
        ];
        let run = RunAction { commands, shell: Shell::default() };
        insta::assert_snapshot!(script(&run, None));
    }

    #[test]
    fn a_foreign_shell_reads_a_file() {
        let run = RunAction {
            commands: vec![Command::new("print(1)"), Command::new("print(2)")],
            shell: Shell::new("python3"),
        };
        insta::assert_snapshot!(script(&run, Some(Path::new("/usr/bin/python3"))));
        assert_eq!(foreign_commands(&run.commands), "print(1)\nprint(2)\n");
    }
}
