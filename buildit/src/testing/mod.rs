//! What a test of a pipeline, an executor or a store needs, for this crate and for those who build on it.
//!
//! - [`Simulation`] plays a pipeline through without running anything: what happens when `deploy` times out?
//! - [`ScriptedExecutor`] does what its [`Script`] says, under a real engine.
//! - [`SimulatedClock`] lets an engine live through days in no time.
//! - [`store`] is the conformance suite of stores: runs, logs, the queue, blobs and caches.
//! - [`executor`] holds the suite that every executor passes.
//! - [`TestHost`] stands where an engine would, to run an executor alone.
//! - [`KillAt`] and [`Recorder`] are fault plans: one dies at a crash point, the other notes which were reached.

mod clock;
pub mod executor;
mod faults;
mod host;
mod script;
mod scripted;
mod simulation;

pub use clock::SimulatedClock;
pub use faults::{Death, KillAt, Recorder};
pub use host::TestHost;
pub use script::{Act, Script};
pub use scripted::ScriptedExecutor;
pub use simulation::{Simulated, Simulation, SimulationError};

pub mod store;
