//! Strings of several lines, moved to another indent.

use super::super::syntax::strings;

/// The string with its lines at this indent, or as it is where that would change its value.
pub(crate) fn moved(written: &str, indent: usize) -> String {
    let mut lines = written.lines();
    let (Some(first), Some(last)) = (lines.next(), lines.next_back()) else { return written.to_owned() };
    let quotes = last.trim_start();
    let prefix = &last[..last.len() - quotes.len()];
    let margin = " ".repeat(indent);
    let mut moved = String::with_capacity(written.len() + 64);
    moved.push_str(first);
    moved.push('\n');
    for line in lines {
        if !line.trim().is_empty() {
            match line.strip_prefix(prefix) {
                Some(rest) => moved.extend([&margin, rest]),
                None => moved.push_str(line),
            }
        }
        moved.push('\n');
    }
    moved.extend([&margin, quotes]);
    // Escapes can join lines in ways that the lines here do not show.
    let closed = strings::scan(&moved, 0, &mut Vec::new()) == Some(moved.len());
    if closed && strings::decode(&moved).0 == strings::decode(written).0 { moved } else { written.to_owned() }
}
