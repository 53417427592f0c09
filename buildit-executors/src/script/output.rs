//! From the raw outputs of a job to its log.

use std::collections::VecDeque;

use buildit::executor::{LogCursor, LogWrite, Physical};
use buildit::job::Stream;
use buildit::pipeline::Command;
use bytes::{Buf, Bytes};

use super::marks::{Ending, Mark, Marks};
use super::section::{Piece, Sections};

/// How much of one output is held back while the other has not come to the same command. A shell marks both within
/// microseconds, so that more than this means that a mark was lost with a closed output.
const MOST_HELD: usize = 4 * 1024 * 1024;

/// Turns the two raw outputs of a job into what is to be logged: without marks, with each command's echo, in the
/// order of the commands.
///
/// Outputs are read from an offset of one's choice; what lies before the cursor is read for its marks and not given
/// again. A mark ends a line that was left open, as bytes that are passed over do. What a job does with marks of its
/// own making spoils the order of its own log, and holds nothing up for ever.
#[derive(Debug)]
pub(crate) struct Output {
    marks: Marks,
    commands: Vec<String>,
    cursor: LogCursor,
    sides: [Side; 2],
    ending: Option<Ending>,
}

#[derive(Debug)]
struct Side {
    sections: Sections,
    /// How many marks were read; `None` for an output that is not read from its start, until its first.
    at: Option<u32>,
    held: VecDeque<(u32, LogWrite)>,
    held_bytes: usize,
}

impl Side {
    fn new(start: u64) -> Self {
        let at = (start == 0).then_some(0);
        Self { sections: Sections::new(start), at, held: VecDeque::new(), held_bytes: 0 }
    }
}

/// Whether what belongs to a command that only one output has come to is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Kept,
    GivenUp,
}

impl Output {
    /// Outputs that are read from these offsets (the line number in it means nothing).
    pub(crate) fn new(marks: Marks, commands: &[Command], start: LogCursor, cursor: LogCursor) -> Self {
        let commands = commands.iter().map(|command| echo(&command.source)).collect();
        Self { marks, commands, cursor, sides: [Side::new(start.stdout), Side::new(start.stderr)], ending: None }
    }

    /// Looks through bytes that lie ahead in an output that is not read from its start, for the mark that tells how
    /// many were read already. Whether it was found: then no more of them is needed.
    pub(crate) fn look_ahead(&mut self, physical: Physical, ahead: &mut LookAhead, bytes: Bytes) -> bool {
        let side = &mut self.sides[index(physical)];
        ahead.0.push(&self.marks, bytes, |piece| match piece {
            Piece::Mark(mark, _) if side.at.is_none() => side.at = Some(number(mark).saturating_sub(1)),
            Piece::Mark(..) | Piece::Bytes(..) => {}
        });
        side.at.is_some()
    }

    /// Whether more of this output is of use now: not while what was read of it waits for the other one.
    pub(crate) fn wants(&self, physical: Physical) -> bool {
        self.sides[index(physical)].held.is_empty()
    }

    /// Takes bytes that were read and adds to `out` what can be logged now.
    pub(crate) fn push(&mut self, physical: Physical, bytes: Bytes, out: &mut Vec<LogWrite>) {
        let mut pieces = Vec::new();
        self.sides[index(physical)].sections.push(&self.marks, bytes, |piece| pieces.push(piece));
        self.take(physical, pieces);
        self.give(Order::Kept, out);
    }

    /// Gives what waits for a mark that will not come. Whether there was any.
    pub(crate) fn release(&mut self, out: &mut Vec<LogWrite>) -> bool {
        let waited = self.sides.iter().any(|side| !side.held.is_empty());
        self.give(Order::GivenUp, out);
        waited
    }

    /// Nothing more will come.
    pub(crate) fn finish(&mut self, out: &mut Vec<LogWrite>) {
        for physical in [Physical::Stdout, Physical::Stderr] {
            let mut pieces = Vec::new();
            self.sides[index(physical)].sections.finish(|piece| pieces.push(piece));
            self.take(physical, pieces);
        }
        self.give(Order::GivenUp, out);
    }

