//! The process that is killed: an engine with a store of its own, which takes up what it finds and starts a run when
//! there is none.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buildit::config;
use buildit::engine::{Engine, RunHandle, StartOptions};
use buildit::event::{Approval, EventBody, RunStatus};
use buildit::executor::Executor;
use buildit::fault::{CrashPoint, FaultPlan};
use buildit::id::JobId;
use buildit::pipeline::RunContext;
use buildit::store::RunFilter;
use futures_util::StreamExt;

use nix::sys::signal::Signal;

use super::matrix::Target;
use super::stores::{Keep, Kept};
use super::{pipelines, stores};

/// Names the case to the child.
pub(crate) const CASE: &str = "BUILDIT_CRASH_CASE";

/// How long its lease holds.
pub(crate) const LEASE: Duration = Duration::from_secs(1);

/// What happens to an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Harm {
    /// It is killed.
    Kill,
    /// It stands still, until another has taken its run over and has ended it.
    Pause,
    /// All its connections to the database are cut.
    #[cfg(feature = "postgres")]
    Cut,
    /// All processes of its database's server are killed, and the server is started anew.
    #[cfg(feature = "postgres")]
    Server,
    /// The disk of its store is full.
    FullDisk,
}

impl Harm {
    /// Does it to this process and its world.
    fn happen(self, folder: &Path) {
        match self {
            // To this very thread: it goes no step further.
            Self::Kill => nix::sys::signal::raise(Signal::SIGKILL).expect("a process may kill itself"),
            Self::Pause => nix::sys::signal::raise(Signal::SIGSTOP).expect("a process may stop itself"),
            #[cfg(feature = "postgres")]
            Self::Cut => stores::cut(folder),
            #[cfg(feature = "postgres")]
            Self::Server => stores::kill_server(folder),
            Self::FullDisk => super::disk::fill(folder),
        }
        std::fs::File::create(harmed(folder)).expect("this folder is not on the store's disk");
    }

    /// Whether it is over before an engine gives up.
    pub(crate) fn is_short(self) -> bool {
        #[cfg(feature = "postgres")]
        return self == Self::Cut;
        #[cfg(not(feature = "postgres"))]
        false
    }
}

/// What a child is to do.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Case {
    pub(crate) folder: PathBuf,
    pub(crate) target: Target,
    pub(crate) keep: Keep,
    pub(crate) sample: String,
    /// What happens to it, at the crash point of this name, when it is reached for the how-manieth time.
    pub(crate) harm: Option<(Harm, String, usize)>,
    /// Whether it works on the queue until it is killed, beside another one.
    pub(crate) is_rival: bool,
}

pub(crate) fn state(folder: &Path) -> PathBuf {
    folder.join("state")
}

pub(crate) fn effects(folder: &Path) -> PathBuf {
    folder.join("effects").join("noted")
}

fn record_of(folder: &Path) -> PathBuf {
    folder.join("reached")
}

/// Whether the engine of this world was harmed, and lives.
pub(crate) fn is_harmed(folder: &Path) -> bool {
    harmed(folder).exists()
}

fn harmed(folder: &Path) -> PathBuf {
    folder.join("harmed")
}

/// How often each crash point was reached by a child that was not killed.
pub(crate) fn recorded(folder: &Path) -> Vec<(CrashPoint, usize)> {
    let text = std::fs::read_to_string(record_of(folder)).unwrap_or_default();
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    text.lines().for_each(|line| *times.entry(line).or_default() += 1);
    CrashPoint::ALL.into_iter().filter_map(|point| Some((point, *times.get(format!("{point:?}").as_str())?))).collect()
}

/// Acts as the child when this process was started as one, and does not return then.
pub(crate) fn run_if_asked() {
    let Ok(case) = std::env::var(CASE) else { return };
    let case: Case = serde_json::from_str(&case).expect("the matrix wrote it");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let status = runtime.block_on(drive(case));
    std::process::exit(i32::from(status != RunStatus::Succeeded));
}

