//! Jobs as processes of this host (Linux), which outlive the engine that started them.
//!
//! [`LocalBackend`] under [`Durable`] is the executor `local`; [`executor`] makes it.
//!
//! - A job lives in a folder of its own in the state folder, for this user alone, until its outcome is durable. Its
//!   output is there in clear text: it is masked on its way into the log (guarantee G4).
//! - It runs in a session of its own under a small wrapper of `sh` builtins, which makes a claim that can be made
//!   only once, runs the commands in one shell (`set -e`, no `pipefail`; the wrapper's own
//!   when they are plain words) and writes their exit code to a file. So an
//!   engine that comes back finds the job, its output without a gap, and how it ended (guarantees G1 to G3).
//! - While a job runs, the workspace of the one that follows it is filled with the run's source, in a half-made job that
//!   nobody owns until the next is made. What is not taken goes with the run.
//! - Of the engine's environment it inherits `PATH`, `HOME`, `USER`, `LANG`, `LC_*`, `TZ`, `TMPDIR` and
//!   `SSH_AUTH_SOCK`; a cacheable job only `PATH`, `HOME`, `USER` and `TMPDIR`: where the host's tools are, which are no
//!   part of what its result is [made of](buildit::cached). The engine sets `BUILDIT_OUTPUT`, `BUILDIT_SUMMARY` and `BUILDIT_WORKSPACE`, then come the
//!   variables of the job, then its secrets. The files of the first two are made by the first write to them.
//! - What still runs when the commands have ended is killed: the process group at once, what has left it when the run
//!   is reaped at the latest, found by the `BUILDIT_JOB_ID` in its environment. A process that has both left the
//!   session and thrown its environment away is beyond reach.
//! - With a delegated control group ([`Cgroup`]) each job has one of its own: its `resources` are limited, and no
//!   process of it is beyond reach. Without, `resources` are refused.
//! - A request to stop sends SIGTERM to all processes of the job, once. The shell then ends when the command that it
//!   waits for does.
//!
//! A job is as safe as a program that its user starts: it can read and change what that user can. What takes the
//! engine's control group or its PID namespace down (`KillMode=control-group` of systemd, the end of a container)
//! takes its jobs along: then they are `lost`.

mod ahead;
mod backend;
mod cgroup;
mod children;
mod environment;
mod follow;
mod host;
mod outcome;
mod plain;
mod process;
mod removal;
mod script;
mod shell;
mod spawn;
mod spool;
mod supports;
mod tree;

use std::path::Path;

pub use backend::LocalBackend;
use buildit::durable::Durable;
pub use cgroup::Cgroup;

/// The executor `local`.
pub type LocalExecutor = Durable<LocalBackend>;

/// The executor `local`, whose jobs are kept in this folder. For other options make a [`LocalBackend`].
#[must_use]
pub fn executor(state: impl AsRef<Path>) -> LocalExecutor {
    Durable::new(LocalBackend::new(state))
}
