//! Lines and columns of byte offsets, in constant time however long a line is.

/// After how many bytes the characters are counted anew: a column costs at most this many steps.
const BLOCK: usize = 1024;

/// Where the lines of a text begin.
#[derive(Debug)]
pub(crate) struct LineIndex {
    starts: Vec<u32>,
    /// Characters before each block of [`BLOCK`] bytes; empty when every character is one byte.
    characters: Vec<u32>,
}

impl LineIndex {
    pub(crate) fn new(text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut starts = vec![0];
        starts.extend(memchr::memchr_iter(b'\n', bytes).map(|at| at as u32 + 1));
        let mut characters = Vec::new();
        if !text.is_ascii() {
            let mut count = 0;
            for block in bytes.chunks(BLOCK) {
                characters.push(count);
                count += leading(block);
            }
        }
        Self { starts, characters }
    }

    /// Line and column of this byte, both from 1, the column in characters.
    pub(crate) fn position(&self, text: &str, offset: usize) -> (u32, u32) {
        let offset = offset.min(text.len());
        let line = self.starts.partition_point(|start| *start as usize <= offset);
        let start = self.starts[line - 1] as usize;
        let column = self.count(text, offset) - self.count(text, start) + 1;
        (line as u32, column)
    }

    fn count(&self, text: &str, offset: usize) -> u32 {
        match self.characters.get(offset / BLOCK) {
            Some(before) => before + leading(&text.as_bytes()[offset - offset % BLOCK..offset]),
            // Past the last block, or no block at all: either the text is ASCII, or it ends on a block's border.
            None if self.characters.is_empty() => offset as u32,
            None => self
                .characters
                .last()
                .map_or(0, |before| before + leading(&text.as_bytes()[(self.characters.len() - 1) * BLOCK..offset])),
        }
    }
}

/// How many characters begin in these bytes.
fn leading(bytes: &[u8]) -> u32 {
    bytes.iter().filter(|byte| (**byte as i8) >= -0x40).count() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let text = format!("ä\nö{}x\n", "ü".repeat(3 * BLOCK));
        let lines = LineIndex::new(&text);
        assert_eq!(lines.position(&text, 0), (1, 1));
        assert_eq!(lines.position(&text, 2), (1, 2));
        assert_eq!(lines.position(&text, 3), (2, 1));
        let x = text.find('x').unwrap();
        assert_eq!(lines.position(&text, x), (2, 3 * BLOCK as u32 + 2));
        assert_eq!(lines.position(&text, text.len()), (3, 1));
    }

    #[test]
    fn a_text_that_ends_on_a_border_has_an_end() {
        let text = "é".repeat(BLOCK / 2);
        assert_eq!(LineIndex::new(&text).position(&text, text.len()), (1, BLOCK as u32 / 2 + 1));
        assert_eq!(LineIndex::new("").position("", 0), (1, 1));
    }
}
