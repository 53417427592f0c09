//! The scripts by which our containers begin, and what they are fed through their standard input.
//!
//! Nothing secret may be in a container's configuration, which its engine keeps in clear text on disk (guarantee G4).
//! So a container begins with a script of builtins that reads what it needs from its standard input, up to a gate
//! line, and claims the right to run in the container's own layer before any command (guarantee G1).

use std::fmt::Write as _;

use buildit::executor::JobSecrets;
use buildit::job::JobSpec;
use secrecy::{ExposeSecret, SecretString};

use super::names::{HOME, OUTPUT, SUMMARY, WORKSPACE};
use crate::script::{Marks, Outputs, compose, foreign_commands, quoted};

/// The exit code of a container whose standard input ended before the gate line: it has run nothing.
pub(super) const UNFED: i64 = 125;

/// The beginning of both scripts: reads what is fed into `__b`.
///
/// An engine may die in the middle of feeding, and the next one begins again: so a line `begin` throws away what came
/// before. It never prints an error: what it would quote may be secret.
fn read_feed(nonce: &str) -> String {
    format!(
        "trap : TERM
exec 3>&2 2>/dev/null
__n='
'
__b=
__l=
while IFS= read -r __l; do
case $__l in
'{nonce} begin') __b=;;
'{nonce} go') break;;
*) __b=$__b$__l$__n;;
esac
done
[ \"$__l\" = '{nonce} go' ] || exit {UNFED}
"
    )
}

/// The script by which a job's container begins.
///
/// A second start of a container that has run, by an engine that was paused, finds the claim and ends with the code
/// of the first. The last lines write marks to both outputs: what the job's commands wrote is all before them.
pub(super) fn job_script(marks: &Marks) -> String {
    let nonce = marks.nonce();
    let mut script = read_feed(nonce);
    let _ = write!(
        script,
        "set -C
if true >{HOME}/claim; then set +C; else
__c=137
read -r __c <{HOME}/exit
exit \"$__c\"
fi
eval \"$__b\"
__x() {{
printf '%s\\n' \"$2\" >{HOME}/exit
__o=-
[ -s {OUTPUT} ] && __o=${{__o}}o
[ -s {SUMMARY} ] && __o=${{__o}}s
printf '\\036{nonce} end %s %s\\n' \"$1\" \"$__o\"
printf '\\036{nonce} end %s %s\\n' \"$1\" \"$__o\" >&3
exit \"$2\"
}}
cd \"$__d\" || __x {NO_FOLDER} 126
command -v \"$__p\" >/dev/null || __x {NO_SHELL} 127
printf '%s' \"$__s\" >{HOME}/script
printf '%s' \"$__a\"
printf '%s' \"$__a\" >&3
\"$__p\" {HOME}/script </dev/null 2>&3 3>&-
__c=$?
__x \"$__c\" \"$__c\"
"
    );
    script
}

/// The code in the end mark when there is no such folder to work in. No command can end with it, nor with the next
/// one: the codes of a shell end at 255.
pub(super) const NO_FOLDER: i32 = 256;
/// The code in the end mark when the image does not have the stage's shell.
pub(super) const NO_SHELL: i32 = 257;

/// The script by which a service's container begins when the service has secrets. Its arguments are the command.
pub(super) fn service_script(marks: &Marks) -> String {
    format!("{}eval \"$__b\"\nunset __n __b __l\nexec \"$@\" </dev/null 2>&3 3>&-\n", read_feed(marks.nonce()))
}

/// What a job's container is fed: its secrets, its script and the gate line.
///
/// # Errors
///
/// The name of a secret that no shell can have as a variable.
pub(super) fn job_feed(job: &JobSpec, secrets: &JobSecrets, marks: &Marks) -> Result<SecretString, String> {
    let mut feed = begin(marks);
    export(&mut feed, &secrets.env)?;
    if let Some(action) = job.stage.run() {
        let folder = match job.stage.workdir.as_deref() {
            Some(below) => format!("{WORKSPACE}/{below}"),
            None => WORKSPACE.to_owned(),
        };
        let (all, script) = if action.shell.is_posix() {
            let script = compose(&action.commands, marks, Outputs::Own);
            (String::new(), String::from_utf8_lossy(&script).into_owned())
        } else {
            // A shell without marks of its own: all commands are echoed before it begins.
            (format!("\u{1e}{} c all\n", marks.nonce()), foreign_commands(&action.commands))
        };
        let _ = writeln!(feed, "__d={}", quoted(&folder));
        let _ = writeln!(feed, "__p={}", quoted(action.shell.program()));
        let _ = writeln!(feed, "__a={}", quoted(&all));
        let _ = writeln!(feed, "__s={}", quoted(&script));
    }
    Ok(end(feed, marks))
}

/// What a service's container is fed: its secrets and the gate line.
///
/// # Errors
///
/// The name of a secret that no shell can have as a variable.
pub(super) fn service_feed(
    secrets: &indexmap::IndexMap<String, SecretString>,
    marks: &Marks,
) -> Result<SecretString, String> {
    let mut feed = begin(marks);
    export(&mut feed, secrets)?;
    Ok(end(feed, marks))
}

/// The first newline ends a line that an engine left open when it died.
fn begin(marks: &Marks) -> String {
    format!("\n{} begin\n", marks.nonce())
}

fn end(mut feed: String, marks: &Marks) -> SecretString {
    let _ = writeln!(feed, "{} go", marks.nonce());
    feed.into()
}

fn export(feed: &mut String, secrets: &indexmap::IndexMap<String, SecretString>) -> Result<(), String> {
    for (name, value) in secrets {
        if !is_name(name) {
            return Err(name.clone());
        }
        let _ = writeln!(feed, "export {name}={}", quoted(value.expose_secret()));
    }
    Ok(())
}

/// Whether a shell can have a variable of this name.
fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
