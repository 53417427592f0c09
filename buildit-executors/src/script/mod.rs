//! What a stage's commands become: one shell script with a mark before each command, and the way back from the output
//! that holds such marks to the lines that people see.
//!
//! A mark is a line that begins with a control character (RS) and a nonce of the attempt. The script writes it to both
//! outputs before each command, so that the command's echo, which the reader puts in its place, stands before all of
//! its output and after all that came before, although the two outputs are read independently of each other.

mod compose;
mod marks;
mod output;
mod quote;
mod section;

pub(crate) use compose::{compose, foreign_commands};
#[cfg(feature = "docker")]
pub(crate) use marks::Ending;
pub(crate) use marks::{Marks, Outputs};
#[cfg(all(feature = "local", target_os = "linux"))]
pub(crate) use output::LookAhead;
pub(crate) use output::Output;
#[cfg(feature = "docker")]
pub(crate) use quote::quoted;
#[cfg(all(feature = "local", target_os = "linux"))]
pub(crate) use quote::quoted_path;
