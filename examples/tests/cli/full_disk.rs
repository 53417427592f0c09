//! The disk of the journal is full, or fails: the run ends with an error that says so, nothing that was written is
//! harmed, and the same command goes on once the disk works again.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{Done, Project};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A small file system of its own, which goes with this.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new() -> Self {
        let disk = Self(tempfile::tempdir().unwrap());
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(disk.0.path()).status();
        assert!(mounted.unwrap().success(), "only root mounts a tmpfs");
        disk
    }

    fn journal(&self) -> PathBuf {
        self.0.path().join("journal")
    }

    /// Leaves no page. What is left of the last page of a file that is there can still be written.
    fn fill(&self) {
        use std::io::Write;
        let mut filler = fs::File::create(self.0.path().join("filler")).unwrap();
        while filler.write_all(&[0; 512]).is_ok() {}
    }

    fn empty(&self) {
        fs::remove_file(self.0.path().join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// What each file below this folder holds, without those that go while it looks.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, found);
            } else if let Ok(content) = fs::read(&path) {
                found.insert(path.strip_prefix(root).unwrap().to_owned(), content);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, folder, &mut found);
    found
}

/// Nothing that stood in a file of runs or logs stands there no more.
#[track_caller]
fn has_only_grown(before: &BTreeMap<PathBuf, Vec<u8>>, after: &BTreeMap<PathBuf, Vec<u8>>) {
    for (path, content) in before {
        let now = after.get(path).unwrap_or_else(|| panic!("{} is gone", path.display()));
        assert!(now.starts_with(content), "{} was overwritten", path.display());
    }
}

