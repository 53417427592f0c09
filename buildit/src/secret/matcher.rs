//! Finds forms of secrets in bytes of which more may follow.

use std::ops::Range;

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind};

use super::SecretError;
use super::filter::Filter;
use super::forms::Forms;

/// The widths at which tools wrap base64 and hex: `xxd -p`, PEM, MIME.
const WIDTHS: [usize; 3] = [60, 64, 76];

/// Whether more bytes may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// More may follow.
    Open,
    /// This is all.
    Closed,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// What is to be masked: ranges in order that neither overlap nor touch.
    pub(crate) masked: Vec<Range<usize>>,
    /// What comes before this is decided whatever follows: each byte is known to be masked or not.
    pub(crate) settled: usize,
}

impl Scan {
    fn mask(&mut self, range: Range<usize>) {
        match self.masked.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => self.masked.push(range),
        }
    }
}

/// The forms of all secrets.
#[derive(Clone)]
pub(super) struct Matcher {
    filter: Filter,
    exact: NFA,
    wrapping: NFA,
}

/// How far a form was found from one place on.
struct Walk {
    longest: Option<usize>,
    /// Whether the text ended within a longer form.
    unfinished: bool,
}

impl Matcher {
    pub(super) fn new(forms: &Forms) -> Result<Self, SecretError> {
        let build = |forms: Vec<&Vec<u8>>| {
            // Overlapping forms are all wanted, so that two secrets that overlap are both masked: hence `Standard`
            // and a walk of our own from each place, not one of the crate's searches.
            NFA::builder()
                .match_kind(MatchKind::Standard)
                .prefilter(false)
                .build(forms)
                .map_err(|source| SecretError::TooLarge { source: Box::new(source) })
        };
        Ok(Self {
            filter: Filter::new(forms.exact.iter().chain(&forms.wrapping).map(Vec::as_slice)),
            exact: build(forms.exact.iter().collect())?,
            wrapping: build(forms.wrapping.iter().collect())?,
        })
    }

    /// Finds every form in `text`. `covered` bytes at its front are known to be masked, and `digits` digits (of
    /// base64) came directly before it.
    pub(super) fn scan(&self, text: &[u8], covered: usize, digits: usize, end: End) -> Scan {
        let mut scan = Scan { masked: Vec::new(), settled: text.len() };
        if covered > 0 {
            scan.mask(0..covered.min(text.len()));
        }
        let wraps = |end: usize| is_wrapped(text, end, digits);
        for place in self.filter.candidates(text, wraps) {
            let exact = walk(&self.exact, text, place, |_| false);
            let wrapping = walk(&self.wrapping, text, place, wraps);
            if let Some(longest) = exact.longest.max(wrapping.longest) {
                scan.mask(place..longest);
            }
            if (exact.unfinished || wrapping.unfinished) && end == End::Open {
                scan.settled = scan.settled.min(place);
            }
        }
        scan
    }
}

/// Follows the forms from `start`; a line's end for which `wraps` holds is passed over.
fn walk(forms: &NFA, text: &[u8], start: usize, wraps: impl Fn(usize) -> bool) -> Walk {
    let mut walk = Walk { longest: None, unfinished: false };
    let Ok(mut state) = forms.start_state(Anchored::Yes) else { return walk };
    let mut depth = 0;
    for (place, &byte) in text.iter().enumerate().skip(start) {
        if place > start && (byte == b'\n' || byte == b'\r') && wraps(place) {
            continue;
        }
        state = forms.next_state(Anchored::Yes, state, byte);
        if forms.is_dead(state) {
            return walk;
        }
        depth += 1;
        // A state also matches the forms that end in it and begin later: those have their own walk.
        if forms.is_match(state)
            && (0..forms.match_len(state)).any(|form| forms.pattern_len(forms.match_pattern(state, form)) == depth)
        {
            walk.longest = Some(place + 1);
        }
    }
    walk.unfinished = has_next(forms, state);
    walk
}

/// Whether a form goes on from this state.
fn has_next(forms: &NFA, state: StateID) -> bool {
    (0..=u8::MAX).any(|byte| !forms.is_dead(forms.next_state(Anchored::Yes, state, byte)))
}

/// Whether the byte at `place`, of a line's end, ends a line of digits of one of the [`WIDTHS`]. Without that look
/// backwards, a line that happens to end like the beginning of a form would wait for the next one.
fn is_wrapped(text: &[u8], place: usize, digits_before: usize) -> bool {
    let line = &text[..place];
    let line = if text[place] == b'\n' { line.strip_suffix(b"\r").unwrap_or(line) } else { line };
    let digits = count_digits(line, digits_before);
    WIDTHS.contains(&digits) && (text[place] == b'\n' || text.get(place + 1).is_none_or(|&next| next == b'\n'))
}

/// How many digits of base64 `text` ends with, when `before` came directly before it; it stops counting behind the
/// largest of the widths.
pub(super) fn count_digits(text: &[u8], before: usize) -> usize {
    const ENOUGH: usize = WIDTHS[WIDTHS.len() - 1] + 1;
    let own = text.iter().rev().take(ENOUGH).take_while(|&&byte| is_digit(byte)).count();
    if own == text.len() { (own + before).min(ENOUGH) } else { own }
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}
