//! A statement with what is bound to it.

use std::fmt;

use buildit::store::StoreError;

use super::value::{Column, Value};

/// A statement of this text.
pub(crate) fn sql(text: &'static str) -> Query {
    Query { text, values: Vec::new(), taken: None, missing: None }
}

/// A statement and its values, in the order of its parameters.
#[derive(Clone)]
pub(crate) struct Query {
    pub(crate) text: &'static str,
    pub(crate) values: Vec<Value>,
    taken: Option<String>,
    missing: Option<String>,
}

impl Query {
    /// Binds the next parameter.
    pub(super) fn bind(mut self, value: impl Column) -> Self {
        self.values.push(value.into_value());
        self
    }

    /// What is taken when something else is there that ought to be unique.
    pub(super) fn or_taken(self, what: String) -> Self {
        Self { taken: Some(what), ..self }
    }

    /// What is missing when it refers to something that is not there.
    pub(super) fn or_missing(self, what: String) -> Self {
        Self { missing: Some(what), ..self }
    }

    /// Why the database refuses it; `None` when the database failed instead.
    pub(crate) fn refusal(&self, error: &sqlx::Error) -> Option<StoreError> {
        let said = error.as_database_error()?;
        match (&self.taken, &self.missing) {
            (Some(what), _) if said.is_unique_violation() => Some(StoreError::Taken(what.clone())),
            (_, Some(what)) if said.is_foreign_key_violation() => Some(StoreError::NotFound(what.clone())),
            _ => None,
        }
    }
}

/// Without its values, which may let somebody in.
impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Query").field(&self.text).finish()
    }
}