async fn drive(case: Case) -> RunStatus {
    if case.is_rival {
        super::rivals::work(&case).await;
    }
    std::fs::create_dir_all(effects(&case.folder).parent().expect("a file in a folder")).expect("the folder is ours");
    let Kept { store, blobs, caches } = stores::open(case.keep, &case.folder).await;
    let engine = Engine::builder()
        .executor(executor(&case).await)
        .store(store.clone())
        .blobs(blobs)
        .caches(caches)
        .faults(Arc::new(Killer::new(&case)))
        .lease(LEASE)
        .build()
        .expect("the engine's parts fit");
    let mut runs = engine.resume().await.expect("open runs are taken up");
    // On a server, the lease of an engine that was killed ends by its time alone.
    while runs.is_empty() && !store.open_runs().await.expect("open runs are listed").is_empty() {
        tokio::time::sleep(LEASE / 20).await;
        runs = engine.resume().await.expect("open runs are taken up");
    }
    if runs.is_empty() && store.runs(&RunFilter::default(), 1).await.expect("runs are listed").is_empty() {
        let text = pipelines::named(&case.sample).kdl(case.target);
        let pipeline = config::parse("sample.kdl", &text, &config::Options::default()).expect("the sample is valid");
        let mut context = RunContext::manual();
        let noted = match case.target {
            Target::Local => effects(&case.folder).to_string_lossy().into_owned(),
            Target::Docker => "/effects/noted".to_owned(),
        };
        context.env.insert("EFFECTS".into(), noted);
        runs.push(engine.start(&pipeline, StartOptions::new(context)).await.expect("the run starts"));
    }
    for run in &runs {
        tokio::spawn(approve_all(run.clone()));
        run.wait().await.expect("the run is driven to its end");
    }
    engine.shutdown().await;
    store.runs(&RunFilter::default(), 1).await.expect("runs are listed")[0].status
}

async fn executor(case: &Case) -> Arc<dyn Executor> {
    let state = state(&case.folder);
    match case.target {
        Target::Local => super::executors::local(&state),
        Target::Docker => super::executors::docker(effects(&case.folder).parent().expect("a file in a folder")).await,
    }
}

/// Answers whatever asks, until the run ends; a reader whose store is away for a while goes on where it was.
async fn approve_all(run: RunHandle) {
    let mut events = run.events();
    let mut seen = 0;
    while let Some(event) = events.next().await {
        let Ok(event) = event else {
            tokio::time::sleep(LEASE / 20).await;
            events = run.events_after(seen);
            continue;
        };
        seen = event.seq;
        if let EventBody::ApprovalRequested { stage, .. } = event.body {
            // An answer that an earlier engine stored already is refused, which is fine.
            drop(run.approve(&stage, Approval::yes("matrix").with_field("note", "go")).await);
        }
    }
}

/// Harms this process at its point, or notes every point that is reached.
#[derive(Debug)]
struct Killer {
    harm: Option<(Harm, String, usize)>,
    folder: PathBuf,
    reached: Mutex<(BTreeMap<CrashPoint, usize>, std::fs::File)>,
}

impl Killer {
    fn new(case: &Case) -> Self {
        let record =
            OpenOptions::new().create(true).append(true).open(record_of(&case.folder)).expect("the folder is ours");
        Self { harm: case.harm.clone(), folder: case.folder.clone(), reached: Mutex::new((BTreeMap::new(), record)) }
    }
}

impl FaultPlan for Killer {
    fn reach(&self, point: CrashPoint, _: Option<&JobId>) {
        let mut reached = self.reached.lock().expect("nothing panics under this lock");
        let (times, record) = &mut *reached;
        let times = times.entry(point).or_default();
        *times += 1;
        match &self.harm {
            Some((harm, name, nth)) if *name == format!("{point:?}") && times == nth => harm.happen(&self.folder),
            Some(_) => {}
            None => writeln!(record, "{point:?}").expect("the record is written"),
        }
    }
}
