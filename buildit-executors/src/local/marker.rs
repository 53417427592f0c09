//! Telling the wrapper's markers from a job's output, wherever the pieces are cut. Pure.

use bytes::{Bytes, BytesMut};

/// The byte that a marker begins with: the record separator, which text hardly ever has.
const SIGN: u8 = 0x1e;

/// The longest number in a marker.
const DIGITS: usize = 10;

/// A part of an output, with the raw offset behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// What the job wrote, or the echo of a command.
    Text(Bytes, u64),
    /// Before the command of this number; on standard output, its echo follows.
    Before(u32, u64),
    /// The end of the echo.
    Echoed(u64),
}

/// Takes one output apart.
#[derive(Debug)]
pub(super) struct Scanner {
    nonce: Vec<u8>,
    /// What may be the beginning of a marker.
    held: BytesMut,
    /// The raw offset behind `held`.
    offset: u64,
}

enum Found {
    Nothing,
    /// It may become a marker with more bytes.
    Beginning,
    Marker {
        number: u32,
        echoed: bool,
        length: usize,
    },
}

impl Scanner {
    /// For an output whose next byte lies at this raw offset.
    pub(super) fn new(nonce: &str, offset: u64) -> Self {
        Self { nonce: nonce.as_bytes().to_vec(), held: BytesMut::new(), offset }
    }

    /// Takes the next bytes.
    pub(super) fn push(&mut self, bytes: Bytes, mut take: impl FnMut(Part)) {
        self.offset += bytes.len() as u64;
        let mut bytes = if self.held.is_empty() {
            bytes
        } else {
            self.held.extend_from_slice(&bytes);
            self.held.split().freeze()
        };
        let mut from = 0;
        while let Some(sign) = memchr::memchr(SIGN, bytes.get(from..).unwrap_or_default()).map(|at| at + from) {
            match self.look(&bytes[sign..]) {
                Found::Nothing => from = sign + 1,
                Found::Beginning => {
                    self.held.extend_from_slice(&bytes.split_off(sign));
                    break;
                }
                Found::Marker { number, echoed, length } => {
                    let text = bytes.split_to(sign);
                    let behind = self.offset - bytes.len() as u64;
                    if !text.is_empty() {
                        take(Part::Text(text, behind));
                    }
                    let _ = bytes.split_to(length);
                    let behind = behind + length as u64;
                    take(if echoed { Part::Echoed(behind) } else { Part::Before(number, behind) });
                    from = 0;
                }
            }
        }
        if !bytes.is_empty() {
            take(Part::Text(bytes, self.offset - self.held.len() as u64));
        }
    }

    /// What was held back and is no marker after all: nothing more comes.
    pub(super) fn finish(&mut self) -> Option<Part> {
        (!self.held.is_empty()).then(|| Part::Text(self.held.split().freeze(), self.offset))
    }

    fn look(&self, bytes: &[u8]) -> Found {
        let known = self.nonce.len() + 1;
        let head = &bytes[1..bytes.len().min(known)];
        if !self.nonce.starts_with(head) {
            return Found::Nothing;
        }
        let Some(rest) = bytes.get(known..).filter(|rest| !rest.is_empty()) else { return Found::Beginning };
        let Some(rest) = rest.strip_prefix(b" ") else { return Found::Nothing };
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = std::str::from_utf8(&rest[..digits]).ok().and_then(|digits| digits.parse().ok());
        match (number, &rest[digits..]) {
            _ if digits > DIGITS => Found::Nothing,
            (_, []) => Found::Beginning,
            (Some(_), [b'.']) => Found::Beginning,
            (Some(number), [b'\n', ..]) => Found::Marker { number, echoed: false, length: known + digits + 2 },
            (Some(number), [b'.', b'\n', ..]) => Found::Marker { number, echoed: true, length: known + digits + 3 },
            _ => Found::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NONCE: &str = "ab12";

    /// The parts of these bytes when they come in pieces that end at these places; texts that touch are joined.
    fn parts(bytes: &[u8], cuts: &[usize]) -> Vec<Part> {
        let mut scanner = Scanner::new(NONCE, 100);
        let mut parts: Vec<Part> = Vec::new();
        let mut take = |part: Part| match (parts.last_mut(), part) {
            (Some(Part::Text(text, end)), Part::Text(more, behind)) => {
                (*text, *end) = ([&text[..], &more[..]].concat().into(), behind);
            }
            (_, part) => parts.push(part),
        };
        let mut from = 0;
        for &cut in cuts.iter().chain([&bytes.len()]) {
            scanner.push(Bytes::copy_from_slice(&bytes[from..cut]), &mut take);
            from = cut;
        }
        scanner.finish().into_iter().for_each(take);
        parts
    }

    #[test]
    fn markers_split_the_text() {
        let text = |text: &'static str, end| Part::Text(Bytes::from_static(text.as_bytes()), end);
        assert_eq!(
            parts(b"abc\x1eab12 0\n+ x\n\x1eab12 0.\ny\x1e\x1eab1\x1eab12 12\n\x1eab12 ", &[]),
            [
                text("abc", 103),
                Part::Before(0, 111),
                text("+ x\n", 115),
                Part::Echoed(124),
                text("y\x1e\x1eab1", 130),
                Part::Before(12, 139),
                text("\x1eab12 ", 145),
            ]
        );
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(
            pieces in proptest::collection::vec("(\x1eab12 [0-9]{1,3}\\.?\n|\x1e|\x1eab|\x1eab12|ab12 1\n|[a-c\n]{0,6}|\x1eab12 [0-9]{9,12}\n)", 0..12),
            seeds in proptest::collection::vec(any::<proptest::sample::Index>(), 0..20),
        ) {
            let bytes = pieces.concat().into_bytes();
            let mut cuts: Vec<usize> = seeds.iter().map(|seed| seed.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            let whole = parts(&bytes, &[]);
            prop_assert_eq!(&parts(&bytes, &cuts), &whole);
            let kept: usize = whole.iter().map(|part| match part { Part::Text(text, _) => text.len(), _ => 0 }).sum();
            prop_assert!(kept <= bytes.len());
        }
    }
}
