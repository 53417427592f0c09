//! Here-documents.

use super::place::{Refusal, Verdict};
use super::reader::{HereDocument, Next, Read, Reader};

impl Reader<'_> {
    /// Reads what stands behind `<<` or `<<-`: the end word. The body follows at the next newline.
    pub(super) fn announce_document(&mut self, strips_tabs: bool) -> Read<()> {
        self.blanks();
        let start = self.at;
        let word = self.word()?;
        // An end word is not expanded, so what looks like an expansion is meant literally; few know that.
        let is_plain = !word.is_dynamic && self.at > start && !self.bytes[start..self.at].contains(&b'\n');
        if !word.spots.is_empty() {
            return Err(Refusal::EndWord);
        }
        if !is_plain {
            return Err(Refusal::Unclear);
        }
        let (end_word, quoted) = (word.text, word.is_quoted);
        self.pending.push(HereDocument { end_word, quoted, strips_tabs, is_code: false });
        Ok(())
    }

    /// Passes over a newline, and over the bodies of the here-documents that were announced on its line.
    pub(super) fn newline(&mut self) -> Read<()> {
        self.at += 1;
        for document in std::mem::take(&mut self.pending) {
            self.body(&document)?;
        }
        Ok(())
    }

    fn body(&mut self, document: &HereDocument) -> Read<()> {
        let (body_end, after) = self.find_end(document).ok_or(Refusal::Unclosed)?;
        if document.quoted {
            self.skip_to(body_end, Refusal::QuotedHereDocument);
        } else {
            let end = std::mem::replace(&mut self.end, body_end);
            let in_document = std::mem::replace(&mut self.in_document, true);
            let read = if document.is_code {
                self.forcing(Refusal::Interpreter, |reader| reader.nested(Self::expanded_body))
            } else {
                self.nested(Self::expanded_body)
            };
            self.end = end;
            self.in_document = in_document;
            read?;
        }
        if self.at > body_end {
            // A reference lies across the end word.
            return Err(Refusal::Unclear);
        }
        self.at = after;
        Ok(())
    }

    /// Where the body ends and what follows begins.
    fn find_end(&self, document: &HereDocument) -> Option<(usize, usize)> {
        let mut line = self.at;
        let mut continued = false;
        loop {
            let rest = &self.bytes[line.min(self.end)..self.end];
            let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let text = &rest[..length];
            let tabs = text.iter().take_while(|byte| document.strips_tabs && **byte == b'\t').count();
            if !continued && text[tabs..] == document.end_word[..] {
                return Some((line, (line + length + 1).min(self.end)));
            }
            if length == rest.len() {
                return None;
            }
            // A line that ends with a backslash goes on, so the next one cannot be the end word.
            let backslashes = text.iter().rev().take_while(|byte| **byte == b'\\').count();
            continued = !document.quoted && backslashes % 2 == 1;
            line += length + 1;
        }
    }

    fn expanded_body(&mut self) -> Read<()> {
        loop {
            match self.next() {
                Next::End => return Ok(()),
                Next::Spot(spot) if self.spans_lines(spot) => return Err(Refusal::Unclear),
                Next::Spot(spot) => {
                    self.poured.push(spot);
                    self.take_spot(spot, Verdict::Quoted);
                }
                Next::Byte(b'\\') => {
                    let last = self.at + 1 >= self.end;
                    if last {
                        self.at += 1;
                    } else {
                        self.skip_escaped(&mut Vec::new())?;
                    }
                }
                Next::Byte(b'$') => drop(self.dollar(true)?),
                Next::Byte(b'`') => self.backticks()?,
                Next::Byte(_) => self.at += 1,
            }
        }
    }
}
