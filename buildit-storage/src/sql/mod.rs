//! What the stores on a database share: what goes into their columns, what comes out of them, and what is refused. Pure.

mod append;
mod frame;
mod lease;
mod page;
mod projection;
mod result;
mod schema;
mod share;
mod words;

pub(crate) use append::{check_events, check_lines};
pub(crate) use frame::{decode, encode};
pub(crate) use lease::{claimed_until, is_larger, token_of};
pub(crate) use page::{PageReader, encode_aside, text_bytes};
#[cfg(feature = "sqlite")]
pub(crate) use projection::{ProductRow, StageRow};
pub(crate) use projection::{products, stage_rows};
pub(crate) use result::{ResultRow, in_order, salt};
pub(crate) use schema::migrate;
pub(crate) use share::{Plan, share};
pub(crate) use words::{count, from_json, number, run_status, to_json};
#[cfg(feature = "sqlite")]
pub(crate) use words::{from_text, to_text};
