//! A PostgreSQL server of a lane's own, all processes of which are killed again and again, and which is started anew
//! each time.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User};

/// How long a server may take until it answers.
const LONGEST: Duration = Duration::from_secs(60);

/// What differs from a server's defaults: it is found by its socket alone, it is small, and it syncs what it says is
/// durable.
const SETTINGS: [&str; 4] = ["listen_addresses=", "fsync=on", "shared_buffers=16MB", "max_connections=60"];

/// A server that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    folder: tempfile::TempDir,
    course: Arc<Course>,
    keeper: Option<JoinHandle<()>>,
}

/// What happens when it has ended.
#[derive(Debug, Default)]
struct Course {
    /// How long it is down before it is started anew, in milliseconds.
    down: AtomicU64,
    is_over: AtomicBool,
}

impl Server {
    /// Makes a cluster in a temporary folder, and serves it.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        if let Some(owner) = owner() {
            chown(folder.path(), Some(owner.uid.as_raw()), Some(owner.gid.as_raw())).expect("root gives it away");
        }
        let made = command("initdb", folder.path())
            .args(["-U", "buildit", "-E", "UTF8", "--no-locale", "--auth=trust", "--no-sync", "-D"])
            .arg(data(folder.path()))
            .stdout(Stdio::null())
            .status();
        assert!(made.expect("initdb is started").success(), "no cluster was made");
        let course = Arc::new(Course::default());
        let (kept, place) = (Arc::clone(&course), folder.path().to_owned());
        let keeper = Some(std::thread::spawn(move || keep(&kept, &place)));
        let server = Self { folder, course, keeper };
        server.wait();
        server
    }

    /// Where its socket is.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// How long it is down from the next kill on.
    pub(crate) fn stay_down(&self, time: Duration) {
        self.course.down.store(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Waits until it answers.
    pub(crate) fn wait(&self) {
        let begun = Instant::now();
        let answers = || {
            let asked = command("pg_isready", self.folder()).arg("-q").arg("-h").arg(self.folder()).status();
            asked.expect("pg_isready is started").success()
        };
        while !answers() {
            assert!(begun.elapsed() < LONGEST, "the server does not start: {}", said(self.folder()));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.course.is_over.store(true, Ordering::Relaxed);
        kill_all(self.folder());
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}

/// Starts it whenever it has ended.
fn keep(course: &Course, folder: &Path) {
    while !course.is_over.load(Ordering::Relaxed) {
        let log =
            fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).expect("the folder is ours");
        let mut postgres = command("postgres", folder);
        postgres.arg("-D").arg(data(folder)).arg("-k").arg(folder).stderr(log);
        postgres.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
        postgres.status().expect("postgres is started");
        std::thread::sleep(Duration::from_millis(course.down.load(Ordering::Relaxed)));
    }
}

/// Kills each process of the server in this folder.
pub(crate) fn kill_all(folder: &Path) {
    let Some(postmaster) = postmaster(folder) else { return };
    // It starts no other while it stands still.
    let _ = kill(postmaster, Signal::SIGSTOP);
    for process in children(postmaster).into_iter().chain([postmaster]) {
        let _ = kill(process, Signal::SIGKILL);
    }
}

fn postmaster(folder: &Path) -> Option<Pid> {
    let file = fs::read_to_string(data(folder).join("postmaster.pid")).ok()?;
    file.lines().next()?.parse().ok().map(Pid::from_raw)
}

fn children(parent: Pid) -> Vec<Pid> {
    let is_child = |process: &Pid| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // After the name, which may hold anything: the state, and the parent.
        let parent_of = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
        parent_of == Some(parent.as_raw())
    };
    let all = fs::read_dir("/proc").expect("processes are listed").flatten();
    let all = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Pid::from_raw));
    all.filter(is_child).collect()
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn said(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap_or_default()
}

/// Whose server it is: not root's, which it refuses.
fn owner() -> Option<User> {
    let of_root = || User::from_name("postgres").expect("users are listed").expect("there is a user for it");
    Uid::effective().is_root().then(of_root)
}

/// One of PostgreSQL's programs, which ends with whoever started it.
fn command(program: &str, folder: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).current_dir(folder);
    if owner().is_some() {
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    }
    command.arg("--").arg(programs().join(program));
    command
}

/// The folder of the newest version, as Debian has it.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL's programs are installed").flatten();
    let newest = versions
        .map(|entry| entry.path())
        .max_by_key(|path| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()).unwrap_or_default());
    newest.expect("a version of PostgreSQL is installed").join("bin")
}
