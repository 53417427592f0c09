//! One run's world: its engines' processes, and what is done to them.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use buildit::id::RunId;
use buildit::store::RunFilter;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::check;
use super::child::{self, CASE, Case, Harm, LEASE};
use super::disk::{self, Disk};
use super::lane::Lane;
use super::matrix::{Outage, Place, Spot};
use super::pipelines::Sample;
use super::stores::{self, Kept};

/// How often a run is resumed before it counts as lost.
const MOST_RESTARTS: usize = 3;

/// How long an engine may take with a run before it counts as stuck; it takes seconds.
const STUCK: Duration = Duration::from_mins(3);

/// How often it is looked at what a process did.
const LOOK: Duration = Duration::from_millis(2);

/// The folder of one run: store, spool, and the file that its jobs write.
#[derive(Debug)]
pub(crate) struct World<'lane> {
    place: Place,
    lane: &'lane Lane,
    /// Goes before the folder that it is mounted in.
    _disk: Option<Disk>,
    folder: tempfile::TempDir,
}

/// What followed when an engine was harmed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Harmed {
    /// How long it took from then on until the run had ended, and every engine.
    pub(crate) took: Duration,
    /// How many other engines it took.
    pub(crate) restarts: usize,
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        // A test that has failed says why, and no more.
        if !std::thread::panicking() {
            stores::remove(self.place.keep, self.folder());
        }
    }
}

