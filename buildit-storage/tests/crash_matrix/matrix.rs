//! The parent: enumerates the crash points, harms and restarts children, and counts.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use buildit::fault::CrashPoint;
use buildit::id::{JobId, RunId};
use buildit::job::Stream;
use buildit::store::{RunFilter, Store};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::child::{self, Case, Harm};
use super::pipelines::{self, Sample};
use super::stores::{self, Keep, Kept};

/// Where the jobs run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Target {
    Local,
    Docker,
}

impl Target {
    /// Whether jobs there come to this point: hosts have no services.
    fn meets(self, point: CrashPoint) -> bool {
        self == Self::Docker || point != CrashPoint::ServicesReady
    }
}

/// One column of the matrix.
#[derive(Clone, Copy, Debug)]
struct Place {
    target: Target,
    keep: Keep,
}

/// How often a run is resumed before it counts as lost.
const MOST_RESTARTS: usize = 3;
/// How long an engine may take with a run before it counts as stuck; it takes seconds.
const STUCK: Duration = Duration::from_mins(3);

/// How many worlds there are at once: on a server, and for an engine that stands still, most of the time is a wait for the
/// end of a lease.
fn at_once(place: Place, harm: Harm) -> usize {
    match (place.target, place.keep, harm) {
        (Target::Docker, ..) => 1,
        (_, Keep::Journal | Keep::Sqlite, Harm::Kill) => 2,
        _ => 6,
    }
}

/// Does this harm at every crash point of every pipeline, and prints the row that the README's table shows.
pub(crate) fn run(target: Target, keep: Keep, harm: Harm) {
    let place = Place { target, keep };
    let mut points = Vec::new();
    for sample in pipelines::all(target) {
        for (point, times) in record(place, &sample) {
            // In how many pieces a log comes is up to the backend: no more than one for each job is certain.
            let certain = if point == CrashPoint::LogStored { times.min(sample.effects.len()) } else { times };
            points.extend((1..=certain).map(|nth| (sample, point, nth)));
        }
    }
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..at_once(place, harm) {
            scope.spawn(|| {
                while let Some((sample, point, nth)) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let took = harm_at(place, sample, harm, *point, *nth);
                    done.lock().expect("nothing panics under this lock").extend(took.map(|took| (*point, took)));
                }
            });
        }
    });
    let done = done.into_inner().expect("nothing panics under this lock");
    let mut hit: BTreeMap<CrashPoint, usize> = BTreeMap::new();
    done.iter().for_each(|(point, _)| *hit.entry(*point).or_default() += 1);
    let mut took: Vec<Duration> = done.iter().map(|(_, took)| *took).collect();
    took.sort();
    let (jobs, kept) = (format!("{target:?}").to_lowercase(), format!("{keep:?}"));
    let (median, most) = (took[took.len() / 2].as_millis(), took[took.len() - 1].as_millis());
    println!(
        "crash matrix: | {jobs} | {kept} | {harm:?} | {} | 0 | 0 | whole | nothing | {median} ms ({most} ms) |",
        done.len()
    );
    println!("{hit:?}");
    for point in CrashPoint::ALL.into_iter().filter(|point| target.meets(*point)) {
        assert!(hit.contains_key(&point), "{point:?} was never hit");
    }
}

/// Runs the pipeline undisturbed and tells how often each crash point was reached.
fn record(place: Place, sample: &Sample) -> Vec<(CrashPoint, usize)> {
    let world = World::new(place.keep);
    let status = world.child(place, sample, None);
    assert!(status.success(), "{} undisturbed: {status}", sample.name);
    world.check(place, sample, "undisturbed");
    child::recorded(world.folder())
}

/// Harms the engine at one point, has the run ended, checks the world, and tells how long that took from the harm on;
/// `None` when the run ended before the point was reached so often.
fn harm_at(place: Place, sample: &Sample, harm: Harm, point: CrashPoint, nth: usize) -> Option<Duration> {
    let world = World::new(place.keep);
    let what = format!("{} {harm:?} at {point:?} #{nth}", sample.name);
    let case = Some((harm, point, nth));
    let ended = match harm {
        Harm::Kill => world.killed(place, sample, case, &what),
        Harm::Pause => world.paused(place, sample, case, &what),
        Harm::Cut => world.cut(place, sample, case, &what),
    };
    world.check(place, sample, &what);
    let took = ended.map(|harmed| harmed.elapsed());
    assert!(took.is_some() || point == CrashPoint::LogStored, "{what}: the point was not reached");
    took
}

