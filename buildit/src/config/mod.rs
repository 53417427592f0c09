//! KDL text to [`PipelineSpec`](crate::pipeline::PipelineSpec), with the place of everything.
//!
//! [`parse`] reads a text and [`load`] a file; both give a [`KdlPipeline`], or an [`InvalidPipeline`] with all
//! findings at once. Whatever the language does not know is an error with a stable code and a hint: nothing is ignored.

mod cache;
mod document;
mod env;
mod findings;
mod format;
mod head;
mod lines;
mod loader;
mod node;
mod older;
mod options;
mod param;
mod pipeline;
mod place;
mod report;
mod seen;
mod shape;
mod source;
mod stage;
mod syntax;
mod trigger;
mod units;
#[cfg(feature = "kdl-v1")]
mod v1;
mod values;

pub use format::{FormatError, format};
pub use loader::{MemorySources, SourceError, SourceLoader, SourceTree};
pub use options::{Limits, Options};
pub use pipeline::{InvalidPipeline, KdlPipeline, load, parse};
pub use report::Report;
pub use seen::ParseCache;
pub use source::{Source, Sources};
