//! The folder of a journaled [`MemoryStore`](super::MemoryStore).
//!
//! | path | what | synced |
//! |---|---|---|
//! | `FORMAT` | the format's number | when it is made |
//! | `LOCK` | locked while a process has the folder open; its id | - |
//! | `runs/ID` | a run: what it was started with, its events, its leases | before a write returns |
//! | `logs/ID/DIGEST-ATTEMPT` | a job's log | no: it outlives the process, and the machine within seconds |
//! | `logs/ID/DIGEST-ATTEMPT.removed` | where a log ended whose lines were removed | before the lines go |
//! | `blobs/XX/DIGEST` | a blob | before it gets this name |
//! | `queue` | what changed the queue, and what is asked of runs | before a write returns |
//! | `requests` | which request made which run | before a write returns |
//! | `schedules` | when pipelines run by the clock | before a write returns |
//! | `notifications` | channels, and what is to be sent to them | before a write returns |
//! | `caches` | the keys of caches | no: they may be lost |
//! | `secrets` | sealed secrets | before a write returns |
//! | `accounts` | users, organizations, tenants, and what lets in by its hash | before a write returns |
//! | `audit` | the audit log | before a write returns |
//! | `index` | for each run what a list shows, so that finished runs need not be read | no: it follows from `runs/` |
//! | `tmp/` | blobs that are being written; emptied on opening | - |
//!
//! Every file but blobs only ever grows, by frames with checksums. What a crash leaves at the end of a file is no
//! whole frame and is cut off; it was never confirmed to anybody. A bad frame before the end is damage of another
//! kind: it is reported, and nothing is written.

mod blob_folder;
mod change_file;
mod error;
mod file;
mod folder;
mod frame;
mod index;
mod log_file;
mod log_frame;
#[cfg(test)]
mod pipeline_tests;
mod run_file;
mod run_logs;
mod sync;
#[cfg(test)]
mod tests;

pub(super) use blob_folder::BlobFolder;
pub(super) use change_file::ChangeFile;
pub(super) use folder::Folder;
pub(super) use index::{Index, IndexEntry};
pub(super) use run_file::{EventReader, RunFile, StoredRun};
pub(super) use run_logs::{FileLogs, IsNew};
pub(super) use sync::sync;
