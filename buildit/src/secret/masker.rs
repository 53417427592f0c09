//! [`Masker`].

use std::fmt::{self, Debug};
use std::ops::Range;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::forms::{Forms, MIN_FORM, trim};
use super::matcher::{End, Matcher, Scan};
use super::{MaskStream, SecretError};

/// What stands for a secret. It names none, so that the same text is masked in the same way whichever secret it was
/// taken for (secrets overlap, and a run that goes on may know more of them).
pub const MASK: &str = "***";

/// Knows every form of a run's secrets and replaces them by [`MASK`].
///
/// The forms: the value as it is and each of its lines (of at least 6 characters), base64 and base64url at every
/// alignment, padded or not and wrapped, hex in both cases and wrapped, percent-encoded as URLs and forms do it, as
/// within a JSON string, and quoted for a shell. What several forms cover together is one mask; the line ends within it
/// stay, so that masking changes no line's number.
///
/// With 20 secrets it passes about 1300 MiB/s of log lines, 2.5 times what a bare DFA of 240 forms searches beside it
/// (535 MiB/s; `cargo bench --bench mask`). A secret of 4 bytes costs the half of it. Its memory holds the secrets in
/// clear.
#[derive(Clone)]
pub struct Masker(Option<Matcher>);

impl Masker {
    /// A masker for these secrets, given by name and value.
    ///
    /// # Errors
    ///
    /// [`SecretError::TooShort`] for a value of fewer than 4 bytes, line ends and blanks around it not counted.
    pub fn new<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a SecretString)>) -> Result<Self, SecretError> {
        let mut forms = Forms::default();
        for (name, value) in secrets {
            if trim(value.expose_secret()).trim().len() < MIN_FORM {
                return Err(SecretError::TooShort { name: name.to_owned() });
            }
            forms.add(value.expose_secret());
        }
        if forms.exact.is_empty() { Ok(Self(None)) } else { Matcher::new(&forms).map(Some).map(Self) }
    }

    /// A masker that knows no secret.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Whether it knows no secret.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The text with every secret masked.
    #[must_use]
    pub fn mask(&self, text: &str) -> String {
        let found = self.scan(text.as_bytes(), 0, 0, End::Closed);
        if found.masked.is_empty() {
            return text.to_owned();
        }
        let mut masked = Vec::with_capacity(text.len());
        Pen::default().write(text.as_bytes(), &found.masked, &mut masked);
        String::from_utf8(masked).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    /// Whether the text holds a secret, in any of its forms.
    #[must_use]
    pub fn holds(&self, text: &str) -> bool {
        !self.scan(text.as_bytes(), 0, 0, End::Closed).masked.is_empty()
    }

    /// A filter for bytes that arrive in pieces.
    #[must_use]
    pub fn stream(self: &Arc<Self>) -> MaskStream {
        MaskStream::new(Arc::clone(self))
    }

    /// Finds what is to be masked in `text`; see [`Matcher::scan`].
    pub(crate) fn scan(&self, text: &[u8], covered: usize, digits: usize, end: End) -> Scan {
        match &self.0 {
            Some(matcher) => matcher.scan(text, covered, digits, end),
            None => Scan { masked: Vec::new(), settled: text.len() },
        }
    }

    /// Appends `text` to `out` with these ranges of it masked.
    #[cfg(feature = "engine")]
    pub(crate) fn write(text: &[u8], masked: &[Range<usize>], out: &mut Vec<u8>) {
        Pen::default().write(text, masked, out);
    }
}

impl Debug for Masker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Masker").field("is_empty", &self.is_empty()).finish_non_exhaustive()
    }
}

/// Writes masked text, and remembers whether the mask of what it wrote last still covers what comes next.
#[derive(Debug, Default)]
pub(super) struct Pen {
    in_mask: bool,
}

impl Pen {
    /// Appends `text` to `out` with these ranges of it masked. Ranges may reach beyond the text.
    pub(super) fn write(&mut self, text: &[u8], masked: &[Range<usize>], out: &mut Vec<u8>) {
        let mut written = 0;
        for range in masked {
            let start = range.start.min(text.len());
            let end = range.end.min(text.len());
            self.plain(&text[written..start], out);
            self.masked(&text[start..end], out);
            written = end;
        }
        self.plain(&text[written..], out);
    }

    fn plain(&mut self, text: &[u8], out: &mut Vec<u8>) {
        if !text.is_empty() {
            out.extend_from_slice(text);
            self.in_mask = false;
        }
    }

    fn masked(&mut self, text: &[u8], out: &mut Vec<u8>) {
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            if line != b"\n" && !self.in_mask {
                out.extend_from_slice(MASK.as_bytes());
            }
            self.in_mask = !line.ends_with(b"\n");
            if !self.in_mask {
                out.push(b'\n');
            }
        }
    }
}
