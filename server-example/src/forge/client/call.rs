//! What a forge is asked, and what it answers.

use axum::http::Method;
use buildit::id::Digest;
use serde_json::Value;

/// A request to the API of a forge, below its base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) method: Method,
    /// The parts of the path, as they are: whoever asks escapes them.
    pub(super) path: Vec<String>,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Option<Value>,
}

impl Call {
    pub(super) fn new(method: Method, path: Vec<String>) -> Self {
        Self { method, path, query: Vec::new(), body: None }
    }

    pub(super) fn with_query(self, query: Vec<(&'static str, String)>) -> Self {
        Self { query, ..self }
    }

    pub(super) fn with_body(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }
}

/// A text of at most so many characters (more than 13), as what it is known by: one that is too long keeps its beginning, and is
/// told from others by its digest.
pub(crate) fn known(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let digest = Digest::of(text.as_bytes()).to_hex();
    format!("{}-{}", text.chars().take(most - 13).collect::<String>(), &digest[..12])
}

/// A text on one line, of at most so many characters: what is cut ends with an ellipsis.
pub(super) fn cut(text: &str, most: usize) -> String {
    let line = text.chars().map(|character| if character.is_control() { ' ' } else { character });
    match text.chars().count() <= most {
        true => line.collect(),
        false => line.take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_told_from_what_begins_like_it() {
        let long = |end: &str| format!("{}{end}", "\u{fc}".repeat(60));
        let (one, other) = (known(&long("1"), 40), known(&long("2"), 40));
        assert_eq!([one.chars().count(), other.chars().count()], [40, 40]);
        assert!(one != other && one.starts_with(&"\u{fc}".repeat(27)));
        assert_eq!(known("buildit/shop", 40), "buildit/shop");
    }
}
