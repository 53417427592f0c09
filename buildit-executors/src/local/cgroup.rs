//! What a job may use, and the surest way to kill all of it: a control group (version 2) for each job.
//!
//! The engine makes the groups below one that was delegated to it; a job's wrapper enters its group itself, with a
//! builtin, before anything of the job runs, so that nothing has to happen between a fork and an exec.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use buildit::id::{JobId, RunId};
use buildit::pipeline::ResourceSpec;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What limits processor time and memory.
const CONTROLLERS: [&str; 2] = ["cpu", "memory"];

/// The period that processor time is counted in, in microseconds: the kernel's own default.
const PERIOD: u64 = 100_000;

/// The shortest time of a period, in microseconds, that the kernel takes.
const SHORTEST: u64 = 1000;

/// How often it is tried to remove a group whose processes were killed and are not gone yet: for a second in all.
const TRIES: u32 = 500;
const PAUSE: Duration = Duration::from_millis(2);

/// A control group (version 2) in which this process may make others.
///
/// No process may be in it: only the groups below it have any. A service of systemd gets such a group by `Delegate=yes`
/// with `DelegateSubgroup=engine`; [`delegated`](Self::delegated) finds it.
#[derive(Clone, Debug)]
pub struct Cgroup {
    folder: PathBuf,
    /// What can be limited below.
    controllers: Vec<&'static str>,
}

impl Cgroup {
    /// The group of this folder, such as `/sys/fs/cgroup/buildit`. The controllers for processor time and memory are
    /// passed on to the groups below, as far as it has them.
    ///
    /// # Errors
    ///
    /// [`io::Error`] when it is no such group, or not for this user to change.
    pub fn open(folder: impl AsRef<Path>) -> io::Result<Self> {
        let folder = folder.as_ref().to_owned();
        let known = words(&folder.join("cgroup.controllers"))?;
        let controllers: Vec<_> =
            CONTROLLERS.into_iter().filter(|name| known.iter().any(|word| word == name)).collect();
        let passed_on = words(&folder.join("cgroup.subtree_control"))?;
        let missing = controllers.iter().filter(|name| !passed_on.iter().any(|word| word == *name));
        let missing: Vec<String> = missing.map(|name| format!("+{name}")).collect();
        if !missing.is_empty() {
            set(&folder.join("cgroup.subtree_control"), &missing.join(" "))?;
        }
        rustix::fs::access(&folder, rustix::fs::Access::WRITE_OK)?;
        Ok(Self { folder, controllers })
    }

    /// The group above this process's own, when systemd has delegated it.
    #[must_use]
    pub fn delegated() -> Option<Self> {
        let read = |path| fs::read_to_string(path).ok();
        let own = folder_of(&read("/proc/self/cgroup")?, &read("/proc/self/mountinfo")?)?;
        Self::above(&own)
    }

    fn above(own: &Path) -> Option<Self> {
        let folder = own.parent()?;
        let mut mark = [0; 8];
        let length = rustix::fs::getxattr(folder, "user.delegate", &mut mark).ok()?;
        if mark.get(..length)? != b"1" {
            return None;
        }
        Self::open(folder).inspect_err(|error| tracing::debug!(%error, "the delegated control group is of no use")).ok()
    }

    /// What is asked for and cannot be limited here.
    pub(super) fn lacks(&self, resources: &ResourceSpec) -> Option<&'static str> {
        let asked = [resources.cpu_millis.is_some(), resources.memory_bytes.is_some()];
        let wanted = CONTROLLERS.into_iter().zip(asked).filter(|(_, asked)| *asked);
        wanted.map(|(name, _)| name).find(|name| !self.controllers.contains(name))
    }

    /// The group of a job.
    pub(super) fn of(&self, job: &JobId) -> JobGroup {
        JobGroup(self.folder.join(job.backend_name()))
    }

    /// The groups of a run that there are.
    pub(super) fn of_run(&self, run: RunId) -> Vec<JobGroup> {
        let prefix = JobId::backend_prefix(run);
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let groups = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
        groups.map(|entry| JobGroup(entry.path())).collect()
    }
}

/// The group of one job.
#[derive(Clone, Debug)]
pub(super) struct JobGroup(PathBuf);

