//! Putting the two outputs of a job together, so that what a command wrote stays with it. Pure.
//!
//! Order holds within an output alone: nothing tells when a line of the one was written against a line of the other.
//! But the wrapper marks both before each command, so neither output goes on to the next command before the other
//! has come to its end of the present one.

use std::collections::VecDeque;

use buildit::executor::Physical;
use buildit::job::Stream;
use bytes::Bytes;

use super::marker::{Part, Scanner};

/// A piece of the log, with the raw offset behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) stream: Stream,
    pub(super) physical: Physical,
    pub(super) bytes: Bytes,
    pub(super) end: u64,
}

/// The command that an output has come to: the one before the first is -1.
type Section = i64;

/// Where standard output goes on, for an engine that comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resume {
    /// At its beginning.
    Fresh,
    /// Before the marker of this command.
    Before(u32),
    /// Within the echo of a command.
    Echo,
    /// Behind all markers that there were.
    Latest,
}

/// Both outputs of a job.
#[derive(Debug)]
pub(super) struct Sections {
    stdout: Output,
    stderr: Output,
    echoing: bool,
    /// The command that standard output has come to; standard error never gets ahead of it.
    section: Section,
}

#[derive(Debug)]
struct Output {
    scanner: Scanner,
    waiting: VecDeque<Part>,
}

impl Output {
    fn new(nonce: &str, offset: u64) -> Self {
        Self { scanner: Scanner::new(nonce, offset), waiting: VecDeque::new() }
    }

    fn at_marker(&self) -> Option<Section> {
        match self.waiting.front() {
            Some(Part::Before(number, _)) => Some(Section::from(*number)),
            _ => None,
        }
    }
}

impl Sections {
    /// For outputs that are read from these raw offsets.
    pub(super) fn new(nonce: &str, stdout: u64, stderr: u64, resume: Resume) -> Self {
        Self {
            stdout: Output::new(nonce, stdout),
            stderr: Output::new(nonce, stderr),
            echoing: resume == Resume::Echo,
            section: match resume {
                Resume::Fresh => -1,
                Resume::Before(number) => Section::from(number) - 1,
                Resume::Echo | Resume::Latest => Section::MAX,
            },
        }
    }

    fn output(&mut self, physical: Physical) -> &mut Output {
        match physical {
            Physical::Stdout => &mut self.stdout,
            Physical::Stderr => &mut self.stderr,
        }
    }

    /// Whether more of this output is of use: not while it waits for the other one.
    pub(super) fn wants(&self, physical: Physical) -> bool {
        match physical {
            Physical::Stdout => self.stdout.waiting.is_empty(),
            Physical::Stderr => self.stderr.waiting.is_empty(),
        }
    }

    /// Takes bytes of one output and gives what can be passed on.
    pub(super) fn push(&mut self, physical: Physical, bytes: Bytes, out: &mut Vec<Piece>) {
        let output = self.output(physical);
        let Output { scanner, waiting } = output;
        scanner.push(bytes, |part| waiting.push_back(part));
        self.advance(out);
    }

    /// Nothing more comes to what was read of both outputs: lets go what waits for something that was never written.
    /// Whether there was any.
    pub(super) fn release(&mut self, out: &mut Vec<Piece>) -> bool {
        // Standard output has its marker first: where only one is there, it is that one.
        let blocked = if let Some(number) = self.stdout.at_marker() {
            self.section = number;
            self.stdout.waiting.pop_front();
            self.echoing = true;
            true
        } else {
            self.stderr.waiting.pop_front().is_some()
        };
        self.advance(out);
        blocked
    }

    /// Gives the rest, once both outputs have ended.
    pub(super) fn finish(&mut self, out: &mut Vec<Piece>) {
        for output in [&mut self.stdout, &mut self.stderr] {
            let rest = output.scanner.finish();
            output.waiting.extend(rest);
        }
        self.advance(out);
        while self.release(out) {}
    }

    fn advance(&mut self, out: &mut Vec<Piece>) {
        loop {
            let progressed = self.advance_stdout(out) | self.advance_stderr(out);
            if !progressed {
                return;
            }
        }
    }

