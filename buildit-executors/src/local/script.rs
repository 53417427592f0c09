//! The script of a job: a small wrapper of builtins around the commands. Pure.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use buildit::pipeline::RunAction;

use super::spool::{HEADER, Spool};
use crate::script::{Marks, Outputs, compose, quoted_path};

/// What a job's script is made of.
#[derive(Debug)]
pub(super) struct Script<'a> {
    pub(super) run: &'a RunAction,
    pub(super) spool: &'a Spool,
    /// Where the commands start.
    pub(super) folder: &'a Path,
    /// The program of a shell that is none of sh's family; it reads the commands from a file of their own.
    pub(super) foreign: Option<&'a Path>,
    /// Whether the commands cannot get at the shell that runs them; see [`are_plain`](super::plain::are_plain).
    pub(super) is_plain: bool,
    pub(super) marks: &'a Marks,
    /// The file of the job's control group by which a process enters it.
    pub(super) group: Option<&'a Path>,
    /// The machine and its boot, for an engine that comes back.
    pub(super) boot: &'a str,
}

impl Script<'_> {
    /// The text that the shell reads.
    ///
    /// It makes the claim, which only one process ever can, and runs the commands in one subshell, so that their
    /// `exit`, `exec` or `set` never gets at the line that records their exit code. Plain commands have no such thing:
    /// they run in the same shell, which saves a process. There a failure is recorded as the shell ends, a success only by
    /// the last line: bash runs an EXIT trap also when a signal kills it half-way, with the code of what ended last.
    /// SIGTERM, sent to all processes of the job, kills no shell before its line is written.
    pub(super) fn text(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(1024);
        let mut line = |parts: &[&[u8]]| {
            parts.iter().for_each(|part| text.extend_from_slice(part));
            text.push(b'\n');
        };
        line(&[HEADER.as_bytes(), self.boot.as_bytes()]);
        // A plain job has no second shell that would end at the signal.
        line(&[if self.is_plain { b"trap 'exit 143' TERM" } else { b"trap : TERM" }]);
        line(&[b"set -C"]);
        line(&[b"{ echo $$ >", &quoted_path(&self.spool.claim()), b"; } 2>/dev/null || exit 0"]);
        line(&[b"set +C"]);
        if let Some(group) = self.group {
            let refusal: &[u8] = b"|| { echo 'it could not enter its control group' >";
            line(&[
                b"{ echo 0 >",
                &quoted_path(group),
                b"; } 2>/dev/null ",
                refusal,
                &quoted_path(&self.spool.refused()),
                b"; exit 0; }",
            ]);
        }
        let record = [b"printf '%s\\n' \"$?\" >>", &*quoted_path(&self.spool.claim())].concat();
        if self.is_plain {
            let failure = [b"case $? in 0) ;; *) ", &*record, b";; esac"].concat();
            line(&[b"trap ", &quoted_path(Path::new(OsStr::from_bytes(&failure))), b" EXIT"]);
        } else {
            line(&[b"("]);
        }
        line(&[b"cd ", &quoted_path(self.folder), b" || exit"]);
        let (stdout, stderr) = (self.spool.stdout(), self.spool.stderr());
        let outputs = Outputs::Files { stdout: &stdout, stderr: &stderr };
        if let Some(program) = self.foreign {
            line(&[self.marks.line("all", outputs).trim_ascii_end()]);
            line(&[b"exec ", &quoted_path(program), b" ", &quoted_path(&self.spool.commands(program))]);
        } else {
            line(&[compose(&self.run.commands, self.marks, outputs).trim_ascii_end()]);
        }
        if !self.is_plain {
            line(&[b")"]);
        }
        // What a trap adds behind it is not read.
        line(&[&record]);
        text
    }
}

#[cfg(test)]
mod tests {
    use buildit::id::{JobId, RunId};
    use buildit::pipeline::{Command, Shell};

    use super::*;

    fn script(run: &RunAction, foreign: Option<&Path>, is_plain: bool) -> String {
        let spool = Spool::at("/state/it's/bi-1".into());
        let folder = Path::new("/state/it's/bi-1/workspace/sub");
        let group = foreign.is_none().then_some(Path::new("/sys/fs/cgroup/it's/bi-1/cgroup.procs"));
        let marks = Marks::of(&JobId { run: RunId::new(), stage: "a".into(), attempt: 1 });
        let boot = "host/boot";
        let script = Script { run, spool: &spool, folder, foreign, is_plain, marks: &marks, group, boot };
        String::from_utf8(script.text()).unwrap().replace(marks.nonce(), "f00d")
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
        insta::assert_snapshot!(script(&run, None, false));
    }

    #[test]
    fn plain_commands_run_in_the_shell_that_records_their_exit_code() {
        let run = RunAction { commands: vec![Command::new("cargo fmt --check")], shell: Shell::default() };
        insta::assert_snapshot!(script(&run, None, true));
    }

    #[test]
    fn a_foreign_shell_reads_a_file() {
        let run = RunAction {
            commands: vec![Command::new("print(1)"), Command::new("print(2)")],
            shell: Shell::new("python3"),
        };
        insta::assert_snapshot!(script(&run, Some(Path::new("/usr/bin/python3")), false));
    }
}
