//! The processes of a job: finding and killing them.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::environment::JOB_ID;

/// Which processes are meant, by the variable in their environment.
#[derive(Clone, Copy, Debug)]
pub(super) enum Of<'a> {
    /// Those of this job.
    Job(&'a str),
    /// Those of all jobs whose names begin so.
    Jobs(&'a str),
}

/// A round of killing can meet a process that has just made another; this many rounds outrun any that does not fork
/// for the sake of it.
const ROUNDS: usize = 100;

/// A descriptor of this process, which can be read once it has ended; `None` when it is gone already.
pub(super) fn watch(id: i32) -> io::Result<Option<OwnedFd>> {
    let Some(pid) = rustix::process::Pid::from_raw(id).filter(|_| id > 0) else { return Ok(None) };
    match rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::NONBLOCK) {
        Ok(descriptor) => Ok(Some(descriptor)),
        Err(rustix::io::Errno::SRCH) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether the process of this id belongs to what is meant.
pub(super) fn belongs(id: i32, of: Of<'_>) -> bool {
    let Ok(environment) = fs::read(format!("/proc/{id}/environ")) else { return false };
    environment.split(|&byte| byte == 0).any(|variable| {
        let value = variable.strip_prefix(JOB_ID.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        value.is_some_and(|value| match of {
            Of::Job(name) => value == name.as_bytes(),
            Of::Jobs(prefix) => value.starts_with(prefix.as_bytes()),
        })
    })
}

/// The processes of what is meant, but for this one. Those of other users cannot be told and are left out.
pub(super) fn all(of: Of<'_>) -> Vec<i32> {
    let own = std::process::id().cast_signed();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    ids.filter(|&id| id != own && belongs(id, of)).collect()
}

/// Since when the machine runs, as the times of processes are counted.
pub(super) fn since_boot() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(now.tv_sec.cast_unsigned(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

/// Whether the process is a child of `parent`, began after `since`, and would end at this signal if it got it: it
/// neither catches nor ignores nor blocks it.
pub(super) fn would_end(id: i32, parent: i32, since: Duration, signal: Signal) -> bool {
    let read = |file: &str| fs::read_to_string(format!("/proc/{id}/{file}")).unwrap_or_default();
    let status = read("status");
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    if field("PPid").and_then(|id| id.parse().ok()) != Some(parent) {
        return false;
    }
    let bit = 1_u64 << (signal as i32 - 1);
    let takes =
        |mask| field(mask).and_then(|mask| u64::from_str_radix(mask, 16).ok()).is_some_and(|mask| mask & bit == 0);
    if !["SigBlk", "SigIgn", "SigCgt"].into_iter().all(takes) {
        return false;
    }
    // What follows the name, which may hold anything: the 22nd field of all is the 20th of these.
    let stat = read("stat");
    let ticks = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().nth(19)?.parse::<u64>().ok());
    let rate = rustix::param::clock_ticks_per_second().max(1);
    ticks.is_some_and(|ticks| Duration::from_millis(ticks.saturating_mul(1000) / rate) >= since)
}

/// Sends a signal to each process of what is meant, once, and says how many there were.
pub(super) fn signal(of: Of<'_>, signal: Signal) -> usize {
    let found = all(of);
    for &id in &found {
        let _ = kill(Pid::from_raw(id), signal);
    }
    found.len()
}

/// Sends a signal to the group that this process leads. The caller knows that the id still means that process: it is
/// a child that nobody has waited for, or carries the job's mark.
pub(super) fn signal_group(leader: i32, signal: Signal) {
    if leader > 1 {
        let _ = killpg(Pid::from_raw(leader), signal);
    }
}

/// Kills each process of what is meant until none is left.
pub(super) fn kill_all(of: Of<'_>) {
    for _ in 0..ROUNDS {
        if signal(of, Signal::SIGKILL) == 0 {
            return;
        }
        std::thread::yield_now();
    }
}
