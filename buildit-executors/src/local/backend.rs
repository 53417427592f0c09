//! [`LocalBackend`]: the steps of a job's life.

use std::ffi::{CString, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use buildit::backend::{Backend, CreateError, Created, Stopping};
use buildit::cancel::Stop;
use buildit::executor::{ExecutorError, JobContext, RetryClass, Unsupported};
use buildit::fault::CrashPoint;
use buildit::id::{JobId, RunId};
use buildit::job::{Cause, JobOutcome, JobSpec};
use buildit::kept;
use buildit::pipeline::RunAction;
use nix::errno::Errno;

use super::ahead::{Ahead, Unfinished};
use super::cgroup::{Cgroup, JobGroup};
use super::children::Children;
use super::environment::{self, inherited};
use super::follow::{FollowError, follow};
use super::plain::are_plain;
use super::script::Script;
use super::shell::Program;
use super::spool::{Claim, Spool};
use super::tree::{Tree, stop_missed, stop_tree};
use super::{host, outcome, process, shell, spawn, supports};
use crate::script::{Marks, foreign_commands};
use crate::workspace::{Folders, WorkspaceError, harvest, lay_out, lay_over, safe_path};

/// How much of a job's output may lie in its spool, unread, before the job is stopped until it is read.
const SPOOL_LIMIT: u64 = 256 * 1024 * 1024;

/// The form of the state folder: jobs in `jobs`, each in a folder named by its id.
const STATE_FORM: u32 = 1;

/// How long another engine, which holds a job's lock and has not started it, is waited for.
const START_WAIT: Duration = Duration::from_secs(10);

/// How often a job that has written its exit code is looked at, to be asked to end only if it goes on nevertheless.
const END_LOOKS: usize = 10;

/// The time between two of these looks.
const END_LOOK: Duration = Duration::from_millis(5);

/// Runs jobs as processes of this host, which outlive the engine; see the [module](super).
#[derive(Debug)]
pub struct LocalBackend {
    name: String,
    jobs: PathBuf,
    in_place: Option<PathBuf>,
    keep: bool,
    labels: Vec<String>,
    inherited: Vec<(String, OsString)>,
    boot: String,
    spool_limit: u64,
    cgroup: Option<Cgroup>,
    children: Children,
    ahead: Ahead,
}

impl LocalBackend {
    /// A backend that keeps its jobs in this folder, which is made, for this user alone, when the first job is. A
    /// later engine finds its jobs there.
    #[must_use]
    pub fn new(state: impl AsRef<Path>) -> Self {
        let state = std::path::absolute(&state).unwrap_or_else(|_| state.as_ref().to_owned());
        Self {
            name: "local".into(),
            jobs: state.join("jobs"),
            in_place: None,
            keep: false,
            labels: Vec::new(),
            inherited: inherited(std::env::vars_os()),
            boot: host::boot(),
            spool_limit: SPOOL_LIMIT,
            cgroup: Cgroup::delegated(),
            children: Children::default(),
            ahead: Ahead::default(),
        }
    }

    /// The same under another name.
    #[must_use]
    pub fn with_name(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The same without workspaces: every job runs in this folder, and what one leaves the next one finds. Nothing
    /// is laid out, no cache is restored or saved. The caller sees to it that one job runs at a time, and keeps no results
    /// of cacheable stages, which see every file here.
    #[must_use]
    pub fn with_in_place(self, folder: impl AsRef<Path>) -> Self {
        let folder = std::path::absolute(&folder).unwrap_or_else(|_| folder.as_ref().to_owned());
        Self { in_place: Some(folder), ..self }
    }

    /// The same, and workspaces stay when their jobs are removed: [`workspace`](Self::workspace) tells where they are,
    /// [`discard_workspaces`](Self::discard_workspaces) removes them.
    #[must_use]
    pub fn with_kept_workspaces(self) -> Self {
        Self { keep: true, ..self }
    }

    /// The same with the labels that `runs-on` asks for.
    #[must_use]
    pub fn with_labels(self, labels: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { labels: labels.into_iter().map(Into::into).collect(), ..self }
    }

    /// The same with another limit, in bytes, of what may wait in a job's spool until it is read; a job that has
    /// written more is stopped (SIGSTOP) until half of it is read. Nothing bounds the spool while no engine lives.
    #[must_use]
    pub fn with_spool_limit(self, bytes: u64) -> Self {
        Self { spool_limit: bytes, ..self }
    }

    /// The same with this control group to make one for each job in, instead of the one that systemd has delegated.
    #[must_use]
    pub fn with_cgroup(self, cgroup: Cgroup) -> Self {
        Self { cgroup: Some(cgroup), ..self }
    }

    /// The folder that a job runs in, for people to look around: it is there until the job is removed, or longer
    /// when workspaces are kept.
    #[must_use]
    pub fn workspace(&self, job: &JobId) -> PathBuf {
        self.in_place.clone().unwrap_or_else(|| self.spool(job).workspace())
    }

    /// Removes the workspaces of a run that were kept.
    ///
    /// # Errors
    ///
    /// [`io::Error`] when one cannot be removed.
    pub fn discard_workspaces(&self, run: RunId) -> io::Result<()> {
        self.spools(run)?.iter().try_for_each(|spool| spool.remove(false))
    }

    fn spool(&self, job: &JobId) -> Spool {
        Spool::at(self.jobs.join(job.backend_name()))
    }

    fn group(&self, job: &JobId) -> Option<JobGroup> {
        self.cgroup.as_ref().map(|cgroup| cgroup.of(job))
    }

    /// What there is of a run, half-made folders included.
    fn spools(&self, run: RunId) -> io::Result<Vec<Spool>> {
        let prefix = JobId::backend_prefix(run);
        let entries = match fs::read_dir(&self.jobs) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut spools = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.strip_prefix(UNFINISHED).unwrap_or(&name).starts_with(&prefix) {
                spools.push(Spool::at(entry.path()));
            }
        }
        Ok(spools)
    }

    fn home(&self, job: &JobSpec) -> Option<PathBuf> {
        let own = job.environment().get("HOME").map(PathBuf::from);
        own.or_else(|| self.inherited.iter().find(|(name, _)| name == "HOME").map(|(_, home)| home.into()))
    }

    fn failed(&self, message: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ExecutorError {
        ExecutorError::backend(&self.name, message, RetryClass::Adopt, error)
    }

    fn environment(&self, job: &JobSpec, ctx: &JobContext) -> Result<Vec<CString>, environment::BadVariable> {
        environment::environment(&self.inherited, job, ctx.secrets(), &self.spool(&job.id), &self.workspace(&job.id))
    }

    fn program(&self, job: &JobSpec, run: &RunAction, folder: &Path) -> Option<Program> {
        let own = job.environment();
        let inherited = self.inherited.iter().find(|(name, _)| name == "PATH");
        let inherited = inherited.map(|(_, path)| path.to_string_lossy());
        let path = own.get("PATH").map(String::as_str).or(inherited.as_deref()).unwrap_or_default();
        shell::find(&run.shell, path, folder)
    }

    /// Where a job of this run is made, whatever it will be called.
    fn draft(&self, name: &str) -> Spool {
        Spool::at(self.jobs.join(format!("{UNFINISHED}{name}-{}", host::unique())))
    }

    /// Makes the job in a folder of another name, so that it is there whole or not at all.
    async fn make(&self, job: &JobSpec, ctx: &JobContext) -> Result<Unfinished, CreateError> {
        let refused =
            |reason: String| CreateError::Job(Box::new(JobOutcome::failed_because(Cause::Start, ctx.mask(&reason))));
        let broken = |error: io::Error| CreateError::Backend(self.failed("cannot make a job's folder", error));
        let run = job.stage.run().ok_or_else(|| refused(format!("`{}` is no command", job.stage.action.name())))?;
        if run.commands.iter().any(|command| command.script().contains('\0') || command.source.contains('\0')) {
            return Err(refused("a command holds a NUL, which no shell can read".into()));
        }
        let environment = self.environment(job, ctx).map_err(|error| refused(error.to_string()))?;
        let spool = self.spool(&job.id);
        let ahead = match &ctx.inputs().source {
            // Tools compare times: a source that was laid out before a restored cache was saved could pass for built.
            // It holds all of the source, of which some jobs see only a part.
            _ if ctx.inputs().only.is_some() => None,
            Some(source) if self.in_place.is_none() && ctx.inputs().caches.is_empty() => {
                self.ahead.take(job.id.run, source).await
            }
            _ => None,
        };
        let is_ahead = ahead.is_some();
        let unfinished = match ahead {
            Some(ahead) => ahead,
            None => {
                let unfinished = Unfinished(self.draft(&job.id.backend_name()));
                unfinished.draft().map_err(broken)?;
                unfinished
            }
        };
        let fresh = &unfinished.0;
        ctx.reach(CrashPoint::Drafted, &job.id);
        let workspace = match &self.in_place {
            Some(folder) => folder.clone(),
            None => {
                let (workspace, home) = (fresh.workspace(), self.home(job));
                let (inputs, blobs, home) = (ctx.inputs(), ctx.blobs(), home.as_deref());
                let laid_out = match is_ahead {
                    true => lay_over(inputs, blobs, &workspace, home).await,
                    false => {
                        fs::create_dir(&workspace).map_err(broken)?;
                        lay_out(inputs, blobs, &workspace, home).await
                    }
                };
                laid_out.map_err(|error| match error {
                    error if error.is_of_the_job() => refused(format!("the workspace cannot be laid out: {error}")),
                    error => CreateError::Backend(self.failed("cannot lay out a workspace", error)),
                })?;
                workspace
            }
        };
        let workdir = job.stage.workdir.as_deref().unwrap_or_default();
        let inner =
            safe_path(Path::new(workdir)).map_err(|_| refused(format!("`{workdir}` is outside of the workspace")))?;
        if !workspace.join(&inner).is_dir() {
            return Err(refused(format!("the workspace has no folder `{workdir}`")));
        }
        let program = self
            .program(job, run, &workspace)
            .ok_or_else(|| refused(format!("the shell `{}` is not installed", run.shell.program())))?;
        let folder = self.workspace(&job.id).join(inner);
        let foreign = program.foreign.as_deref();
        if let Some(program) = foreign {
            Spool::write(&fresh.commands(program), foreign_commands(&run.commands).as_bytes()).map_err(broken)?;
        }
        let group = self.group(&job.id);
        if let Some(group) = &group {
            group.make(&job.stage.resources).map_err(|error| self.failed("cannot make a control group", error))?;
        }
        let (marks, group) = (&Marks::of(&job.id), group.map(|group| group.entry()));
        let group = group.as_deref();
        let is_plain = foreign.is_none() && are_plain(&run.commands, &program.wrapper, &environment);
        let script = Script { run, spool: &spool, folder: &folder, foreign, is_plain, marks, group, boot: &self.boot };
        Spool::write(&fresh.script(), &script.text()).map_err(broken)?;
        Ok(unfinished)
    }

    /// Waits until this engine holds the lock on a job that nobody has started; `None` when somebody has.
    async fn lock(&self, spool: &Spool) -> Result<Option<fs::File>, ExecutorError> {
        let broken = |error| self.failed("cannot look at a job", error);
        let stdout = Spool::open_output(&spool.stdout()).map_err(broken)?;
        let begun = tokio::time::Instant::now();
        loop {
            let locked = stdout.try_lock();
            if spool.read_claim().await.map_err(broken)? != Claim::Free {
                return Ok(None);
            }
            match locked {
                Ok(()) => return Ok(Some(stdout)),
                Err(fs::TryLockError::Error(error)) => return Err(broken(error)),
                Err(fs::TryLockError::WouldBlock) if begun.elapsed() > START_WAIT => {
                    return Err(
                        self.failed("another engine is starting the job", io::Error::from(io::ErrorKind::TimedOut))
                    );
                }
                Err(fs::TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
    }

    /// Whether any process of the job lives. One that has written its exit code is given a moment to be gone.
    async fn outlives_its_end(&self, name: &str, spool: &Spool, leader: i32) -> bool {
        let lives = || {
            self.children.ended(name).is_some() || spool.is_alive() || process::belongs(leader, process::Of::Job(name))
        };
        for _ in 0..END_LOOKS {
            if !lives() {
                return false;
            }
            if spool.exit_code().is_none() {
                return true;
            }
            tokio::time::sleep(END_LOOK).await;
        }
        lives()
    }

    fn spawn(&self, job: &JobSpec, ctx: &JobContext, spool: &Spool, stdout: &fs::File) -> Result<(), ExecutorError> {
        let broken = |error| self.failed("cannot start a process", error);
        let refuse = |reason: &str| spool.refuse(&ctx.mask(reason)).map_err(broken);
        let Some(run) = job.stage.run() else { return refuse("it is no command") };
        let Some(program) = self.program(job, run, &self.workspace(&job.id)) else {
            return refuse(&format!("the shell `{}` is not installed", run.shell.program()));
        };
        let environment = match self.environment(job, ctx) {
            Ok(environment) => environment,
            Err(error) => return refuse(&error.to_string()),
        };
        let stderr = Spool::open_output(&spool.stderr()).map_err(broken)?;
        match spawn::spawn(&program.wrapper, &spool.script(), &environment, stdout, &stderr) {
            Ok(id) => self.children.adopt(job.id.backend_name(), id).map_err(broken),
            Err(Errno::E2BIG) => refuse("its environment is larger than a process can be given"),
            Err(error @ (Errno::ENOENT | Errno::EACCES | Errno::ENOEXEC | Errno::ENOTDIR)) => {
                refuse(&format!("the shell `{}` cannot be started: {error}", program.wrapper.display()))
            }
            Err(error) => Err(broken(error.into())),
        }
    }
}

/// What the name of a folder begins with whose job is not whole yet.
const UNFINISHED: &str = ".new-";

#[async_trait]
impl Backend for LocalBackend {
    fn name(&self) -> &str {
        &self.name
    }

    fn supports(&self, job: &JobSpec) -> Result<(), Unsupported> {
        supports::check(job, &self.labels, self.cgroup.as_ref())
    }

    async fn create(&self, job: &JobSpec, ctx: &JobContext) -> Result<Created, CreateError> {
        let spool = self.spool(&job.id);
        if spool.exists() {
            return Ok(Created::Existing);
        }
        if !self.jobs.is_dir() {
            let broken = |error| self.failed("cannot make the state folder", error);
            make_private(&self.jobs).map_err(broken)?;
            // No snapshot of a source around it takes jobs in.
            let state = self.jobs.parent().unwrap_or(&self.jobs);
            kept::mark(state, "state", STATE_FORM).map_err(broken)?;
        }
        let fresh = self.make(job, ctx).await?;
        ctx.reach(CrashPoint::Filled, &job.id);
        match fs::rename(fresh.0.folder(), spool.folder()) {
            Ok(()) => Ok(Created::New),
            // Another engine was quicker: its folder is not empty, so it cannot be replaced.
            Err(_) if spool.exists() => Ok(Created::Existing),
            Err(error) => Err(self.failed("cannot make a job's folder", error).into()),
        }
    }

    async fn start(&self, job: &JobSpec, ctx: &JobContext) -> Result<(), ExecutorError> {
        let spool = self.spool(&job.id);
        // Without a script it was stopped before it was made.
        let Some(boot) = spool.boot() else { return Ok(()) };
        if boot != self.boot {
            // Made before the machine went down, or on another one: nobody knows what of it is on the disk.
            return spool.forbid().map(drop).map_err(|error| self.failed("cannot look at a job", error));
        }
        match self.lock(&spool).await? {
            Some(stdout) => self.spawn(job, ctx, &spool, &stdout)?,
            None => return Ok(()),
        }
        if let Some(source) = ctx.inputs().source.filter(|_| ctx.successors() > 0 && self.in_place.is_none()) {
            let draft = self.draft(&JobId::backend_prefix(job.id.run));
            self.ahead.begin(job.id.run, source, ctx.blobs(), draft);
        }
        Ok(())
    }

    async fn follow(&self, job: &JobSpec, ctx: &JobContext) -> Result<(), ExecutorError> {
        let spool = self.spool(&job.id);
        if spool.boot().is_none() {
            return Ok(());
        }
        let name = job.id.backend_name();
        let tree = Tree::new(name, spool.clone(), self.children.clone(), self.group(&job.id));
        match follow(&spool, job, ctx, self.spool_limit, tree).await {
            Ok(()) => Ok(()),
            Err(FollowError::Executor(error)) => Err(error),
            Err(FollowError::Io(error)) => Err(self.failed("cannot read a job's output", error)),
        }
    }

    async fn stop(&self, job: &JobId, how: Stop) -> Result<Stopping, ExecutorError> {
        let spool = self.spool(job);
        let broken = |error| self.failed("cannot stop a job", error);
        if !spool.exists() {
            make_private(&self.jobs).map_err(broken)?;
            match spool.make() {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(broken(error)),
                _ => {}
            }
        }
        let is_free = spool.forbid().map_err(broken)?;
        let name = job.backend_name();
        // What stands in the spool is the job's word; that a process of it lives is not.
        let claim = spool.read_claim().await.map_err(broken)?;
        let (has_begun, leader) = match claim {
            Claim::Taken(_) if how == Stop::No => return Ok(Stopping::Requested),
            Claim::Taken(leader) => (true, leader),
            Claim::Never | Claim::Free => (spool.refusal().is_some(), 0),
        };
        if !self.outlives_its_end(&name, &spool, leader).await {
            return Ok(if has_begun && !is_free { Stopping::AlreadyEnded } else { Stopping::Requested });
        }
        spool.note_stop().map_err(broken)?;
        stop_tree(&name, leader, &self.children, how);
        match how {
            Stop::Gracefully => stop_missed(&name, leader, &self.children).await,
            _ => {
                if let Some(group) = self.group(job) {
                    group.kill();
                }
            }
        }
        Ok(Stopping::Requested)
    }

    async fn outcome(&self, job: &JobSpec, ctx: &JobContext) -> Result<JobOutcome, ExecutorError> {
        let spool = self.spool(&job.id);
        let broken = |error| self.failed("cannot read how a job ended", error);
        let elsewhere = spool.boot().is_some_and(|boot| boot != self.boot);
        if !spool.exists() || elsewhere && spool.exit_code().is_none() && !spool.was_stopped() {
            return Ok(JobOutcome::lost().with_message("the host was restarted, or the job's folder is gone"));
        }
        let mut ended = outcome::outcome(&spool).await.map_err(broken)?;
        if self.group(&job.id).is_some_and(|group| group.ran_out_of_memory()) {
            ended = outcome::out_of_memory(ended);
        }
        if !outcome::has_run(&ended) {
            return Ok(ended);
        }
        let files = Folders {
            workspace: self.workspace(&job.id),
            home: self.home(job),
            output: spool.output(),
            summary: spool.summary(),
        };
        harvest(&files, job, ctx, ended).await.map_err(|error: WorkspaceError| {
            ExecutorError::backend(&self.name, "cannot gather what a job left", RetryClass::Adopt, error)
        })
    }

    async fn remove(&self, job: &JobId) -> Result<(), ExecutorError> {
        let spool = self.spool(job);
        let (name, children, keep) = (job.backend_name(), self.children.clone(), self.keep && self.in_place.is_none());
        let group = self.group(job);
        let removed = tokio::task::spawn_blocking(move || {
            if spool.is_alive() {
                stop_tree(&name, 0, &children, Stop::Now);
            }
            group.map_or(Ok(()), |group| group.remove())?;
            spool.remove(keep)
        });
        let removed = removed.await.map_err(io::Error::other).flatten();
        removed.map_err(|error| self.failed("cannot remove a job's folder", error))
    }

    async fn reap(&self, run: RunId) -> Result<(), ExecutorError> {
        let unused = self.ahead.give_up(run).await;
        let spools = self.spools(run).map_err(|error| self.failed("cannot read the state folder", error))?;
        let groups = self.cgroup.as_ref().map(|cgroup| cgroup.of_run(run)).unwrap_or_default();
        let keep = self.keep && self.in_place.is_none();
        let reaped = tokio::task::spawn_blocking(move || {
            drop(unused);
            process::kill_all(process::Of::Jobs(&JobId::backend_prefix(run)));
            groups.iter().try_for_each(JobGroup::remove)?;
            spools.iter().try_for_each(|spool| spool.remove(keep))
        });
        let reaped = reaped.await.map_err(io::Error::other).flatten();
        reaped.map_err(|error| self.failed("cannot remove a job's folder", error))
    }
}

/// Makes a folder, and those above it, for this user alone.
fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}
