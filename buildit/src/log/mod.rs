//! From the bytes that a job writes to the lines that are stored (guarantee G3): [`LogWriter`].
//!
//! Bytes arrive in pieces that end anywhere. They are put together to whole lines for each output, masked, numbered
//! in the order in which they become whole, and stored in chunks of many lines, each chunk with the time at which its
//! last piece was read. With every append goes the cursor: the raw offset behind the last line that is stored, of
//! each output. So an engine that is started again begins to read there, and each line is stored once.
//!
//! What the stored text is: the raw bytes, `\r` and bytes that are no UTF-8 included, with secrets masked. Masks keep
//! line ends. A line without an end gets one when the log is flushed. A line of more than [`MAX_LINE`] bytes is stored
//! as several.
//!
//! A job may have a limit. What is beyond is read, so that the job is never held up, and left out, but for its last
//! [`TAIL`] bytes, which are stored at the end behind a notice.
//!
//! Once a run is closed, [`upkeep()`] removes, moves and indexes its logs.

mod lane;
mod limit;
#[cfg(test)]
mod tests;
mod upkeep;
mod writer;

pub use lane::MAX_LINE;
pub use limit::TAIL;
pub use upkeep::{DamagedLogs, Upkeep, upkeep};
pub use writer::{LogObserver, LogOptions, LogWriter};
