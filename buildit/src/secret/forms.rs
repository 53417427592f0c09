//! The forms in which a secret may turn up (EXECUTORS, section 5).

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{GeneralPurpose, general_purpose::NO_PAD};

/// The shortest form that is looked for: a shorter one is in half of all lines.
pub(super) const MIN_FORM: usize = 4;

/// The shortest line of a secret of several lines that is masked by itself, in characters: the braces of a secret
/// that is JSON would otherwise mask every brace.
const MIN_LINE: usize = 6;

/// What is looked for.
#[derive(Debug, Default)]
pub(super) struct Forms {
    /// Texts that are found as they are.
    pub(super) exact: BTreeSet<Vec<u8>>,
    /// Texts of which tools make lines of equal length (base64, hex): they are also found across such a line's end.
    pub(super) wrapping: BTreeSet<Vec<u8>>,
}

impl Forms {
    /// Adds every form of this value. One that a file held ends in a newline, which a shell's `$(…)` takes away:
    /// both are looked for.
    pub(super) fn add(&mut self, value: &str) {
        let trimmed = trim(value);
        self.add_lines(trimmed);
        for value in [trimmed, value] {
            self.add_escaped(value);
            self.add_base64(value.as_bytes());
            self.add_hex(value.as_bytes());
        }
    }

    fn exact(&mut self, form: impl Into<Vec<u8>>) {
        let form = form.into();
        // A form that begins or ends with a line's end would keep every line waiting for the next one.
        let form = trim_bytes(&form);
        if form.len() >= MIN_FORM {
            self.exact.insert(form.to_vec());
        }
    }

    fn wrapping(&mut self, form: &str) {
        if form.len() >= MIN_FORM {
            self.wrapping.insert(form.as_bytes().to_vec());
        }
    }

    fn add_lines(&mut self, value: &str) {
        for line in value.lines().map(str::trim).filter(|line| line.chars().count() >= MIN_LINE) {
            self.exact(line);
        }
    }

    fn add_escaped(&mut self, value: &str) {
        self.exact(value);
        // As a terminal prints it, and as HTTP and Windows want it.
        self.exact(value.replace('\n', "\r\n"));
        // As XML and HTML want it.
        let marked = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        for apostrophe in ["'", "&apos;", "&#39;"] {
            self.exact(marked.replace('"', "&quot;").replace('\'', apostrophe));
        }
        self.exact(marked);
        for keep in [URL_UNRESERVED, URL_COMPONENT, URL_PATH, FORM] {
            for upper in [true, false] {
                let encoded = percent(value, keep, upper);
                self.exact(encoded.replace("%20", "+"));
                self.exact(encoded);
            }
        }
        for escaped in json(value) {
            // JSON within a string of JSON.
            json(&escaped).into_iter().for_each(|twice| self.exact(twice));
            self.exact(escaped);
        }
        shell(value).into_iter().for_each(|quoted| self.exact(quoted));
    }

    /// The secret within a longer text: at each of the three alignments, what of the digits depends on it alone;
    /// and at the end of a text the last digit too, with and without padding.
    fn add_base64(&mut self, value: &[u8]) {
        for alphabet in [&alphabet::STANDARD, &alphabet::URL_SAFE] {
            let engine = GeneralPurpose::new(alphabet, NO_PAD);
            for before in 0..3 {
                let mut text = vec![0; before];
                text.extend_from_slice(value);
                let digits = engine.encode(&text);
                let own = (before * 8).div_ceil(6)..text.len() * 8 / 6;
                self.wrapping(&digits[own.clone()]);
                self.wrapping(&digits[own.start..]);
                let padding = "=".repeat((4 - digits.len() % 4) % 4);
                self.wrapping(&format!("{}{padding}", &digits[own.start..]));
            }
        }
    }

    fn add_hex(&mut self, value: &[u8]) {
        let lower = value.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        self.wrapping(&lower.to_uppercase());
        self.wrapping(&lower);
    }
}

/// The value without the line ends around it.
pub(super) fn trim(value: &str) -> &str {
    value.trim_matches(['\n', '\r'])
}

