//! Older spellings of references: `{git.sha}` for `${git.sha}`.

use std::borrow::Cow;

/// What a reference of the older spelling may begin with.
const NAMESPACES: &[&str] =
    &["git", "pr", "pipeline", "run", "stage", "matrix", "params", "env", "secrets", "custom", "environment"];

/// The text with each `{git.sha}` as `${git.sha}`.
pub(crate) fn modernised(text: &str) -> Cow<'_, str> {
    let found = spellings(text);
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut modern = String::with_capacity(text.len() + found.len());
    let mut done = 0;
    for at in found {
        modern.push_str(&text[done..at]);
        modern.push('$');
        done = at;
    }
    modern.push_str(&text[done..]);
    Cow::Owned(modern)
}

/// Where the references of the older spelling begin.
pub(crate) fn spellings(text: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'{', bytes)
        .filter(|at| *at == 0 || !matches!(bytes[at - 1], b'$' | b'{'))
        .filter(|at| is_reference(&bytes[at + 1..]))
        .collect()
}

/// Whether `git.sha}` follows.
fn is_reference(bytes: &[u8]) -> bool {
    let word =
        |bytes: &[u8]| bytes.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')).count();
    let namespace = word(bytes);
    if !NAMESPACES.iter().any(|known| known.as_bytes() == &bytes[..namespace]) || bytes.get(namespace) != Some(&b'.') {
        return false;
    }
    let key = word(&bytes[namespace + 1..]);
    let end = namespace + 1 + key;
    key > 0 && bytes.get(end) == Some(&b'}') && bytes.get(end + 1) != Some(&b'}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_references_are_read() {
        assert_eq!(modernised("a-{git.sha}-{params.x-y}"), "a-${git.sha}-${params.x-y}");
        for same in ["${git.sha}", "{{git.sha}}", "{git.sha", "{git}", "{other.sha}", "{git.}", "$${git.sha}", "ä{"] {
            assert_eq!(modernised(same), same);
        }
    }
}