    /// What the script's wrapper said at the end, once it was read.
    pub(crate) fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// Whether both outputs were read to the mark that the script's wrapper ends them with.
    pub(crate) fn is_whole(&self) -> bool {
        self.sides.iter().all(|side| side.at == Some(u32::MAX))
    }

    fn take(&mut self, physical: Physical, pieces: Vec<Piece>) {
        for piece in pieces {
            match piece {
                Piece::Bytes(bytes, end) => self.hold(physical, bytes, end),
                Piece::Mark(mark, end) => {
                    self.sides[index(physical)].at = Some(number(mark));
                    if physical == Physical::Stdout {
                        self.said(mark, end);
                    }
                }
            }
        }
    }

    fn said(&mut self, mark: Mark, end: u64) {
        let text = match mark {
            Mark::Command(index) => self.commands.get(index as usize).cloned().unwrap_or_default(),
            Mark::Commands => self.commands.concat(),
            Mark::End(ending) => {
                self.ending = Some(ending);
                return;
            }
        };
        // The echo has the mark's place in the output, so that it is stored as often as the mark is: once.
        if end > self.cursor.stdout && !text.is_empty() {
            let position = Some((Physical::Stdout, end));
            self.put(Physical::Stdout, LogWrite { stream: Stream::Command, bytes: text.into(), position });
        }
    }

    fn hold(&mut self, physical: Physical, mut bytes: Bytes, end: u64) {
        let fresh = end.saturating_sub(self.cursor.offset(physical));
        let stale = (bytes.len() as u64).saturating_sub(fresh);
        bytes.advance(usize::try_from(stale).unwrap_or(bytes.len()).min(bytes.len()));
        if !bytes.is_empty() {
            let stream = match physical {
                Physical::Stdout => Stream::Stdout,
                Physical::Stderr => Stream::Stderr,
            };
            self.put(physical, LogWrite { stream, bytes, position: Some((physical, end)) });
        }
    }

    fn put(&mut self, physical: Physical, write: LogWrite) {
        let side = &mut self.sides[index(physical)];
        side.held_bytes += write.bytes.len();
        side.held.push_back((side.at.unwrap_or(0), write));
    }

    /// Gives what belongs to commands that both outputs have come to, command by command, standard output first: it
    /// has the echoes.
    fn give(&mut self, order: Order, out: &mut Vec<LogWrite>) {
        while let Some(one) = self.next(order) {
            let side = &mut self.sides[one];
            if let Some((_, write)) = side.held.pop_front() {
                side.held_bytes -= write.bytes.len();
                out.push(write);
            }
        }
    }

    /// The output that has the next write, if there is one that need not wait.
    fn next(&self, order: Order) -> Option<usize> {
        let front = |one: usize| {
            let side = &self.sides[one];
            let (at, _) = side.held.front()?;
            let reached = self.sides[1 - one].at.unwrap_or(u32::MAX);
            (*at <= reached || side.held_bytes > MOST_HELD || order == Order::GivenUp).then_some(*at)
        };
        match (front(0), front(1)) {
            (Some(out), Some(err)) => Some(usize::from(err < out)),
            (Some(_), None) => Some(0),
            (None, err) => err.map(|_| 1),
        }
    }
}

/// A search for the first mark ahead of where an output goes on.
#[derive(Debug)]
pub(crate) struct LookAhead(Sections);

impl LookAhead {
    pub(crate) fn new() -> Self {
        Self(Sections::new(0))
    }
}

/// How many marks an output has with this one.
fn number(mark: Mark) -> u32 {
    match mark {
        Mark::Command(index) => index.saturating_add(1),
        Mark::Commands => 1,
        Mark::End(_) => u32::MAX,
    }
}

/// The echo of a command: its source text in whole lines, without empty ones around it. How it is told from output is the reader's business.
fn echo(source: &str) -> String {
    format!("{}\n", source.trim_matches('\n').trim_end())
}

fn index(physical: Physical) -> usize {
    match physical {
        Physical::Stdout => 0,
        Physical::Stderr => 1,
    }
}

#[cfg(test)]
mod tests {
    use buildit::id::{JobId, RunId};
    use proptest::prelude::*;