/// A pipeline whose second stage tells when it has begun, waits, and prints more than is left of the disk.
const PIPELINE: &str = r##"
    pipeline "p"
    stage "before" { run #"echo before >> "$EFFECTS""# }
    stage "during" {
        needs "before"
        run #"echo during >> "$EFFECTS"; echo go > "$STARTED"; read -r answer < "$GO""#
        run "seq 20000"
    }
    stage "after" { needs "during"; run #"echo after >> "$EFFECTS""# }
"##;

struct Waiting {
    project: Project,
    begun: PathBuf,
    go: PathBuf,
    effects: PathBuf,
}

impl Waiting {
    fn new() -> Self {
        let project = Project::new(PIPELINE);
        let (begun, go) = (project.pipe("started"), project.pipe("go"));
        let effects = project.state().join("effects");
        Self { project, begun, go, effects }
    }

    fn command(&self, journal: &Path) -> Command {
        let pairs = [("STARTED", &self.begun), ("GO", &self.go), ("EFFECTS", &self.effects)];
        let pairs = pairs.map(|(name, path)| format!("{name}={}", path.display()));
        let mut args = vec!["run", "--output", "json", "--journal", journal.to_str().unwrap()];
        pairs.iter().for_each(|pair| args.extend(["--env", pair]));
        let mut command = self.project.command(&args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it again: it goes on, each effect has happened once, and the log is whole.
    fn goes_on(&self, journal: &Path) {
        let done = Done::of(self.command(journal).output().unwrap()).exits(0);
        assert_eq!(fs::read_to_string(&self.effects).unwrap(), "before\nduring\nafter\n", "each happened once (G1)");
        let log: Vec<String> = (1..=20_000).map(|number| number.to_string()).collect();
        assert!(done.log("during") == log, "the log is whole (G3)");
        let seqs: Vec<_> = done.objects().iter().map(|object| object["seq"].as_u64().unwrap()).collect();
        assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    }
}

#[test]
#[ignore = "needs root to mount a tmpfs"]
fn a_full_disk_ends_the_run_and_it_goes_on_when_there_is_space() {
    let (disk, waiting) = (Disk::new(), Waiting::new());
    let child = waiting.command(&disk.journal()).spawn().unwrap();
    assert_eq!(fs::read_to_string(&waiting.begun).unwrap(), "go\n");
    let before = files(&disk.journal());
    disk.fill();
    fs::write(&waiting.go, "go\n").unwrap();
    let done = Done::of(child.wait_with_output().unwrap()).exits(3);
    assert!(done.stderr.contains("No space left on device"), "{}", done.stderr);
    assert!(done.stderr.contains(disk.journal().to_str().unwrap()), "{}", done.stderr);
    has_only_grown(&before, &files(&disk.journal()));

    disk.empty();
    waiting.goes_on(&disk.journal());
}

#[test]
#[ignore = "needs root to mount a tmpfs"]
fn a_signal_ends_the_wait_for_space_and_the_run_is_left_open() {
    // The first asks to end in good order, and the grace period is 10 s; the second kills.
    for (signals, within) in [(1, Duration::from_secs(20)), (2, Duration::from_secs(9))] {
        let (disk, waiting) = (Disk::new(), Waiting::new());
        let mut child = waiting.command(&disk.journal()).spawn().unwrap();
        assert_eq!(fs::read_to_string(&waiting.begun).unwrap(), "go\n");
        let before = files(&disk.journal());
        disk.fill();
        fs::write(&waiting.go, "go\n").unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut told = String::new();
        errors.read_line(&mut told).unwrap();
        assert!(told.starts_with("buildit: ") && told.contains("No space left on device"), "{told}");
        let asked = Instant::now();
        for _ in 0..signals {
            kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
            // Two signals at once may become one, and with a full disk no record tells that the first was seen.
            std::thread::sleep(Duration::from_secs(1));
        }
        let mut rest = String::new();
        errors.read_to_string(&mut rest).unwrap();
        let done = Done::of(child.wait_with_output().unwrap()).exits(3);
        assert!(asked.elapsed() < within, "{:?}", asked.elapsed());
        assert!(!rest.contains("trying again"), "it is told once: {rest}");
        assert!(done.of_type("run_finished").is_empty());
        has_only_grown(&before, &files(&disk.journal()));

        disk.empty();
        let done = Done::of(waiting.command(&disk.journal()).output().unwrap());
        // Whether there was room for the word that the run is cancelled is up to the last page of a file.
        assert!([0, 130].contains(&done.code), "{}", done.stderr);
        assert_eq!(done.of_type("run_started")[0]["number"], 1);
        let log: Vec<String> = (1..=20_000).map(|number| number.to_string()).collect();
        assert!(done.log("during") == log, "the log is whole (G3)");
        assert!(fs::read_to_string(&waiting.effects).unwrap().starts_with("before\nduring\n"));
    }
}

#[test]
#[ignore = "needs root to mount a tmpfs"]
fn space_that_comes_back_soon_is_waited_for() {
    let (disk, waiting) = (Disk::new(), Waiting::new());
    let mut child = waiting.command(&disk.journal()).spawn().unwrap();
    assert_eq!(fs::read_to_string(&waiting.begun).unwrap(), "go\n");
    disk.fill();
    fs::write(&waiting.go, "go\n").unwrap();
    // The job ends by itself, whether or not anybody can store it; then there is space again.
    while child.try_wait().unwrap().is_none() && !log_is_late(&waiting) {
        std::thread::sleep(Duration::from_millis(20));
    }
    disk.empty();
    let done = Done::of(child.wait_with_output().unwrap()).exits(0);
    assert_eq!(done.log("during").len(), 20_000);
    assert_eq!(fs::read_to_string(&waiting.effects).unwrap(), "before\nduring\nafter\n");
}

/// Whether the job has printed everything: it lies in its spool, in the state folder.
fn log_is_late(waiting: &Waiting) -> bool {
    let all = files(waiting.project.state().join("buildit").as_path());
    all.iter().any(|(path, content)| path.ends_with("stdout") && content.ends_with(b"20000\n"))
}

#[test]
#[ignore = "needs root to mount a tmpfs"]
fn a_run_that_cannot_be_recorded_is_refused() {
    let (disk, waiting) = (Disk::new(), Waiting::new());
    fs::create_dir(disk.journal()).unwrap();
    disk.fill();
    let done = Done::of(waiting.command(&disk.journal()).output().unwrap()).exits(3);
    assert!(done.stderr.contains("No space left on device"), "{}", done.stderr);
    assert!(!waiting.effects.exists(), "nothing has started");
}

/// What the kernel could not write it may have dropped, and a second sync would say that all is well (so it was with
/// `PostgreSQL` in 2018): the file is not written to again until it was read anew.
#[test]
#[ignore = "needs strace"]
fn a_failed_sync_ends_the_run_and_it_goes_on() {
    let waiting = Waiting::new();
    let journal = waiting.project.state().join("journal");
    let child = waiting.command(&journal).spawn().unwrap();
    assert_eq!(fs::read_to_string(&waiting.begun).unwrap(), "go\n");
    let before = files(&journal);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO"]);
    let mut strace = strace.args(["-p", &child.id().to_string()]).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    let mut lines = BufReader::new(strace.stderr.take().unwrap());
    lines.read_line(&mut said).unwrap();
    assert!(said.contains("attached"), "{said}");
    let rest = std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));

    fs::write(&waiting.go, "go\n").unwrap();
    let done = Done::of(child.wait_with_output().unwrap()).exits(3);
    assert!(done.stderr.contains("could not be synced earlier (Input/output error"), "{}", done.stderr);
    has_only_grown(&before, &files(&journal));
    let _ = strace.kill();
    strace.wait().unwrap();
    rest.join().unwrap().unwrap();

    waiting.goes_on(&journal);
}