/// What happens to a child, and when.
type Planned = Option<(Harm, CrashPoint, usize)>;

/// The folder of one run: store, spool, and the file that its jobs write.
struct World(tempfile::TempDir, Keep);

impl Drop for World {
    fn drop(&mut self) {
        // A test that has failed says why, and no more.
        if !std::thread::panicking() {
            stores::remove(self.1, self.folder());
        }
    }
}

impl World {
    fn new(keep: Keep) -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"), keep)
    }

    fn folder(&self) -> &Path {
        self.0.path()
    }

    fn effects(&self) -> PathBuf {
        child::effects(self.folder())
    }

    fn command(&self, place: Place, sample: &Sample, harm: Planned) -> Command {
        let case = Case {
            folder: self.folder().to_owned(),
            target: place.target,
            keep: place.keep,
            sample: sample.name.to_owned(),
            harm: harm.map(|(harm, point, nth)| (harm, format!("{point:?}"), nth)),
            is_rival: false,
        };
        let mut command = Command::new(std::env::current_exe().expect("this test's own path"));
        command.args(["engine_process", "--exact", "--nocapture", "--test-threads=1", "--quiet"]);
        command.env(child::CASE, serde_json::to_string(&case).expect("a case is plain data"));
        command.stdout(Stdio::null());
        command
    }

    fn child(&self, place: Place, sample: &Sample, harm: Planned) -> ExitStatus {
        let child = self.command(place, sample, harm).spawn().expect("this test can be started again");
        ended(child, &format!("{} {harm:?}", sample.name))
    }

    /// An engine that is killed, and others until one has ended the run; when the first one died.
    fn killed(&self, place: Place, sample: &Sample, harm: Planned, what: &str) -> Option<Instant> {
        let status = self.child(place, sample, harm);
        if status.success() {
            return None;
        }
        // Which of two parallel jobs reaches a point as the n-th differs between runs, not that one does.
        assert_eq!(status.signal(), Some(9), "{what}: the engine was to die there, and ended with {status}");
        let died = Instant::now();
        for restart in 1.. {
            assert!(restart <= MOST_RESTARTS, "{what}: not ended after {MOST_RESTARTS} restarts");
            let status = self.child(place, sample, None);
            if status.success() {
                return Some(died);
            }
            eprintln!("{what}: restart {restart} ended with {status}");
        }
        None
    }

    /// An engine that stands still, and another that ends its run; then the first one goes on, and does no harm.
    fn paused(&self, place: Place, sample: &Sample, harm: Planned, what: &str) -> Option<Instant> {
        let first = self.command(place, sample, harm).stderr(Stdio::null()).spawn().expect("this test can be started");
        let pid = Pid::from_raw(first.id().cast_signed());
        let stopped = waitid(Id::Pid(pid), WaitPidFlag::WSTOPPED | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        if !matches!(stopped, Ok(WaitStatus::Stopped(..))) {
            let status = ended(first, what);
            assert!(status.success(), "{what}: it was not to be harmed, and ended with {status}");
            return None;
        }
        let stopped = Instant::now();
        let mut second = self.command(place, sample, None).spawn().expect("this test can be started again");
        // It may stand in the middle of a write, which on SQLite keeps everybody out.
        let status = loop {
            match second.try_wait().expect("it is our child") {
                Some(status) => break Some(status),
                None if stopped.elapsed() > child::LEASE * 8 => break None,
                None => std::thread::sleep(child::LEASE / 50),
            }
        };
        kill(pid, Signal::SIGCONT).expect("it is our child");
        let status = status.unwrap_or_else(|| ended(second, what));
        // Whose run was taken over says so, and ends as it likes.
        ended(first, what);
        if !status.success() {
            let third = self.child(place, sample, None);
            assert!(third.success(), "{what}: the run was not ended: {status}, then {third}");
        }
        Some(stopped)
    }

    /// An engine whose connections are cut, and which goes on.
    fn cut(&self, place: Place, sample: &Sample, harm: Planned, what: &str) -> Option<Instant> {
        let begun = Instant::now();
        let status = self.child(place, sample, harm);
        assert!(status.success(), "{what}: the engine ended with {status}");
        Some(begun)
    }

    /// Counts: every side effect once, every log line once and in order, no remains.
    fn check(&self, place: Place, sample: &Sample, what: &str) {
        check_effects(&self.effects(), sample, what);
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let run = runtime.block_on(self.check_store(place.keep, sample, what));
        self.check_remains(place.target, run, what);
    }

    async fn check_store(&self, keep: Keep, sample: &Sample, what: &str) -> RunId {
        let Kept { store, .. } = stores::open(keep, self.folder()).await;
        let runs = store.runs(&RunFilter::default(), 10).await.expect("the runs are listed");
        assert_eq!(runs.len(), 1, "{what}: one run");
        let run = runs[0].id;
        assert!(store.open_runs().await.expect("open runs are listed").is_empty(), "{what}: the run is closed");
        check_run(&*store, run, sample, what).await;
        run
    }

    fn check_remains(&self, target: Target, run: RunId, what: &str) {
        let spool: Vec<_> = std::fs::read_dir(child::state(self.folder()))
            .map(|entries| entries.flatten().map(|entry| entry.path()).filter(|path| is_remains(path)).collect())
            .unwrap_or_default();
        assert!(spool.is_empty(), "{what}: left behind {spool:?}");
        let folder = self.folder().to_string_lossy().into_owned();
        let alive: Vec<String> = processes_that_hold(&folder);
        assert!(alive.is_empty(), "{what}: still alive {alive:?}");
        if target == Target::Docker {
            for kind in [&["ps", "-a"][..], &["network", "ls"], &["volume", "ls"]] {
                let filter = format!("name={}", JobId::backend_prefix(run));
                let output = Command::new("docker").args(kind).args(["-q", "--filter", &filter]).output();
                let left = output.expect("docker is asked").stdout;
                assert!(left.is_empty(), "{what}: docker {kind:?} {}", String::from_utf8_lossy(&left));
            }
        }
    }
}