    use super::*;

    fn marks() -> Marks {
        Marks::of(&JobId { run: RunId::new(), stage: "a".into(), attempt: 1 })
    }

    fn commands() -> Vec<Command> {
        vec![Command::new("one"), Command::new("two\nlines\n")]
    }

    /// What is logged, line by line, as `stream text`, when the outputs are read in pieces of this many bytes.
    fn logged(marks: &Marks, outputs: [&str; 2], cursor: LogCursor, piece: usize) -> (Vec<String>, Output) {
        let mut output = Output::new(marks.clone(), &commands(), LogCursor::default(), cursor);
        let mut out = Vec::new();
        let mut rest = outputs.map(|text| Bytes::from(text.to_owned()));
        while rest.iter().any(|rest| !rest.is_empty()) {
            for (physical, rest) in [Physical::Stdout, Physical::Stderr].into_iter().zip(&mut rest) {
                output.push(physical, rest.split_to(piece.min(rest.len())), &mut out);
            }
        }
        output.finish(&mut out);
        (lines_of(&out), output)
    }

    /// The lines of the log, as `stream text`. Bytes that are passed over end a line, and so does another stream.
    fn lines_of(writes: &[LogWrite]) -> Vec<String> {
        let mut lines: Vec<(Stream, String)> = Vec::new();
        let mut open: [Option<(u64, usize)>; 2] = [None; 2];
        for write in writes {
            let (physical, end) = write.position.unwrap();
            let start = end.saturating_sub(write.bytes.len() as u64);
            for line in std::str::from_utf8(&write.bytes).unwrap().split_inclusive('\n') {
                match open[index(physical)].take() {
                    Some((at, line_at)) if at == start && lines[line_at].0 == write.stream => {
                        lines[line_at].1.push_str(line);
                    }
                    _ => lines.push((write.stream, line.to_owned())),
                }
            }
            let last = lines.iter().rposition(|(stream, _)| *stream == write.stream).unwrap();
            open[index(physical)] = (!write.bytes.ends_with(b"\n")).then_some((end, last));
        }
        lines.iter().map(|(stream, text)| format!("{} {}", stream.as_str(), text.trim_end_matches('\n'))).collect()
    }

    fn example(marks: &Marks) -> [String; 2] {
        let n = marks.nonce();
        [
            format!("\x1e{n} c 0\nout one\nopen\x1e{n} c 1\nout two\n\x1eother\n\x1e{n} end 3 o-\n"),
            format!("\x1e{n} c 0\nerr one\n\x1e{n} c 1\nerr two\n\x1e{n} end 3 o-\n"),
        ]
    }

    #[test]
    fn a_commands_output_stays_with_it_whatever_the_borders() {
        let marks = marks();
        let outputs = example(&marks);
        for piece in 1..200 {
            let (mut lines, output) = logged(&marks, [&outputs[0], &outputs[1]], LogCursor::default(), piece);
            let second = lines.iter().position(|line| line == "command two").unwrap();
            let (one, two) = lines.split_at_mut(second);
            one.sort();
            two.sort();
            assert_eq!(one, ["command one", "stderr err one", "stdout open", "stdout out one"], "{piece}");
            let expected = ["command lines", "command two", "stderr err two", "stdout \u{1e}other", "stdout out two"];
            assert_eq!(two, expected, "{piece}");
            assert_eq!(output.ending(), Some(Ending { code: 3, outputs: true, summary: false }));
        }
    }

    #[test]
    fn one_output_may_be_closed_and_the_other_is_given_in_the_end() {
        let marks = marks();
        let outputs = example(&marks);
        let (lines, _) = logged(&marks, [&outputs[0], ""], LogCursor::default(), 7);
        assert_eq!(lines.len(), 7, "{lines:?}");
    }

    fn shown(out: &mut Vec<LogWrite>) -> String {
        lines_of(&std::mem::take(out)).join("|")
    }

