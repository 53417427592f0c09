//! What a job says by file: `$BUILDIT_OUTPUT` and `$BUILDIT_SUMMARY`.

use indexmap::IndexMap;

/// The whole `$BUILDIT_OUTPUT` may have this many bytes: outputs are kept in the run's record, which is read whole.
pub const MAX_OUTPUT_FILE: usize = 1024 * 1024;
/// One value may have this many bytes: it becomes an environment variable of other stages.
pub const MAX_OUTPUT_VALUE: usize = 64 * 1024;
/// A summary is cut at this many bytes.
pub const MAX_SUMMARY: usize = 1024 * 1024;
/// A key may have this many bytes.
const MAX_KEY: usize = 256;

/// Why an output file is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// It is too large.
    #[error("the output file has more than {MAX_OUTPUT_FILE} bytes")]
    FileTooLarge,
    /// A value is too large.
    #[error("line {line} of the output file: the value of `{key}` has more than {MAX_OUTPUT_VALUE} bytes")]
    ValueTooLarge {
        /// The line, from 1.
        line: usize,
        /// The key.
        key: String,
    },
    /// It is no text, or a value holds a NUL.
    #[error("line {line} of the output file is no text")]
    NoText {
        /// The line, from 1.
        line: usize,
    },
    /// A line is neither `key=value` nor `key<<END`.
    #[error("line {line} of the output file is neither `key=value` nor `key<<END`")]
    NoKey {
        /// The line, from 1.
        line: usize,
    },
    /// A key has a character that none may have.
    #[error("line {line} of the output file: a key is made of letters, digits, `_`, `-` and `.`")]
    BadKey {
        /// The line, from 1.
        line: usize,
    },
    /// A value of several lines does not end.
    #[error("line {line} of the output file: the value of `{key}` does not end")]
    Unended {
        /// The line where it begins, from 1.
        line: usize,
        /// The key.
        key: String,
    },
}

/// Reads an output file: lines of `key=value`, or `key<<END`, lines, `END`. Empty lines mean nothing; the later of
/// two values wins.
///
/// # Errors
///
/// [`OutputError`] with the line.
pub fn parse_outputs(file: &[u8]) -> Result<IndexMap<String, String>, OutputError> {
    if file.len() > MAX_OUTPUT_FILE {
        return Err(OutputError::FileTooLarge);
    }
    let mut outputs = IndexMap::new();
    let mut lines = file.strip_suffix(b"\n").unwrap_or(file).split(|&byte| byte == b'\n').zip(1_usize..);
    while let Some((bytes, line)) = lines.next() {
        let text = text(bytes, line)?;
        if text.trim().is_empty() {
            continue;
        }
        let (key, value) = match (text.find('='), text.find("<<")) {
            (Some(equals), here) if here.is_none_or(|here| equals < here) => {
                (check_key(&text[..equals], line)?, text[equals + 1..].to_owned())
            }
            (_, Some(here)) => {
                let key = check_key(&text[..here], line)?;
                let end = text[here + 2..].trim();
                if end.is_empty() {
                    return Err(OutputError::NoKey { line });
                }
                let value = here_document(&mut lines, end, key, line)?;
                (key, value)
            }
            _ => return Err(OutputError::NoKey { line }),
        };
        if value.len() > MAX_OUTPUT_VALUE {
            return Err(OutputError::ValueTooLarge { line, key: key.to_owned() });
        }
        outputs.insert(key.to_owned(), value);
    }
    Ok(outputs)
}

fn here_document<'a>(
    lines: &mut impl Iterator<Item = (&'a [u8], usize)>,
    end: &str,
    key: &str,
    begun: usize,
) -> Result<String, OutputError> {
    let mut value = String::new();
    for (count, (bytes, line)) in lines.enumerate() {
        let text = text(bytes, line)?;
        if text == end {
            return Ok(value);
        }
        if count > 0 {
            value.push('\n');
        }
        value.push_str(text);
    }
    Err(OutputError::Unended { line: begun, key: key.to_owned() })
}

fn text(bytes: &[u8], line: usize) -> Result<&str, OutputError> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0')).ok_or(OutputError::NoText { line })
}

fn check_key(key: &str, line: usize) -> Result<&str, OutputError> {
    let key = key.trim();
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if key.is_empty() {
        Err(OutputError::NoKey { line })
    } else if key.len() > MAX_KEY || !key.bytes().all(fine) {
        Err(OutputError::BadKey { line })
    } else {
        Ok(key)
    }
}

/// A summary as text, cut at a character near [`MAX_SUMMARY`]; `None` when there is nothing in it.
#[must_use]
pub fn read_summary(file: &[u8]) -> Option<String> {
    let cut = &file[..file.len().min(MAX_SUMMARY)];
    let text = String::from_utf8_lossy(cut);
    // The cut may have gone through a character, which reads as one replacement at the end.
    let text = if cut.len() < file.len() { text.trim_end_matches('\u{fffd}') } else { &text };
    (!text.trim().is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_forms_are_read() {
        let outputs = parse_outputs(b"a=1\n\nb=x=y<<z\nc<<EOF\none\n\ntwo=2\nEOF\na=2\nd=\ne<<X\nX\n").unwrap();
        let read: Vec<_> = outputs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(read, [("a", "2"), ("b", "x=y<<z"), ("c", "one\n\ntwo=2"), ("d", ""), ("e", "")]);
    }

    #[test]
    fn bad_lines_are_named() {
        for (file, error) in [
            (&b"a=1\nnonsense"[..], OutputError::NoKey { line: 2 }),
            (b"=1", OutputError::NoKey { line: 1 }),
            (b"a b=1", OutputError::BadKey { line: 1 }),
            (b"a<<EOF\nx\n", OutputError::Unended { line: 1, key: "a".into() }),
            (b"a<<\n", OutputError::NoKey { line: 1 }),
            (b"a=\0", OutputError::NoText { line: 1 }),
            (b"\na=\xff", OutputError::NoText { line: 2 }),
        ] {
            assert_eq!(parse_outputs(file), Err(error));
        }
        let long = format!("a={}", "x".repeat(MAX_OUTPUT_VALUE + 1));
        assert!(matches!(parse_outputs(long.as_bytes()), Err(OutputError::ValueTooLarge { line: 1, .. })));
        assert_eq!(parse_outputs(&vec![b'\n'; MAX_OUTPUT_FILE + 1]), Err(OutputError::FileTooLarge));
    }

    #[test]
    fn a_summary_is_cut_at_a_character() {
        assert_eq!(read_summary(b" \n"), None);
        let long = "ä".repeat(MAX_SUMMARY);
        assert_eq!(read_summary(long.as_bytes()).unwrap().len(), MAX_SUMMARY);
        let odd = format!("x{long}");
        assert_eq!(read_summary(odd.as_bytes()).unwrap().len(), MAX_SUMMARY - 1);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(values in proptest::collection::btree_map("[a-z]{1,8}", "[^\0]{0,40}", 0..8)) {
            let mut file = String::new();
            for (key, value) in &values {
                file.push_str(&format!("{key}<<END-OF-VALUE\n{value}\nEND-OF-VALUE\n"));
            }
            let read = parse_outputs(file.as_bytes()).unwrap();
            prop_assert!(values.iter().all(|(key, value)| read.get(key) == Some(value)));
            prop_assert_eq!(read.len(), values.len());
        }

        #[test]
        fn nothing_panics(file in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_outputs(&file);
            let _ = read_summary(&file);
        }
    }
}
