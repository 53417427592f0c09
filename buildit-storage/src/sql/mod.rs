//! What the stores on a database share: what goes into their columns, what comes out of them, and what is refused. Pure.

mod append;
mod archive;
mod definition;
mod frame;
mod garbage;
mod lease;
mod line;
mod page;
mod projection;
mod result;
mod schema;
mod search;
mod share;
mod stored;
mod upkeep;
mod words;

pub(crate) use append::{check_events, check_lines};
pub(crate) use archive::{Frame, FrameRow, archived, frames, read_frames};
pub(crate) use definition::Definitions;
pub(crate) use frame::{decode, encode};
pub(crate) use garbage::{ASKED_AT_ONCE, digests};
#[cfg(feature = "sqlite")]
pub(crate) use lease::token_of;
pub(crate) use lease::{claimed_until, is_larger};
pub(crate) use line::{Scope, Wanted, is_listed_at_once, wanted};
#[cfg(feature = "sqlite")]
pub(crate) use page::encode_aside;
pub(crate) use page::{LinesRow, PageReader, TRIES, rows_of, text_bytes};
#[cfg(feature = "sqlite")]
pub(crate) use projection::{ProductRow, StageRow};
pub(crate) use projection::{carried_products, products, stage_rows};
pub(crate) use result::{ResultRow, in_order, salt};
pub(crate) use schema::migrate;
pub(crate) use search::{Block, Candidate, Index, search};
pub(crate) use share::{Plan, share};
pub(crate) use stored::Stored;
pub(crate) use upkeep::{ClosedLog, ClosedLogs, archive_all, index_all};
pub(crate) use words::{count, from_json, millis, number, run_status, to_json};
#[cfg(feature = "sqlite")]
pub(crate) use words::{from_text, to_text};
