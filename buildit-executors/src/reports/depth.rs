//! How deep a document goes, before it is parsed.

/// How deep elements may lie in each other: no runner comes near.
pub(super) const MAX_DEPTH: usize = 64;

/// Whether elements lie too deep in each other, of whatever name: the parser goes down by recursion. What is no XML ends
/// the count, as it ends the parser.
pub(super) fn too_deep(xml: &[u8]) -> bool {
    let mut depth = 0_usize;
    let mut rest = xml;
    while let Some(at) = memchr::memchr(b'<', rest) {
        let tag = &rest[at + 1..];
        let sections: [(&[u8], &[u8]); 3] = [(b"!--", b"-->"), (b"![CDATA[", b"]]>"), (b"?", b"?>")];
        if let Some((begin, end)) = sections.into_iter().find(|(begin, _)| tag.starts_with(begin)) {
            let Some(length) = memchr::memmem::find(&tag[begin.len()..], end) else { return false };
            rest = &tag[begin.len() + length + end.len()..];
            continue;
        }
        let Some(length) = tag_end(tag) else { return false };
        match tag.first() {
            Some(b'/') => depth = depth.saturating_sub(1),
            Some(b'!') => {}
            _ if tag[..length].ends_with(b"/") => {}
            _ => depth += 1,
        }
        if depth > MAX_DEPTH {
            return true;
        }
        rest = &tag[length + 1..];
    }
    false
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