fn trim_bytes(mut form: &[u8]) -> &[u8] {
    while let [b'\n' | b'\r', rest @ ..] | [rest @ .., b'\n' | b'\r'] = form {
        form = rest;
    }
    form
}

/// RFC 3986, the strictest.
const URL_UNRESERVED: &str = "-_.~";
/// What `encodeURIComponent` leaves.
const URL_COMPONENT: &str = "-_.~!'()*";
/// What encoders of paths leave.
const URL_PATH: &str = "-_.~/";
/// What an HTML form leaves.
const FORM: &str = "-_.*";

fn percent(value: &str, keep: &str, upper: bool) -> String {
    value.bytes().fold(String::with_capacity(value.len() * 3), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || keep.as_bytes().contains(&byte) {
            text.push(char::from(byte));
        } else if upper {
            let _ = write!(text, "%{byte:02X}");
        } else {
            let _ = write!(text, "%{byte:02x}");
        }
        text
    })
}

/// As the inside of a JSON string: plainly, with `/` escaped (PHP), in ASCII only (Python), safe in HTML (Go).
fn json(value: &str) -> Vec<String> {
    let escape = |escaped: fn(char) -> Option<String>| {
        value.chars().fold(String::with_capacity(value.len()), |mut text, character| {
            match character {
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '\u{8}' => text.push_str("\\b"),
                '\u{c}' => text.push_str("\\f"),
                _ => match escaped(character) {
                    Some(other) => text.push_str(&other),
                    None if character < ' ' => text.push_str(&unicode(character, false)),
                    None => text.push(character),
                },
            }
            text
        })
    };
    vec![
        escape(|_| None),
        escape(|c| (c == '/').then(|| "\\/".into())),
        escape(|c| (!c.is_ascii() || c == '\u{7f}').then(|| unicode(c, false))),
        escape(|c| (!c.is_ascii() || c == '\u{7f}').then(|| unicode(c, true))),
        escape(|c| match c {
            '/' => Some("\\/".into()),
            _ => (!c.is_ascii()).then(|| unicode(c, false)),
        }),
        escape(|c| matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}').then(|| unicode(c, false))),
        escape(|c| matches!(c, '<' | '>' | '&' | '\'').then(|| unicode(c, true))),
    ]
}

fn unicode(character: char, upper: bool) -> String {
    let mut units = [0; 2];
    character.encode_utf16(&mut units).iter().fold(String::new(), |mut text, unit| {
        let _ = if upper { write!(text, "\\u{unit:04X}") } else { write!(text, "\\u{unit:04x}") };
        text
    })
}

/// As a shell would have to be given it: in single quotes (both ways to write a quote there), in double quotes, with
/// backslashes (`printf %q`), and in `$'…'`. The quotes around it are not part of the form.
fn shell(value: &str) -> Vec<String> {
    let escape = |special: fn(char) -> bool| {
        value.chars().fold(String::with_capacity(value.len()), |mut text, character| {
            if special(character) {
                text.push('\\');
            }
            text.push(character);
            text
        })
    };
    let ansi = value.chars().fold(String::new(), |mut text, character| {
        match character {
            '\'' => text.push_str("\\'"),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{1b}' => text.push_str("\\E"),
            _ if character.is_ascii_control() => {
                let _ = write!(text, "\\{:03o}", u32::from(character));
            }
            _ => text.push(character),
        }
        text
    });
    vec![
        value.replace('\'', r"'\''"),
        value.replace('\'', r#"'"'"'"#),
        escape(|c| matches!(c, '"' | '$' | '`' | '\\')),
        escape(|c| matches!(c, '"' | '$' | '`' | '\\' | '!')),
        escape(|c| c.is_ascii() && !c.is_ascii_alphanumeric() && !"_-./:=@%+,\n".contains(c)),
        escape(|c| c.is_ascii() && !c.is_ascii_alphanumeric() && !"_-./:=@%+\n".contains(c)),
        ansi,
    ]
}
