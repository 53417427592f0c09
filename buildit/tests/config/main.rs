//! The language: what is read, what is refused and how, and what no text may do.
#![expect(clippy::unwrap_used, reason = "what does not open here fails the test")]
#![cfg(feature = "kdl")]

mod hostile;
mod includes;
mod language;
mod mistakes;
