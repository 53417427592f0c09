//! Jobs in control groups: in real ones where this host lets us make them, and in a folder that stands in for one.

use std::path::{Path, PathBuf};

use buildit::durable::Durable;
use buildit::executor::Executor;
use buildit::job::{Cause, JobOutcome, JobSpec, Status, Stream};
use buildit::pipeline::ResourceSpec;
use buildit_executors::local::{Cgroup, LocalBackend};

use crate::World;
use crate::host::{job, job_with};

/// A group of this test's own, which goes with it.
struct Group(PathBuf);

impl Group {
    /// Fails the test where there is no version 2, or it is not ours to change.
    fn new(name: &str) -> Self {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mount = mounts.lines().find(|line| line.contains(" - cgroup2 ")).expect("cgroup v2 is mounted");
        let mount = Path::new(mount.split(' ').nth(4).unwrap());
        let folder = mount.join(format!("buildit-{name}-{}", std::process::id()));
        if let Err(error) = std::fs::create_dir(&folder) {
            panic!("this user may not make a control group in {}: {error}", mount.display());
        }
        Self(folder)
    }

    fn is_empty(&self) -> bool {
        !std::fs::read_dir(&self.0).unwrap().flatten().any(|entry| entry.path().is_dir())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

fn world_in(group: &Path) -> World {
    let mut world = World::new();
    let backend = LocalBackend::new(world.state.path()).with_cgroup(Cgroup::open(group).unwrap());
    world.executor = Durable::new(backend);
    world
}

#[tokio::test]
#[ignore = "needs a cgroup v2 that this user may change"]
async fn no_process_of_a_job_in_a_group_is_beyond_reach() {
    let group = Group::new("reach");
    let world = world_in(&group.0);
    // It has left the session, and thrown away the mark that it would be found by.
    let job = job(&["grep ^0:: /proc/self/cgroup; setsid env -i sleep 1234.5 >/dev/null 2>&1 & echo $!"]);
    assert_eq!(world.run(&job).await, JobOutcome::succeeded());
    let text = world.host.text(Stream::Stdout);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.iter().any(|line| line.ends_with(&job.id.backend_name())), "{text}");
    world.leaves_nothing(&job).await;
    assert!(group.is_empty());
    let left = std::process::Command::new("pgrep").args(["-f", "sleep 1234.5"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "");
}

#[tokio::test]
#[ignore = "needs a cgroup v2 with its controllers that this user may change"]
async fn a_job_over_its_memory_ends_with_that_cause() {
    let group = Group::new("memory");
    let job = job_with(&["tail /dev/zero"], |stage| {
        stage.resources = ResourceSpec { memory_bytes: Some(16 << 20), cpu_millis: Some(500) };
    });
    let world = world_in(&group.0);
    world.executor.supports(&job).expect("the group has the controllers `memory` and `cpu`");
    let outcome = world.run(&job).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Failed, Some(Cause::Oom)), "{outcome:?}");
    world.leaves_nothing(&job).await;
    assert!(group.is_empty());
}

#[tokio::test]
async fn a_job_enters_its_group_before_it_runs_or_does_not_run() {
    let group = tempfile::tempdir().unwrap();
    for file in ["cgroup.controllers", "cgroup.subtree_control"] {
        std::fs::write(group.path().join(file), "cpu memory").unwrap();
    }
    let limited = |text| job_with(&[text], |stage| stage.resources.memory_bytes = Some(1 << 30));
    let world = world_in(group.path());
    let (entered, barred) = (limited("cat $GROUP"), limited("echo ran"));
    for job in [&entered, &barred] {
        assert!(world.executor.supports(job).is_ok());
    }
    // What the kernel makes with a group.
    let made = |job: &JobSpec| {
        let folder = group.path().join(job.id.backend_name());
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("memory.max"), "max").unwrap();
        folder
    };
    let folder = made(&entered);
    let mut entered = entered;
    entered.variables.insert("GROUP".into(), format!("{0}/cgroup.procs {0}/memory.max", folder.display()));
    assert_eq!(world.run(&entered).await, JobOutcome::succeeded());
    assert_eq!(world.host.text(Stream::Stdout), "0\n1073741824");

    std::fs::create_dir(made(&barred).join("cgroup.procs")).unwrap();
    let outcome = world.run(&barred).await;
    assert_eq!((outcome.cause, outcome.exit_code), (Some(Cause::Start), None), "{outcome:?}");
    assert_eq!(outcome.message.as_deref(), Some("it could not enter its control group"));
    assert_eq!(world.host.text(Stream::Stdout), "0\n1073741824");
}