    fn advance_stdout(&mut self, out: &mut Vec<Piece>) -> bool {
        let mut progressed = false;
        while let Some(part) = self.stdout.waiting.pop_front() {
            match part {
                Part::Text(bytes, end) => {
                    let stream = if self.echoing { Stream::Command } else { Stream::Stdout };
                    out.push(Piece { stream, physical: Physical::Stdout, bytes, end });
                }
                Part::Echoed(_) => self.echoing = false,
                Part::Before(number, end) => {
                    if self.stderr.at_marker().is_none_or(|other| other < Section::from(number)) {
                        self.stdout.waiting.push_front(Part::Before(number, end));
                        return progressed;
                    }
                    self.section = number.into();
                    self.echoing = true;
                }
            }
            progressed = true;
        }
        progressed
    }

    fn advance_stderr(&mut self, out: &mut Vec<Piece>) -> bool {
        let mut progressed = false;
        while let Some(part) = self.stderr.waiting.pop_front() {
            match part {
                Part::Text(bytes, end) => {
                    out.push(Piece { stream: Stream::Stderr, physical: Physical::Stderr, bytes, end });
                }
                Part::Before(number, end) if Section::from(number) > self.section => {
                    self.stderr.waiting.push_front(Part::Before(number, end));
                    return progressed;
                }
                Part::Before(..) | Part::Echoed(_) => {}
            }
            progressed = true;
        }
        progressed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STDOUT: &str = "\u{1e}n 0\n+ a\n\u{1e}n 0.\nout a\n\u{1e}n 1\n+ b\n\u{1e}n 1.\nout b";
    const STDERR: &str = "\u{1e}n 0\nerr a\n\u{1e}n 1\nerr b";

    fn shown(pieces: &[Piece]) -> String {
        pieces.iter().map(|piece| format!("{}:{}|", piece.stream.as_str(), piece.bytes.escape_ascii())).collect()
    }

    #[test]
    fn what_a_command_wrote_stays_with_it() {
        for stdout_first in [true, false] {
            let mut sections = Sections::new("n", 0, 0, Resume::Fresh);
            let mut out = Vec::new();
            let mut order = [(Physical::Stdout, STDOUT), (Physical::Stderr, STDERR)];
            if !stdout_first {
                order.reverse();
            }
            for (physical, text) in order {
                sections.push(physical, Bytes::from_static(text.as_bytes()), &mut out);
            }
            sections.finish(&mut out);
            let expected = "command:+ a\\n|stdout:out a\\n|stderr:err a\\n|command:+ b\\n|stdout:out b|stderr:err b|";
            assert_eq!(shown(&out), expected);
            let ends: Vec<_> =
                out.iter().filter(|piece| piece.physical == Physical::Stdout).map(|piece| piece.end).collect();
            assert_eq!(ends, [9, 21, 30, 41]);
        }
    }

    #[test]
    fn an_output_that_waits_for_the_other_is_not_read() {
        let mut sections = Sections::new("n", 0, 0, Resume::Fresh);
        let mut out = Vec::new();
        sections.push(Physical::Stderr, Bytes::from_static(b"early\n\x1en 0\nlate"), &mut out);
        assert_eq!(shown(&out), "stderr:early\\n|");
        assert!(!sections.wants(Physical::Stderr) && sections.wants(Physical::Stdout));
        sections.push(Physical::Stdout, Bytes::from_static(b"\x1en 0\n+ a\n"), &mut out);
        assert_eq!(shown(&out), "stderr:early\\n|command:+ a\\n|stderr:late|");
    }

    #[test]
    fn a_marker_without_its_fellow_holds_nothing_up_for_ever() {
        let mut sections = Sections::new("n", 0, 0, Resume::Fresh);
        let mut out = Vec::new();
        sections.push(Physical::Stdout, Bytes::from_static(b"\x1en 0\n+ a\n\x1en 0.\nx\n"), &mut out);
        assert_eq!(shown(&out), "");
        assert!(sections.release(&mut out));
        assert_eq!(shown(&out), "command:+ a\\n|stdout:x\\n|");
        assert!(!sections.release(&mut out));
    }

    #[test]
    fn an_engine_that_comes_back_goes_on_in_the_middle() {
        let mut out = Vec::new();
        let mut sections = Sections::new("n", 50, 0, Resume::Echo);
        sections.push(Physical::Stdout, Bytes::from_static(b"  rest\n\x1en 1.\nout b\n"), &mut out);
        sections.push(Physical::Stderr, Bytes::from_static(b"\x1en 0\n\x1en 1\nerr b\n"), &mut out);
        assert_eq!(shown(&out), "command:  rest\\n|stdout:out b\\n|stderr:err b\\n|");
    }
}
