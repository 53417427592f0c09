//! Drawings of a graph that are for the command line: levels as text, and a picture.

mod columns;
mod svg;
mod text;

pub(crate) use svg::svg;
pub(crate) use text::text;
