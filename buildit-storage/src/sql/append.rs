//! Whether what is appended is what comes next.

use buildit::event::Event;
use buildit::executor::LogCursor;
use buildit::store::StoreError;

fn conflict(expected: u64, actual: u64) -> Result<(), StoreError> {
    Err(StoreError::Conflict { expected, actual })
}

/// Whether events are the next ones of a record that ends at number `actual`.
pub(crate) fn check_events(expected: u64, events: &[Event], actual: u64) -> Result<(), StoreError> {
    if expected != actual {
        return conflict(expected, actual);
    }
    match events.iter().zip(actual + 1..).find(|(event, seq)| event.seq != *seq) {
        Some((event, _)) => conflict(event.seq.saturating_sub(1), actual),
        None => Ok(()),
    }
}

/// Whether lines are the next ones of a log that ends at line `actual`: each chunk's first line and how many it has.
pub(crate) fn check_lines(
    expected: u64,
    chunks: &[(u64, u32)],
    cursor: LogCursor,
    actual: u64,
) -> Result<(), StoreError> {
    if expected != actual {
        return conflict(expected, actual);
    }
    let mut line = actual;
    for &(first, lines) in chunks {
        if first != line + 1 {
            return conflict(first.saturating_sub(1), line);
        }
        line += u64::from(lines);
    }
    if cursor.line == line { Ok(()) } else { conflict(cursor.line, line) }
}
