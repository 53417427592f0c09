//! A clause: one thing that a store must do.

use std::fmt::{self, Debug};
use std::pin::Pin;
use std::sync::Arc;

use crate::artifact::BlobError;
use crate::store::StoreError;

/// How a clause is tried.
pub(super) type Check = Pin<Box<dyn Future<Output = Result<(), Broken>> + Send>>;

/// One thing that a store of kind `S` must do.
pub struct Clause<S: ?Sized> {
    name: &'static str,
    check: fn(Arc<S>) -> Check,
}

impl<S: ?Sized> Clause<S> {
    pub(super) fn new(name: &'static str, check: fn(Arc<S>) -> Check) -> Self {
        Self { name, check }
    }

    /// What it demands, in words joined by `_`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Tries it on a store that is empty.
    ///
    /// # Errors
    ///
    /// The [`Violation`], when the store does otherwise.
    pub async fn check(&self, store: Arc<S>) -> Result<(), Violation> {
        (self.check)(store).await.map_err(|broken| Violation { clause: self.name, what: broken.0 })
    }
}

impl<S: ?Sized> Clone for Clause<S> {
    fn clone(&self) -> Self {
        Self { name: self.name, check: self.check }
    }
}

impl<S: ?Sized> Debug for Clause<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clause").field(&self.name).finish()
    }
}

/// A store does not do what a clause demands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{clause}: {what}")]
pub struct Violation {
    /// The clause's name.
    pub clause: &'static str,
    /// What the store did.
    pub what: String,
}

/// Why a clause does not hold.
#[derive(Debug)]
pub(super) struct Broken(pub(super) String);

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Self(format!("unexpected error: {error} ({error:?})"))
    }
}

impl From<BlobError> for Broken {
    fn from(error: BlobError) -> Self {
        Self(format!("unexpected error: {error} ({error:?})"))
    }
}

/// Requires a condition.
macro_rules! ensure {
    ($holds:expr, $($what:tt)+) => {
        if !$holds {
            return Err($crate::testing::store::clause::Broken(format!($($what)+)));
        }
    };
}

/// Requires two values to be equal.
macro_rules! ensure_eq {
    ($left:expr, $right:expr, $what:expr) => {
        // A `match`, so that what the two borrow lives long enough.
        match (&$left, &$right) {
            (left, right) => {
                $crate::testing::store::clause::ensure!(left == right, "{}: {left:?} instead of {right:?}", $what);
            }
        }
    };
}

/// Requires a result to be an error of this form.
macro_rules! ensure_refused {
    ($result:expr, $error:pat, $what:expr) => {{
        let result = $result;
        $crate::testing::store::clause::ensure!(
            matches!(result, Err($error)),
            "{}: {result:?} instead of {}",
            $what,
            stringify!($error)
        );
    }};
}

/// Makes the list of the functions that are a file's clauses.
macro_rules! clauses {
    ($($name:ident),+ $(,)?) => {
        vec![$($crate::testing::store::Clause::new(stringify!($name), |store| Box::pin($name(store)))),+]
    };
}

pub(super) use {clauses, ensure, ensure_eq, ensure_refused};
