//! The marks in a job's output.

use std::fmt::Display;
use std::path::Path;

use buildit::id::JobId;

use super::quote::quoted_path;

/// Begins a mark. RS, the record separator, which no tool prints to a terminal.
pub(crate) const SIGN: u8 = 0x1e;
/// The nonce of an attempt has this many characters: 64 bits, so that no output holds it by chance.
const NONCE: usize = 16;
/// No mark is longer than this.
pub(crate) const LONGEST: usize = 64;

/// The marks of one attempt. They follow from the job's id alone, so that a restarted engine knows them: nothing
/// depends on their being secret, because a job that forges one only spoils its own log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marks {
    nonce: String,
}

/// Where a script's marks go.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outputs<'a> {
    /// Where the shell's own output goes.
    Own,
    /// To these files, even where a command has sent the shell's own output elsewhere. A shell that traces (`set -x`)
    /// keeps it to itself.
    Files { stdout: &'a Path, stderr: &'a Path },
}

/// What a mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The command of this place, from 0, begins.
    Command(u32),
    /// All commands, which a shell of another kind reads without marks, begin.
    Commands,
    /// The script has ended.
    End(Ending),
}

/// What the script's wrapper says at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    /// The exit code of the script.
    pub(crate) code: i32,
    /// Whether there is anything in `$BUILDIT_OUTPUT`.
    pub(crate) outputs: bool,
    /// Whether there is anything in `$BUILDIT_SUMMARY`.
    pub(crate) summary: bool,
}

impl Marks {
    pub(crate) fn of(job: &JobId) -> Self {
        let digest = blake3::derive_key("buildit 2026 marks in the output of a job", job.backend_name().as_bytes());
        Self { nonce: blake3::Hash::from_bytes(digest).to_hex()[..NONCE].to_owned() }
    }

    /// The nonce: hexadecimal digits, which need no quoting anywhere.
    pub(crate) fn nonce(&self) -> &str {
        &self.nonce
    }

    /// The line of shell that marks the beginning of a command, or of `all`, in both outputs. Builtins only: a process
    /// for each mark would cost more than most commands.
    pub(crate) fn line(&self, command: impl Display, outputs: Outputs<'_>) -> Vec<u8> {
        let print = format!("printf '\\036{} c %s\\n' {command}", self.nonce);
        match outputs {
            Outputs::Own => format!("{print}; {print} >&2\n").into_bytes(),
            Outputs::Files { stdout, stderr } => {
                let (print, stdout, stderr) = (print.as_bytes(), quoted_path(stdout), quoted_path(stderr));
                [b"{ ", print, b" >>", &stdout, b"; ", print, b" >>", &stderr, b"; } 2>/dev/null\n"].concat()
            }
        }
    }

    /// The mark that `bytes`, which begin with [`SIGN`], begin with, and its length.
    pub(crate) fn parse(&self, bytes: &[u8]) -> Parsed {
        let known = bytes.len().min(NONCE + 1);
        let expected = self.nonce.as_bytes();
        if bytes[1..known] != expected[..known - 1] {
            return Parsed::None;
        }
        let window = &bytes[..bytes.len().min(LONGEST)];
        let Some(end) = memchr::memchr(b'\n', window) else {
            return if bytes.len() < LONGEST { Parsed::Maybe } else { Parsed::None };
        };
        let said = window.get(NONCE + 1..end).and_then(|said| std::str::from_utf8(said).ok());
        match said.and_then(parse_words) {
            Some(mark) => Parsed::Mark(mark, end + 1),
            None => Parsed::None,
        }
    }
}

/// What bytes that begin like a mark are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// A mark of this length.
    Mark(Mark, usize),
    /// More bytes are needed.
    Maybe,
    /// Something else.
    None,
}

fn parse_words(text: &str) -> Option<Mark> {
    let mut words = text.trim_end_matches('\r').split_ascii_whitespace();
    let mark = match (words.next()?, words.next()?) {
        ("c", "all") => Mark::Commands,
        ("c", index) => Mark::Command(index.parse().ok()?),
        ("end", code) => {
            let files = words.next()?;
            let (outputs, summary) = (files.contains('o'), files.contains('s'));
            Mark::End(Ending { code: code.parse().ok()?, outputs, summary })
        }
        _ => return None,
    };
    words.next().is_none().then_some(mark)
}
