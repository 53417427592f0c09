//! A row that was read.

use std::any::type_name;
use std::collections::VecDeque;

use buildit::store::StoreError;

use super::value::{Column, Value};

/// The values of a row, which are taken one after another.
#[derive(Clone, Debug)]
pub(crate) struct Row(VecDeque<Value>);

impl FromIterator<Value> for Row {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

impl Row {
    /// The next value.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] when it is none of this type.
    pub(super) fn take<T: Column>(&mut self) -> Result<T, StoreError> {
        let value = self.0.pop_front().and_then(T::from_value);
        value.ok_or_else(|| StoreError::Corrupt(format!("a column is no {}", type_name::<T>())))
    }
}
