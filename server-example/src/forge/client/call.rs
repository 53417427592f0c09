//! What a forge is asked, and what it answers.

use axum::http::Method;
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

/// A text on one line, of at most so many characters: what is cut ends with an ellipsis.
pub(super) fn cut(text: &str, most: usize) -> String {
    let line = text.chars().map(|character| if character.is_control() { ' ' } else { character });
    match text.chars().count() <= most {
        true => line.collect(),
        false => line.take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}
