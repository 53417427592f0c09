//! The events of a run as a server sends them.

use std::collections::VecDeque;

use buildit::event::Event;

/// What begins a line with an event.
const DATA: &[u8] = b"data:";

/// Takes pieces of a stream in, wherever they are cut, and gives the events that are whole.
#[derive(Debug, Default)]
pub(super) struct Parser {
    line: Vec<u8>,
    events: VecDeque<Event>,
}

impl Parser {
    /// The next piece.
    pub(super) fn take(&mut self, piece: &[u8]) -> Result<(), serde_json::Error> {
        let mut lines = piece.split_inclusive(|&byte| byte == b'\n');
        lines.try_for_each(|line| {
            self.line.extend_from_slice(line);
            if !line.ends_with(b"\n") {
                return Ok(());
            }
            // Each event is JSON on one line; what else there is are its number and signs of life.
            let line = std::mem::take(&mut self.line);
            if let Some(data) = line.strip_prefix(DATA) {
                self.events.push_back(serde_json::from_slice(data)?);
            }
            Ok(())
        })
    }

    /// The next event that is whole.
    pub(super) fn next(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_whole_wherever_the_pieces_are_cut() {
        let one = r#"{"seq":1,"time":"1970-01-01T00:00:00Z","type":"run_started"}"#;
        let text = format!(": beat\n\nid: 1\nevent: run\ndata: {one}\n\nid: 2\nevent: run\ndata: {one}\n");
        for size in 1..text.len() {
            let mut parser = Parser::default();
            for piece in text.as_bytes().chunks(size) {
                parser.take(piece).unwrap();
            }
            let seen: Vec<u64> = std::iter::from_fn(|| parser.next()).map(|event| event.seq).collect();
            assert_eq!(seen, [1, 1], "{size}");
        }
    }
}