    #[test]
    fn an_output_that_waits_for_the_other_is_not_wanted() {
        let marks = marks();
        let n = marks.nonce();
        let mut output = Output::new(marks.clone(), &commands(), LogCursor::default(), LogCursor::default());
        let mut out = Vec::new();
        output.push(Physical::Stderr, format!("early\n\x1e{n} c 0\nlate").into(), &mut out);
        assert_eq!(shown(&mut out), "stderr early");
        assert!(!output.wants(Physical::Stderr) && output.wants(Physical::Stdout));
        output.push(Physical::Stdout, format!("\x1e{n} c 0\n").into(), &mut out);
        assert_eq!(shown(&mut out), "command one|stderr late");
        assert!(!output.release(&mut out));
    }

    /// Marks that the job itself printed: of commands that there are not, of the past, of the largest number.
    #[test]
    fn forged_marks_hold_nothing_up_for_ever() {
        let marks = marks();
        let n = marks.nonce();
        let mut output = Output::new(marks.clone(), &commands(), LogCursor::default(), LogCursor::default());
        let mut out = Vec::new();
        output.push(Physical::Stderr, format!("\x1e{n} c 4294967295\na\n").into(), &mut out);
        output.push(Physical::Stdout, format!("\x1e{n} c 7\nb\n\x1e{n} c 0\nc\n").into(), &mut out);
        assert_eq!(shown(&mut out), "stdout b|command one|stdout c");
        assert!(output.release(&mut out));
        assert_eq!(shown(&mut out), "stderr a");
    }

    #[test]
    fn an_engine_that_comes_back_goes_on_in_the_middle() {
        let marks = marks();
        let outputs = example(&marks);
        let at = |text: &str| outputs[0].find(text).unwrap() as u64;
        let start = LogCursor { stdout: at("open"), ..LogCursor::default() };
        let mut output = Output::new(marks.clone(), &commands(), start, start);
        let mut out = Vec::new();
        output.push(Physical::Stderr, outputs[1].clone().into(), &mut out);
        assert_eq!(shown(&mut out), "stderr err one|stderr err two", "nobody knows where the other one is");
        let mut output = Output::new(marks.clone(), &commands(), start, start);
        let rest = Bytes::copy_from_slice(&outputs[0].as_bytes()[usize::try_from(start.stdout).unwrap()..]);
        assert!(output.look_ahead(Physical::Stdout, &mut LookAhead::new(), rest.clone()));
        output.push(Physical::Stderr, outputs[1].clone().into(), &mut out);
        assert_eq!(shown(&mut out), "stderr err one");
        output.push(Physical::Stdout, rest, &mut out);
        let expected = "stdout open|command two|command lines|stdout out two|stdout \u{1e}other|stderr err two";
        assert_eq!(shown(&mut out), expected);
    }

    proptest! {
        /// G3: reading again from the start and going on at a stored cursor gives each line once.
        #[test]
        fn what_was_stored_is_not_given_again(piece in 1_usize..50, next in 1_usize..50, stored in 0_usize..9) {
            let marks = marks();
            let outputs = example(&marks);
            let mut output = Output::new(marks.clone(), &commands(), LogCursor::default(), LogCursor::default());
            let mut out = Vec::new();
            for (physical, text) in [Physical::Stdout, Physical::Stderr].into_iter().zip(&outputs) {
                for bytes in text.as_bytes().chunks(piece) {
                    output.push(physical, Bytes::copy_from_slice(bytes), &mut out);
                }
            }
            output.finish(&mut out);
            let (all, _) = logged(&marks, [&outputs[0], &outputs[1]], LogCursor::default(), next);
            let mut cursor = LogCursor::default();
            // A store moves the cursor at the ends of lines only.
            for write in out.iter().take(stored).filter(|write| write.bytes.ends_with(b"\n")) {
                let (physical, end) = write.position.unwrap();
                cursor.set_offset(physical, end);
            }
            let before: Vec<LogWrite> = out
                .into_iter()
                .filter(|write| write.position.is_some_and(|(physical, end)| end <= cursor.offset(physical)))
                .collect();
            let lines = lines_of(&before).len();
            let (rest, _) = logged(&marks, [&outputs[0], &outputs[1]], cursor, next);
            prop_assert_eq!(lines + rest.len(), all.len());
        }
    }
}