impl<'lane> World<'lane> {
    pub(crate) fn new(place: Place, lane: &'lane Lane) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        lane.furnish(folder.path());
        let disk = (place.harm == Harm::FullDisk).then(|| Disk::mount(folder.path()));
        Self { place, lane, _disk: disk, folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn spawn(&self, sample: &Sample, spot: Option<&Spot>) -> Child {
        let case = Case {
            folder: self.folder().to_owned(),
            target: self.place.target,
            keep: self.place.keep,
            sample: sample.name.to_owned(),
            harm: spot.map(|spot| (self.place.harm, format!("{:?}", spot.point), spot.nth)),
            is_rival: false,
        };
        let mut command = Command::new(std::env::current_exe().expect("this test's own path"));
        command.args(["engine_process", "--exact", "--nocapture", "--test-threads=1", "--quiet"]);
        command.env(CASE, serde_json::to_string(&case).expect("a case is plain data"));
        command.stdout(Stdio::null());
        if spot.is_some() {
            // What it says when it is harmed is not of interest, only what it does.
            command.stderr(Stdio::null());
        }
        command.spawn().expect("this test can be started again")
    }

    /// Runs the pipeline undisturbed, or takes up what is there.
    pub(crate) fn engine(&self, sample: &Sample, what: &str) -> ExitStatus {
        ended(self.spawn(sample, None), what)
    }

    /// Does the harm of this place, and has the run ended; `None` when the run ended before the point was reached.
    pub(crate) fn harm(&self, spot: &Spot, what: &str) -> Option<Harmed> {
        match self.place.harm {
            Harm::Kill => self.killed(spot, what),
            Harm::Pause => self.paused(spot, what),
            _ => self.disturbed(spot, what),
        }
    }

    /// An engine that is killed, and others until one has ended the run; when the first one died.
    fn killed(&self, spot: &Spot, what: &str) -> Option<Harmed> {
        let status = ended(self.spawn(&spot.sample, Some(spot)), what);
        if status.success() {
            return None;
        }
        // Which of two parallel jobs reaches a point as the n-th differs between runs, not that one does.
        assert_eq!(status.signal(), Some(9), "{what}: the engine was to die there, and ended with {status}");
        let since = Instant::now();
        let restarts = self.resumed(&spot.sample, what);
        Some(Harmed { took: since.elapsed(), restarts })
    }

    /// How many engines it took until one has ended the run.
    fn resumed(&self, sample: &Sample, what: &str) -> usize {
        for restart in 1..=MOST_RESTARTS {
            let status = self.engine(sample, what);
            if status.success() {
                return restart;
            }
            eprintln!("{what}: restart {restart} ended with {status}");
        }
        panic!("{what}: not ended after {MOST_RESTARTS} restarts");
    }

    /// An engine that stands still, and another that ends its run; then the first one goes on, and does no harm.
    fn paused(&self, spot: &Spot, what: &str) -> Option<Harmed> {
        let first = self.spawn(&spot.sample, Some(spot));
        let pid = Pid::from_raw(first.id().cast_signed());
        let stopped = waitid(Id::Pid(pid), WaitPidFlag::WSTOPPED | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        if !matches!(stopped, Ok(WaitStatus::Stopped(..))) {
            let status = ended(first, what);
            assert!(status.success(), "{what}: it was not to be harmed, and ended with {status}");
            return None;
        }
        let since = Instant::now();
        let mut second = self.spawn(&spot.sample, None);
        // It may stand in the middle of a write, which on SQLite keeps everybody out.
        let status = until(&mut second, || since.elapsed() > LEASE * 8);
        kill(pid, Signal::SIGCONT).expect("it is our child");
        let status = status.unwrap_or_else(|| ended(second, what));
        // Whose run was taken over says so, and ends as it likes.
        ended(first, what);
        let restarts = if status.success() { 1 } else { 1 + self.resumed(&spot.sample, what) };
        Some(Harmed { took: since.elapsed(), restarts })
    }

    /// An engine from which its store is taken away for a while. It goes on, or others do.
    fn disturbed(&self, spot: &Spot, what: &str) -> Option<Harmed> {
        self.lane.prepare(spot.outage);
        let mut engine = self.spawn(&spot.sample, Some(spot));
        let status = until(&mut engine, || child::is_harmed(self.folder()));
        if !child::is_harmed(self.folder()) {
            let status = status.expect("it has ended, or was harmed");
            assert!(status.success(), "{what}: it was not to be harmed, and ended with {status}");
            return None;
        }
        let since = Instant::now();
        if self.place.harm == Harm::FullDisk {
            self.give_space_back(&mut engine, spot.outage);
        }
        let status = ended(engine, what);
        self.lane.wait();
        // That a run is done with may not have been noted: whoever comes next does so.
        let restarts = if status.success() && self.is_closed() { 0 } else { self.resumed(&spot.sample, what) };
        assert!(restarts == 0 || !self.place.harm.is_short(), "{what}: the engine ended with {status}");
        Some(Harmed { took: since.elapsed(), restarts })
    }

    /// While the engine waits for it; or after the engine has ended by itself, or was killed.
    fn give_space_back(&self, engine: &mut Child, outage: Outage) {
        let full = Instant::now();
        let ended = until(engine, || full.elapsed() > outage.time());
        if ended.is_none() && outage == Outage::Long {
            engine.kill().expect("it is our child");
            engine.wait().expect("it is our child");
        }
        disk::empty(self.folder());
    }

    fn is_closed(&self) -> bool {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let Kept { store, .. } = stores::open(self.place.keep, self.folder()).await;
            store.open_runs().await.expect("open runs are listed").is_empty()
        })
    }

    /// Counts: every side effect once, every log line once and in order, no remains. What happened, without when.
    pub(crate) fn check(&self, sample: &Sample, what: &str) -> Vec<String> {
        check::effects(&child::effects(self.folder()), sample, what);
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let (run, happened) = runtime.block_on(self.check_store(sample, what));
        check::remains(self.folder(), self.place.target, run, what);
        happened
    }

    async fn check_store(&self, sample: &Sample, what: &str) -> (RunId, Vec<String>) {
        let Kept { store, .. } = stores::open(self.place.keep, self.folder()).await;
        let runs = store.runs(&RunFilter::default(), 10).await.expect("the runs are listed");
        assert_eq!(runs.len(), 1, "{what}: one run");
        let run = runs[0].id;
        assert!(store.open_runs().await.expect("open runs are listed").is_empty(), "{what}: the run is closed");
        (run, check::run(&*store, run, sample, what).await)
    }
}

/// Waits until this holds, or the child has ended: then how.
fn until(child: &mut Child, holds: impl Fn() -> bool) -> Option<ExitStatus> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return Some(status);
        }
        if holds() || begun.elapsed() > STUCK {
            return None;
        }
        std::thread::sleep(LOOK);
    }
}

/// How a child ended. One that is stuck is killed, and fails the test: it would hold up all others for good.
fn ended(mut child: Child, what: &str) -> ExitStatus {
    until(&mut child, || false).unwrap_or_else(|| {
        child.kill().expect("it is our child");
        panic!("{what}: the engine was stuck for {STUCK:?}");
    })
}
