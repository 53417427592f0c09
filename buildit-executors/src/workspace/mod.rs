//! Workspaces: what is laid out for a job before it starts and gathered after it has ended, on every executor.
//!
//! Archives (tar) travel between stages through the blob store, by their content's address. Making one gives the
//! same bytes for the same files; reading one applies every guard (guarantee G7) before anything is written:
//!
//! | what an archive may hold | refused |
//! |---|---|
//! | relative paths, folders, plain files | `..`, absolute paths, a NUL in a name, anything behind a link |
//! | symbolic links within the tree; anywhere for a [source or cache](Links::Anywhere) | links out of the tree |
//! | further names of its own files | names of files outside, or that come later |
//! | up to its [`Limits`] | more entries or bytes, names beyond 64 KiB |
//! | | devices, fifos, sparse files, what is unknown |
//!
//! An executor that has folders uses [`lay_out`], [`Folders`] and [`harvest`]; one that talks in tar streams (a
//! container engine) implements [`JobFiles`] and uses [`read_archive`], [`refit`] and [`Selection`].

mod caches;
mod error;
mod folder;
mod guard;
mod harvest;
mod layout;
mod merge;
mod outputs;
mod pack;
mod read;
mod refit;
mod select;
mod stream;
mod unpack;

pub use caches::{Base, CachePath, pack_cache, place_of, unpack_cache};
pub use error::{ArchiveError, WorkspaceError};
pub use folder::Folders;
pub use guard::{Links, link_stays_inside, safe_path};
pub use harvest::{Archived, JobFile, JobFiles, MAX_REPORT, harvest, is_kept};
#[cfg(feature = "docker")]
pub(crate) use layout::seen;
pub use layout::{check_conflicts, lay_out};
#[cfg(feature = "local")]
pub(crate) use layout::{lay_out_source, lay_over};
pub use merge::merge_archives;
pub use outputs::{MAX_OUTPUT_FILE, MAX_OUTPUT_VALUE, MAX_SUMMARY, OutputError, parse_outputs, read_summary};
pub(crate) use pack::open_plain;
pub use pack::{Packer, Times};
pub use read::{Entry, Kind, Limits, read_archive};
pub use refit::{Refitted, refit};
pub use select::Selection;
pub(crate) use select::slashed;
pub use stream::{PieceWriter, load_archive, store_archive};
pub use unpack::unpack;
