//! A first pipeline for a folder, from what lies in it.

mod detect;
mod draft;
mod makefile;
mod package;

pub(crate) use detect::detect;
