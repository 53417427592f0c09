//! Traces of runs for a collector of OpenTelemetry.
//!
//! ```text
//! engine ── its store ── a run is about to be closed ─► remembered as one to be told of
//!                                                           │
//! any server ◄── takes what is due, each for a while ───────┘
//!    │ rebuilds the spans from the run's record
//!    └─ OTLP over HTTP, in protobuf ─► the collector
//! ```
//!
//! A run is a trace, its stages are spans below it, and their attempts below these, each with the times that are in the record
//! and the names that OpenTelemetry has for pipelines (`cicd.*`). That a run is to be told of is remembered before it is closed,
//! and forgotten when the collector has it, or will not: a server that is killed loses none, nor does a collector that is down for
//! less than some seven hours. Ids follow from the
//! run's, so one that is sent again is the same trace.

mod collector;
mod parent;
mod span;
mod work;

pub(crate) use collector::Collector;
pub use collector::CollectorError;
pub(crate) use parent::{Parent, VARIABLE};
pub(crate) use work::work;