impl JobGroup {
    /// Makes the group with its limits.
    pub(super) fn make(&self, resources: &ResourceSpec) -> io::Result<()> {
        match fs::create_dir(&self.0) {
            // Made by an engine that died before the job had its name.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        limits(resources).into_iter().try_for_each(|(file, limit)| match set(&self.0.join(file), &limit) {
            // A kernel without swap has no file for it.
            Err(error) if file == NO_SWAP && error.kind() == io::ErrorKind::NotFound => Ok(()),
            written => written,
        })
    }

    /// Where a process writes `0` to enter the group.
    pub(super) fn entry(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }

    /// Kills all that is in the group, at once, whatever it is doing; before Linux 5.14 one after the other, until none
    /// is left. No group is none.
    pub(super) fn kill(&self) {
        match set(&self.0.join("cgroup.kill"), "1") {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                for _ in 0..TRIES {
                    let members = fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
                    let mut ids = members.lines().filter_map(|id| id.parse().ok()).filter(|&id| id > 1).peekable();
                    if ids.peek().is_none() {
                        return;
                    }
                    ids.for_each(|id| {
                        let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
                    });
                    std::thread::sleep(PAUSE);
                }
            }
            Err(error) => tracing::warn!(%error, group = %self.0.display(), "a control group cannot be killed"),
            Ok(()) => {}
        }
    }

    /// Whether the kernel had to kill any of it for want of memory.
    pub(super) fn ran_out_of_memory(&self) -> bool {
        fs::read_to_string(self.0.join("memory.events")).is_ok_and(|events| has_oom(&events))
    }

    /// Kills what is in the group and removes it, with groups that the job may have made. What is gone is fine.
    pub(super) fn remove(&self) -> io::Result<()> {
        self.kill();
        for _ in 0..TRIES {
            match remove_groups(&self.0) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => std::thread::sleep(PAUSE),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                removed => return removed,
            }
        }
        remove_groups(&self.0)
    }
}

/// The file that keeps a job over its limit from slowing the host down instead of ending.
const NO_SWAP: &str = "memory.swap.max";

/// Writes into a file of a group. It is never made: where the kernel has none, that would be refused with an error
/// that says nothing.
fn set(file: &Path, value: &str) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(file)?.write_all(value.as_bytes())
}

/// What is written into which file.
fn limits(resources: &ResourceSpec) -> Vec<(&'static str, String)> {
    let mut limits = Vec::new();
    if let Some(millis) = resources.cpu_millis {
        let time = (u64::from(millis) * PERIOD / 1000).max(SHORTEST);
        limits.push(("cpu.max", format!("{time} {PERIOD}")));
    }
    if let Some(bytes) = resources.memory_bytes {
        limits.push(("memory.max", bytes.to_string()));
        limits.push((NO_SWAP, "0".to_owned()));
    }
    limits
}

fn has_oom(events: &str) -> bool {
    let killed = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
    killed.and_then(|count| count.trim().parse::<u64>().ok()).is_some_and(|count| count > 0)
}

/// The folder of a process's group, from its `/proc/…/cgroup` and `/proc/…/mountinfo`; `None` without version 2.
fn folder_of(cgroup: &str, mountinfo: &str) -> Option<PathBuf> {
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mount =
        mountinfo.lines().find(|line| line.split(" - ").nth(1).is_some_and(|kind| kind.starts_with("cgroup2 ")))?;
    let mut fields = mount.split(' ').skip(3);
    let (root, point) = (fields.next()?, fields.next()?);
    let below = Path::new(path).strip_prefix(root).ok()?;
    Some(Path::new(point).join(below))
}

fn words(path: &Path) -> io::Result<Vec<String>> {
    Ok(fs::read_to_string(path)?.split_whitespace().map(str::to_owned).collect())
}

