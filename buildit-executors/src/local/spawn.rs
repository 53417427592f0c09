//! Starting a job's process without a fork of the engine.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::Pid;

/// `POSIX_SPAWN_SETSID` of glibc and musl, which nix does not name: the new process leads a session of its own. The
/// other ways to get one fork, which takes a hundred milliseconds in a process of two gigabytes.
const SETSID: i32 = 0x80;

/// Starts `program script` in a session of its own, with these outputs and no input. The caller sees to it that the
/// process is waited for. Both outputs stay open in the caller.
pub(super) fn spawn(
    program: &Path,
    script: &Path,
    environment: &[CString],
    stdout: &File,
    stderr: &File,
) -> Result<Pid, Errno> {
    let input = File::open("/dev/null").map_err(errno)?;
    let mut actions = PosixSpawnFileActions::init()?;
    for (file, number) in [(&input, 0), (stdout, 1), (stderr, 2)] {
        actions.add_dup2(file.as_raw_fd(), number)?;
    }
    let mut attributes = PosixSpawnAttr::init()?;
    attributes.set_flags(
        PosixSpawnFlags::from_bits_retain(SETSID)
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK,
    )?;
    // A Rust program ignores SIGPIPE, and whoever started it may have ignored more: a job must not inherit that.
    let mut defaults = SigSet::empty();
    for signal in Signal::iterator().filter(|signal| !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP)) {
        defaults.add(signal);
    }
    attributes.set_sigdefault(&defaults)?;
    attributes.set_sigmask(&SigSet::empty())?;
    let c_string = |path: &Path| CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL);
    let (program, script) = (c_string(program)?, c_string(script)?);
    let arguments: [&CStr; 2] = [&program, &script];
    posix_spawn(program.as_c_str(), &actions, &attributes, &arguments, environment)
}

fn errno(error: io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
