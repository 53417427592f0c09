//! The language: what is read, what is refused and how, and what no text may do.
#![cfg(feature = "kdl")]

mod hostile;
mod includes;
mod language;
mod mistakes;