/// The files of a group are no files that could be removed: they go with their folder.
fn remove_groups(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&entry.path())?;
        }
    }
    fs::remove_dir(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that stands in for a group with these controllers.
    fn stand_in(folder: &Path, controllers: &str) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("cgroup.controllers"), controllers).unwrap();
        fs::write(folder.join("cgroup.subtree_control"), "").unwrap();
    }

    fn resources(cpu_millis: Option<u32>, memory_bytes: Option<u64>) -> ResourceSpec {
        ResourceSpec { cpu_millis, memory_bytes }
    }

    #[test]
    fn limits_are_in_the_kernels_units() {
        let limits = |cpu, memory| limits(&resources(cpu, memory));
        assert_eq!(limits(Some(1500), None), [("cpu.max", "150000 100000".to_owned())]);
        assert_eq!(limits(Some(1), None), [("cpu.max", "1000 100000".to_owned())]);
        assert_eq!(limits(Some(u32::MAX), None), [("cpu.max", "429496729500 100000".to_owned())]);
        let memory = [("memory.max", "2147483648".to_owned()), ("memory.swap.max", "0".to_owned())];
        assert_eq!(limits(None, Some(2 << 30)), memory);
        assert_eq!(limits(None, None), []);
    }

    #[test]
    fn a_group_is_found_where_it_is_mounted() {
        let mounts = "25 1 0:23 / /sys/fs/cgroup rw,nosuid - tmpfs tmpfs rw\n\
            33 25 0:29 / /sys/fs/cgroup/unified rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
        let own = folder_of("9:name=systemd:/x\n0::/system.slice/ci.service/engine\n", mounts);
        assert_eq!(own, Some("/sys/fs/cgroup/unified/system.slice/ci.service/engine".into()));
        assert_eq!(folder_of("4:memory:/x\n", mounts), None);
        assert_eq!(folder_of("0::/a\n", ""), None);
        let inner = "33 25 0:29 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        assert_eq!(folder_of("0::/docker/1/x\n", inner), Some("/sys/fs/cgroup/x".into()));
        assert_eq!(folder_of("0::/elsewhere\n", inner), None);
    }

    #[test]
    fn the_group_above_is_used_when_it_is_delegated() {
        let root = tempfile::tempdir().unwrap();
        stand_in(root.path(), "cpuset cpu io memory pids\n");
        let own = root.path().join("engine");
        fs::create_dir(&own).unwrap();
        assert!(Cgroup::above(&own).is_none());
        rustix::fs::setxattr(root.path(), "user.delegate", b"1", rustix::fs::XattrFlags::empty()).unwrap();
        let group = Cgroup::above(&own).unwrap();
        assert_eq!(group.lacks(&resources(Some(1), Some(1))), None);
        let passed_on = fs::read_to_string(root.path().join("cgroup.subtree_control")).unwrap();
        assert_eq!(passed_on, "+cpu +memory");
    }

    #[test]
    fn what_cannot_be_limited_is_named() {
        let root = tempfile::tempdir().unwrap();
        stand_in(root.path(), "cpu hugetlb\n");
        let group = Cgroup::open(root.path()).unwrap();
        assert_eq!(group.lacks(&resources(Some(1), Some(1))), Some("memory"));
        assert_eq!(group.lacks(&resources(Some(1), None)), None);
        assert!(Cgroup::open(root.path().join("no-such")).is_err());
    }

    #[test]
    fn the_groups_of_a_run_are_made_with_their_limits_and_found() {
        let root = tempfile::tempdir().unwrap();
        stand_in(root.path(), "cpu memory\n");
        let group = Cgroup::open(root.path()).unwrap();
        let job = JobId { run: RunId::new(), stage: "a".into(), attempt: 1 };
        let folder = root.path().join(job.backend_name());
        let limits = resources(Some(500), Some(1024));
        // The files are the kernel's: without them there is no limit, and that is said.
        assert_eq!(group.of(&job).make(&limits).unwrap_err().kind(), io::ErrorKind::NotFound);
        // One without swap has no file for it.
        ["cpu.max", "memory.max"].iter().for_each(|file| fs::write(folder.join(file), "").unwrap());
        group.of(&job).make(&limits).unwrap();
        let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
        assert_eq!((read("cpu.max"), read("memory.max")), ("50000 100000".into(), "1024".into()));
        assert!(!folder.join("memory.swap.max").exists());
        assert_eq!(group.of_run(job.run).len(), 1);
        assert_eq!(group.of_run(RunId::new()).len(), 0);
        fs::write(folder.join("memory.events"), "low 0\noom 1\noom_kill 1\n").unwrap();
        assert!(group.of(&job).ran_out_of_memory());
        // As before Linux 5.14: the members one after the other, and none is no reason to wait.
        fs::write(folder.join("cgroup.procs"), "").unwrap();
        group.of(&job).kill();
        assert!(!folder.join("cgroup.kill").exists());
        assert!(!has_oom("oom 1\noom_kill 0\noom_group_kill 0\n") && !has_oom(""));
    }
}
