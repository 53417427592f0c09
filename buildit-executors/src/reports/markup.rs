//! What is done with a document before it is parsed: it is refused when it goes too deep, and its texts are made such that
//! the parser leaves nothing of them out.

use std::borrow::Cow;

/// How deep elements may lie in each other: no runner comes near.
pub(super) const MAX_DEPTH: usize = 64;

/// A part of a document. What is no XML is a section to its end, as it ends the parser.
enum Piece<'a> {
    Text(&'a [u8]),
    /// With its brackets.
    Tag(&'a [u8]),
    /// A comment, an instruction or a text that is taken as it stands.
    Section(&'a [u8]),
}

struct Pieces<'a>(&'a [u8]);

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        const SECTIONS: [(&[u8], &[u8]); 3] = [(b"<!--", b"-->"), (b"<![CDATA[", b"]]>"), (b"<?", b"?>")];
        let rest = self.0;
        if rest.is_empty() {
            return None;
        }
        let mut take = |length: usize| {
            let (piece, behind) = rest.split_at(length);
            self.0 = behind;
            piece
        };
        if rest[0] != b'<' {
            return Some(Piece::Text(take(memchr::memchr(b'<', rest).unwrap_or(rest.len()))));
        }
        if let Some((begin, end)) = SECTIONS.into_iter().find(|(begin, _)| rest.starts_with(begin)) {
            let length = memchr::memmem::find(&rest[begin.len()..], end);
            return Some(Piece::Section(take(length.map_or(rest.len(), |inner| begin.len() + inner + end.len()))));
        }
        Some(match tag_end(rest) {
            Some(end) => Piece::Tag(take(end + 1)),
            None => Piece::Section(take(rest.len())),
        })
    }
}

/// Where a tag ends: at the first `>` that is in no quotes.
fn tag_end(tag: &[u8]) -> Option<usize> {
    let mut quote = None;
    tag.iter().position(|&byte| match quote {
        Some(open) => {
            quote = (byte != open).then_some(open);
            false
        }
        None => {
            quote = matches!(byte, b'"' | b'\'').then_some(byte);
            byte == b'>'
        }
    })
}

/// Whether elements lie too deep in each other, of whatever name: the parser goes down by recursion.
pub(super) fn too_deep(xml: &[u8]) -> bool {
    let mut depth = 0_usize;
    Pieces(xml).any(|piece| {
        let Piece::Tag(tag) = piece else { return false };
        match tag[1] {
            b'/' => depth = depth.saturating_sub(1),
            b'!' => {}
            _ if tag.ends_with(b"/>") => {}
            _ => depth += 1,
        }
        depth > MAX_DEPTH
    })
}

/// The same document with its texts to be taken as they stand: the parser passes over characters that are written as
/// `&lt;`, of which stacks of calls are full. What a document defines by itself stays as it is written, whatever it is.
pub(super) fn with_plain_texts(xml: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'&', xml).is_none() {
        return Cow::Borrowed(xml);
    }
    let mut plain = Vec::with_capacity(xml.len());
    for piece in Pieces(xml) {
        match piece {
            Piece::Text(text) if memchr::memchr(b'&', text).is_some() => match std::str::from_utf8(text) {
                Ok(text) => {
                    let text = quick_xml::escape::unescape(text).unwrap_or(Cow::Borrowed(text));
                    plain.extend_from_slice(b"<![CDATA[");
                    // It would end there.
                    plain.extend_from_slice(text.replace("]]>", "]] >").as_bytes());
                    plain.extend_from_slice(b"]]>");
                }
                Err(_) => plain.extend_from_slice(text),
            },
            Piece::Text(piece) | Piece::Tag(piece) | Piece::Section(piece) => plain.extend_from_slice(piece),
        }
    }
    Cow::Owned(plain)
}
