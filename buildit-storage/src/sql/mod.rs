//! What the stores on a database share: what goes into their columns, and what comes out of them. Pure.

mod frame;
mod projection;
mod words;

pub(crate) use frame::{decode, encode};
pub(crate) use projection::{ProductRow, StageRow, products, stage_rows};
pub(crate) use words::{check_append, count, from_json, number, run_status, to_json};
#[cfg(feature = "sqlite")]
pub(crate) use words::{from_text, to_text};
