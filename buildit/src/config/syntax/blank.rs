//! Comments and `/-` parts replaced by spaces, so that everything else keeps its place.

use std::borrow::Cow;
use std::ops::Range;

/// The text with these ranges, which hold whole characters, as spaces.
pub(crate) fn blanked<'a>(text: &'a str, ranges: &[Range<usize>]) -> Cow<'a, str> {
    if ranges.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut blanked = String::with_capacity(text.len());
    let mut done = 0;
    for range in ranges {
        // Ranges may lie in one another: a comment in a part that is commented out.
        let start = range.start.max(done);
        if range.end <= start {
            continue;
        }
        blanked.push_str(&text[done..start]);
        blanked.extend(std::iter::repeat_n(' ', range.end - start));
        done = range.end;
    }
    blanked.push_str(&text[done..]);
    Cow::Owned(blanked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_stay() {
        assert_eq!(blanked("a /*ü*/ b", std::slice::from_ref(&(2..8))), "a        b");
        assert_eq!(blanked("abcdef", &[1..4, 2..3, 3..5]), "a    f");
    }
}