/// How a child ended. One that is stuck is killed, and fails the test: it would hold up all others for good.
pub(crate) fn ended(mut child: Child, what: &str) -> ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return status;
        }
        if begun.elapsed() > STUCK {
            child.kill().expect("it is our child");
            panic!("{what}: the engine was stuck for {STUCK:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Every side effect once.
pub(crate) fn check_effects(noted: &Path, sample: &Sample, what: &str) {
    let noted = std::fs::read_to_string(noted).unwrap_or_default();
    let mut noted: Vec<&str> = noted.lines().collect();
    noted.sort_unstable();
    assert_eq!(noted, sample.effects, "{what}: side effects");
}

/// A whole record that replays, and every log line once and in order.
pub(crate) async fn check_run(store: &dyn Store, run: RunId, sample: &Sample, what: &str) {
    let page = store.events(run, 0, usize::MAX).await.expect("the events are read");
    assert!(page.events.iter().map(|event| event.seq).eq(1..=page.last_seq), "{what}: no gap in the events");
    let record = store.run(run).await.expect("the run is read");
    child::check_replay(&record, &page.events);

    let mut jobs = store.logs_of_run(run).await.expect("the logs are listed");
    jobs.sort();
    let mut expected: Vec<String> = jobs.iter().map(|job| format!("{}#{}", job.stage, job.attempt)).collect();
    expected.sort();
    assert_eq!(expected, sample.effects, "{what}: each job that ran has a log");
    for job in &jobs {
        let log = store.read_log(job, 0, usize::MAX).await.expect("the log is read");
        let lines: Vec<_> = log.chunks.iter().flat_map(|chunk| chunk.iter().collect::<Vec<_>>()).collect();
        assert!(lines.iter().map(|line| line.line).eq(1..=log.last_line), "{what}: {job}: no gap in the lines");
        for (stream, word) in [(Stream::Stdout, "out"), (Stream::Stderr, "err")] {
            let printed: Vec<&str> =
                lines.iter().filter(|line| line.stream == stream).map(|line| line.text.as_str()).collect();
            let whole: Vec<String> = (1..=20).map(|number| format!("{word} {number}")).collect();
            assert_eq!(printed, whole, "{what}: {job}: {stream:?}");
        }
    }
}

/// A folder of the state folder that holds anything of a job.
fn is_remains(path: &Path) -> bool {
    path.is_dir() && std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some())
}

/// Processes, but this one, whose environment names this world.
fn processes_that_hold(folder: &str) -> Vec<String> {
    let own = std::process::id().to_string();
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()) && *pid != own)
        .filter(|pid| {
            std::fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environ| String::from_utf8_lossy(&environ).contains(folder))
        })
        .collect()
}
