//! Lists, a page at a time.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::problem::Problem;

/// How many items a page has when nobody says.
const USUAL: usize = 50;

/// How many it may have.
const MOST: usize = 200;

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct List<T> {
    /// What is on it, in order.
    pub(crate) items: Vec<T>,
    /// What to give as `cursor` for the next page; null on the last one.
    pub(crate) next: Option<String>,
}

impl<T> List<T> {
    /// The page out of one item more than it holds, if there are so many.
    pub(crate) fn cut(mut items: Vec<T>, most: usize, cursor: impl FnOnce(&T) -> String) -> Self {
        let is_last = items.len() <= most;
        items.truncate(most);
        let next = items.last().filter(|_| !is_last).map(cursor);
        Self { items, next }
    }

    pub(crate) fn map<U>(self, each: impl FnMut(T) -> U) -> List<U> {
        List { items: self.items.into_iter().map(each).collect(), next: self.next }
    }
}

/// Which page of a list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// `next` of the page before; the first page without.
    pub(crate) cursor: Option<String>,
    /// How many items at most: 50 without, 200 at most.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

impl Page {
    /// The page behind this cursor, as long as one is when nobody says.
    pub(crate) fn at(cursor: Option<String>) -> Self {
        Self { cursor, limit: None }
    }

    /// The first page, with so many.
    pub(crate) fn first(limit: usize) -> Self {
        Self { cursor: None, limit: Some(limit) }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit.unwrap_or(USUAL).clamp(1, MOST)
    }

    /// What the cursor names.
    pub(crate) fn after<T: std::str::FromStr>(&self) -> Result<Option<T>, Problem> {
        let parse = |cursor: &String| cursor.parse().map_err(|_| Problem::invalid("`cursor` is not one of this list"));
        self.cursor.as_ref().map(parse).transpose()
    }
}

/// A query string that is told to be wrong as a problem.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<T>(pub(crate) T);

impl<S: Send + Sync, T: serde::de::DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = Query::try_from_uri(&parts.uri).map_err(|error| Problem::invalid(error.body_text()))?;
        Ok(Self(query.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_next_one_when_there_is_more() {
        let page = |items: &[u32]| List::cut(items.to_vec(), 2, u32::to_string);
        assert_eq!(page(&[1]), List { items: vec![1], next: None });
        assert_eq!(page(&[1, 2]), List { items: vec![1, 2], next: None });
        assert_eq!(page(&[1, 2, 3]), List { items: vec![1, 2], next: Some("2".into()) });
    }

    #[test]
    fn a_page_is_never_larger_than_it_may_be() {
        let limits = [None, Some(0), Some(7), Some(usize::MAX)].map(|limit| Page { cursor: None, limit }.limit());
        assert_eq!(limits, [USUAL, 1, 7, MOST]);
    }
}
