//! Looks for values, in whatever they are wrapped.

use std::io::Read;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// A secret of one line.
pub(crate) const TOKEN: &str = "tok+en/of \"ten\" & 5f3a9c01d7";

/// A secret of several lines.
pub(crate) const LINES: &str =
    "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nAQEFAASCBKcwggSjAgEAAoI\n-----END KEY-----";

/// No secret: if this is not found, nothing would be.
pub(crate) const PLANTED: &str = "planted-and-no-secret-4711";

/// What begins a zstd frame.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// What was looked through.
#[derive(Default)]
pub(crate) struct Search {
    pub(crate) names: Vec<String>,
    /// Where the planted text was found.
    planted: Vec<String>,
}

impl Search {
    /// Looks through all files below a folder.
    pub(crate) fn folder(&mut self, folder: &Path) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => self.folder(&path),
                false => self.bytes(&path.display().to_string(), &std::fs::read(&path).unwrap()),
            }
        }
    }

    /// Looks through these bytes and all that is compressed among them. (A tar archive holds its files as they are.)
    pub(crate) fn bytes(&mut self, name: &str, bytes: &[u8]) {
        self.names.push(name.to_owned());
        self.look(name, bytes);
        for start in bytes.windows(ZSTD.len()).enumerate().filter(|(_, window)| *window == ZSTD).map(|(at, _)| at) {
            let mut plain = Vec::new();
            // What follows a frame, or only looks like one, is an error at its end.
            let _ = zstd::stream::read::Decoder::new(&bytes[start..]).unwrap().read_to_end(&mut plain);
            self.look(name, &plain);
        }
    }

    fn look(&mut self, name: &str, bytes: &[u8]) {
        for form in forms() {
            assert!(!holds(bytes, &form), "{name} holds {:?}", String::from_utf8_lossy(&form));
        }
        if holds(bytes, PLANTED.as_bytes()) {
            self.planted.push(name.to_owned());
        }
    }

    /// The planted text has to have been found in each of these.
    pub(crate) fn requires(&self, names: &[&str]) {
        for name in names {
            assert!(self.planted.iter().any(|found| found.contains(name)), "{name}: {:?}", self.planted);
        }
    }
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

/// All that must not be found: each value and each line of one, as it is and encoded, at each alignment.
fn forms() -> Vec<Vec<u8>> {
    let lines = LINES.lines().filter(|line| !line.starts_with('-'));
    let mut forms = Vec::new();
    for value in [TOKEN, LINES].into_iter().chain(lines) {
        forms.push(value.as_bytes().to_vec());
        forms.push(value.replace('"', "\\\"").replace('\n', "\\n").into_bytes());
        let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
        forms.extend([hex.to_uppercase().into_bytes(), hex.into_bytes()]);
        for (space, line) in [("%20", "%0A"), ("+", "%0A")] {
            let url = value.replace('%', "%25").replace('+', "%2B").replace('/', "%2F").replace('"', "%22");
            forms.push(url.replace('&', "%26").replace(' ', space).replace('\n', line).into_bytes());
        }
        for skip in 0..3 {
            let shifted = [&b"xy"[..skip], value.as_bytes()].concat();
            for encoded in [STANDARD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
                // Without the characters that other bytes have a part in.
                let whole = encoded.trim_end_matches('=');
                forms.push(whole.as_bytes()[skip + usize::from(skip > 0)..whole.len() - 2].to_vec());
            }
        }
    }
    forms
}

/// The values of columns of bytes in a dump.
#[cfg(feature = "postgres")]
pub(crate) fn hexadecimal(dump: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(dump);
    let bytes = |digits: &str| {
        let digits = &digits[..digits.find(|symbol: char| !symbol.is_ascii_hexdigit()).unwrap_or(digits.len())];
        let pairs = digits.as_bytes().chunks_exact(2).map(|pair| std::str::from_utf8(pair).unwrap());
        pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    };
    text.split("\\\\x").skip(1).map(bytes).collect()
}

#[test]
fn what_is_compressed_is_found() {
    let packed = [b"head".to_vec(), zstd::encode_all(PLANTED.as_bytes(), 1).unwrap()].concat();
    let mut search = Search::default();
    search.bytes("packed", &packed);
    search.requires(&["packed"]);
    for form in forms() {
        let packed = zstd::encode_all(&*form, 1).unwrap();
        assert!(std::panic::catch_unwind(|| Search::default().bytes("leaks", &packed)).is_err());
    }
}
