//! A pipeline played through without running anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::script::{Act, Script};
use crate::diagnostic::Diagnostics;
use crate::event::{Approval, Event, EventBody, RunStatus, StageResult};
use crate::graph::StageIndex;
use crate::id::{RunId, StageName};
use crate::job::{JobOutcome, Status};
use crate::pipeline::{ExpandLimits, Pipeline, PipelineError, RunContext};
use crate::plan::Plan;
use crate::run::{ApprovalError, Input, InputError, Run, RunInfo};

/// Plays a pipeline through in simulated time, without an engine, an executor or a store. The rules are those of real
/// runs: it is the same state machine.
///
/// ```
/// use std::time::Duration;
/// use buildit::event::RunStatus;
/// use buildit::job::Status;
/// use buildit::pipeline::{PipelineBuilder, StageBuilder};
/// use buildit::testing::{Act, Simulation};
///
/// let pipeline = PipelineBuilder::new("shop")
///     .stage(StageBuilder::run("deploy", "./deploy").timeout(Duration::from_secs(600)))
///     .stage(StageBuilder::run("rollback", "./rollback").needs(["deploy"]).when("failure()"))
///     .stage(StageBuilder::run("announce", "./announce").needs(["deploy"]));
///
/// // If `deploy` times out, `rollback` runs once and nothing is announced.
/// let run = Simulation::new(&pipeline).stage("deploy", [Act::hang()]).run()?;
/// assert_eq!(run.stage("deploy"), Some(Status::TimedOut));
/// assert_eq!(run.attempts("rollback"), 1);
/// assert_eq!(run.stage("announce"), Some(Status::Skipped));
/// assert_eq!(run.status(), RunStatus::Failed);
/// assert_eq!(run.duration(), Duration::from_secs(600));
///
/// // If it succeeds, nothing is rolled back.
/// let run = Simulation::new(&pipeline).run()?;
/// assert_eq!(run.order(), ["deploy", "announce"]);
/// # Ok::<(), buildit::testing::SimulationError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Simulation<'a> {
    pipeline: &'a dyn Pipeline,
    context: RunContext,
    script: Script,
    answers: BTreeMap<String, (Duration, Approval)>,
    cancel: Option<Duration>,
    slots: usize,
}

/// A simulation could not be played.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimulationError {
    /// There is no pipeline for this context.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// The pipeline is invalid.
    #[error("the pipeline is invalid:\n{0}")]
    Invalid(#[from] Diagnostics),
    /// The script or an answer is for a stage that the pipeline does not have.
    #[error("the pipeline has no stage `{0}`")]
    UnknownStage(String),
    /// An answer cannot be taken.
    #[error("the answer for `{stage}` cannot be taken")]
    Approval {
        /// The stage.
        stage: String,
        /// What is wrong with it.
        #[source]
        source: ApprovalError,
    },
}

impl<'a> Simulation<'a> {
    /// A run of this pipeline in which every stage succeeds at once and nobody answers.
    pub fn new(pipeline: &'a dyn Pipeline) -> Self {
        Self {
            pipeline,
            context: RunContext::manual(),
            script: Script::new(),
            answers: BTreeMap::new(),
            cancel: None,
            slots: usize::MAX,
        }
    }

    /// What the run is started with; a manual run without parameters otherwise.
    #[must_use]
    pub fn context(mut self, context: RunContext) -> Self {
        self.context = context;
        self
    }

    /// What the attempts of a stage do, in order; the last act is repeated.
    #[must_use]
    pub fn stage(mut self, name: impl Into<String>, acts: impl IntoIterator<Item = Act>) -> Self {
        self.script = self.script.stage(name, acts);
        self
    }

    /// The answer to the approval of a stage, as soon as it is asked for.
    #[must_use]
    pub fn answer(self, stage: impl Into<String>, approval: Approval) -> Self {
        self.answer_after(Duration::ZERO, stage, approval)
    }

    /// The answer to the approval of a stage, so long after it was asked for.
    #[must_use]
    pub fn answer_after(mut self, time: Duration, stage: impl Into<String>, approval: Approval) -> Self {
        self.answers.insert(stage.into(), (time, approval));
        self
    }

    /// The run is cancelled so long after its start.
    #[must_use]
    pub fn cancel_after(mut self, time: Duration) -> Self {
        self.cancel = Some(time);
        self
    }

    /// How many jobs may run at once; any number otherwise.
    #[must_use]
    pub fn slots(mut self, slots: usize) -> Self {
        self.slots = slots;
        self
    }

    /// Plays the run until it has ended, or until it waits for an answer that nobody gives.
    ///
    /// # Errors
    ///
    /// [`SimulationError`] when the pipeline is invalid, or the script does not fit it.
    pub fn run(self) -> Result<Simulated, SimulationError> {
        let plan = Plan::compile(&*self.pipeline.spec(&self.context)?, ExpandLimits::default())?;
        let (spec, graph) = (plan.spec().clone(), plan.graph().clone());
        let named = self.script.names().chain(self.answers.keys().map(String::as_str));
        for name in named {
            if graph.resolve(name).is_empty() {
                return Err(SimulationError::UnknownStage(name.to_owned()));
            }
        }
        graph.select(&spec, self.context.only.iter().map(String::as_str))?;
        let info = RunInfo { id: RunId::from(uuid::Uuid::nil()), number: 1 };
        let run = Run::new(spec, graph, Arc::new(self.context.clone()), info);
        Player { plan: self, run, now: START, pending: BTreeSet::new(), asked: BTreeMap::new(), events: Vec::new() }
            .play()
    }
}

/// Simulated time begins here; any time would do.
const START: Timestamp = Timestamp::UNIX_EPOCH;

struct Player<'a> {
    plan: Simulation<'a>,
    run: Run,
    now: Timestamp,
    /// The attempts that end by themselves: when, and which.
    pending: BTreeSet<(Timestamp, StageIndex, u32)>,
    /// When each stage that waits for an answer asked for it.
    asked: BTreeMap<StageIndex, Timestamp>,
    events: Vec<Event>,
}

impl Player<'_> {
    fn play(mut self) -> Result<Simulated, SimulationError> {
        self.tell(Input::Begin);
        loop {
            self.start_ready();
            self.stop_wanted();
            if self.run.status().is_final() {
                break;
            }
            if self.run.next_ready(self.now).is_some() && self.run.wanted().count() < self.plan.slots {
                continue;
            }
            let Some((time, step)) = self.next_step() else { break };
            self.now = self.now.max(time);
            match step {
                Step::Tick => self.tell(Input::Tick),
                Step::Cancel => {
                    self.plan.cancel = None;
                    self.tell(Input::Cancel { reason: "the simulation" });
                }
                Step::End(stage, attempt) => {
                    let act = self.plan.script.act(&self.run.spec().stages[stage.index()], attempt);
                    self.pending.remove(&(time, stage, attempt));
                    let outcome = act.outcome().unwrap_or_else(JobOutcome::cancelled);
                    self.tell(Input::Finished { stage, attempt, outcome });
                }
                Step::Answer(stage) => self.answer(stage)?,
            }
        }
        Ok(Simulated { run: self.run, events: self.events, end: self.now })
    }

    fn start_ready(&mut self) {
        while self.run.wanted().count() < self.plan.slots
            && let Some(stage) = self.run.next_ready(self.now)
        {
            self.tell(Input::Start { stage, executor: "simulated".into() });
            let attempt = self.run.attempts(stage);
            let act = self.plan.script.act(&self.run.spec().stages[stage.index()], attempt);
            if act.outcome().is_some() {
                self.pending.insert((later(self.now, act.after), stage, attempt));
            }
        }
    }

    /// What was asked to stop, stops at once.
    fn stop_wanted(&mut self) {
        let stopped = |run: &Run| run.wanted().find(|job| job.stop.is_some()).map(|job| (job.stage, job.attempt));
        while let Some((stage, attempt)) = stopped(&self.run) {
            self.pending.retain(|(_, pending, _)| *pending != stage);
            self.tell(Input::Finished { stage, attempt, outcome: JobOutcome::cancelled() });
        }
    }

    /// What happens next. At the same time a job ends before its timeout, and an answer comes before it is too late.
    fn next_step(&self) -> Option<(Timestamp, Step)> {
        let end = self.pending.first().map(|&(time, stage, attempt)| (time, Step::End(stage, attempt)));
        let answers = self.asked.iter().filter_map(|(stage, asked)| {
            let (after, _) = self.answer_for(*stage)?;
            Some((later(*asked, after), Step::Answer(*stage)))
        });
        let answer = answers.min_by_key(|(time, _)| *time);
        let cancel = self.plan.cancel.map(|after| (later(START, after), Step::Cancel));
        let tick = self.run.next_wakeup(self.now).map(|time| (time, Step::Tick));
        [end, answer, cancel, tick].into_iter().flatten().min_by_key(|(time, _)| *time)
    }

    fn answer_for(&self, stage: StageIndex) -> Option<(Duration, &Approval)> {
        let stage = &self.run.spec().stages[stage.index()];
        let answer = self.plan.answers.get(&*stage.name).or_else(|| self.plan.answers.get(&**stage.written_name()));
        answer.map(|(after, approval)| (*after, approval))
    }

    fn answer(&mut self, stage: StageIndex) -> Result<(), SimulationError> {
        let Some(approval) = self.answer_for(stage).map(|(_, approval)| approval.clone()) else { return Ok(()) };
        self.asked.remove(&stage);
        let name = self.run.graph().name(stage).to_string();
        match self.advance(Input::Approve { stage, approval }) {
            Err(InputError::Approval(source)) => Err(SimulationError::Approval { stage: name, source }),
            // Something else at the same time made the answer needless: the run has ended.
            _ => Ok(()),
        }
    }

    fn tell(&mut self, input: Input<'_>) {
        // The player only does what the run allows; what comes too late at the same instant changes nothing.
        let _ = self.advance(input);
    }

    fn advance(&mut self, input: Input<'_>) -> Result<(), InputError> {
        let mut out = Vec::new();
        let told = self.run.advance(input, self.now, &mut out);
        for body in out {
            match &body {
                EventBody::ApprovalRequested { stage, .. } => {
                    self.asked.insert(*stage, self.now);
                }
                EventBody::StageFinished { stage, .. } => {
                    self.asked.remove(stage);
                }
                _ => {}
            }
            let graph = self.run.graph();
            let named = body.try_map_stage(|stage| Ok::<_, std::convert::Infallible>(graph.name(stage).clone()));
            let Ok(body) = named;
            self.events.push(Event { seq: self.events.len() as u64 + 1, time: self.now, body });
        }
        told
    }
}

enum Step {
    Tick,
    Cancel,
    End(StageIndex, u32),
    Answer(StageIndex),
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| time.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}

/// A run that was played through.
#[derive(Clone, Debug)]
pub struct Simulated {
    run: Run,
    events: Vec<Event>,
    end: Timestamp,
}

impl Simulated {
    /// How the run ended; [`RunStatus::Waiting`] when it waits for an answer that nobody gave.
    #[must_use]
    pub fn status(&self) -> RunStatus {
        self.run.status()
    }

    /// How a stage ended; `None` while it has not, or when there is no such stage.
    #[must_use]
    pub fn stage(&self, name: &str) -> Option<Status> {
        self.result(name).map(|result| result.status)
    }

    /// How a stage ended, with the reason.
    #[must_use]
    pub fn result(&self, name: &str) -> Option<StageResult> {
        self.run.graph().index(name).and_then(|stage| self.run.result(stage))
    }

    /// How many attempts of a stage were made.
    #[must_use]
    pub fn attempts(&self, name: &str) -> u32 {
        self.run.graph().index(name).map_or(0, |stage| self.run.attempts(stage))
    }

    /// The stages of which an attempt was made, in the order in which the attempts began.
    #[must_use]
    pub fn order(&self) -> Vec<StageName> {
        let started = self.events.iter().filter_map(|event| match &event.body {
            EventBody::AttemptStarted { stage, .. } => Some(stage.clone()),
            _ => None,
        });
        started.collect()
    }

    /// How long the run took, in simulated time.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::try_from(START.duration_until(self.end)).unwrap_or_default()
    }

    /// All that happened, as it would be stored.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The run, for whatever else is to be looked at.
    #[must_use]
    pub fn run(&self) -> &Run {
        &self.run
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{ApprovalSpec, PipelineBuilder, StageBuilder};

    const HOUR: Duration = Duration::from_secs(3600);

    fn stage(name: &str, needs: &[&str]) -> StageBuilder {
        StageBuilder::run(name, "true").needs(needs.iter().copied())
    }

    #[test]
    fn stages_take_their_time_and_overlap() {
        let pipeline = PipelineBuilder::new("p")
            .stage(stage("a", &[]))
            .stage(stage("b", &[]))
            .stage(stage("c", &["a", "b"]).retry(1, HOUR));
        let play = |slots| {
            Simulation::new(&pipeline)
                .stage("a", [Act::succeed().after(HOUR)])
                .stage("b", [Act::succeed().after(2 * HOUR)])
                .stage("c", [Act::lose(), Act::succeed().output("x", "1")])
                .slots(slots)
                .run()
                .unwrap()
        };
        assert_eq!((play(2).duration(), play(1).duration()), (3 * HOUR, 4 * HOUR));
        assert_eq!((play(2).status(), play(2).attempts("c")), (RunStatus::Succeeded, 2));
        assert_eq!(play(1).order(), ["a", "b", "c", "c"]);
    }

    #[test]
    fn answers_come_when_they_come() {
        let gate = ApprovalSpec { timeout: Some(2 * HOUR), ..ApprovalSpec::default() };
        let timed = PipelineBuilder::new("p").stage(stage("ship", &[]).approval(gate));
        let open = PipelineBuilder::new("p").stage(stage("ship", &[]).approval(ApprovalSpec::default()));
        let answer = |after| Simulation::new(&timed).answer_after(after, "ship", Approval::yes("ann")).run().unwrap();
        assert_eq!(answer(HOUR).status(), RunStatus::Succeeded);
        assert_eq!(answer(3 * HOUR).status(), RunStatus::Failed);
        assert_eq!(answer(3 * HOUR).duration(), 2 * HOUR);
        assert_eq!(Simulation::new(&open).run().unwrap().status(), RunStatus::Waiting);
        let bad = Approval::yes("ann").with_field("note", "x");
        let error = Simulation::new(&open).answer("ship", bad).run().unwrap_err();
        assert!(matches!(error, SimulationError::Approval { .. }), "{error}");
    }

    #[test]
    fn a_cancelled_run_ends_what_runs() {
        let pipeline = PipelineBuilder::new("p").stage(stage("a", &[])).stage(stage("b", &["a"]));
        let run = Simulation::new(&pipeline).stage("a", [Act::hang()]).cancel_after(HOUR).run().unwrap();
        assert_eq!((run.status(), run.duration()), (RunStatus::Cancelled, HOUR));
        assert_eq!((run.stage("a"), run.stage("b")), (Some(Status::Cancelled), Some(Status::Cancelled)));
        let misspelt = Simulation::new(&pipeline).stage("aa", [Act::hang()]).run();
        assert!(matches!(misspelt, Err(SimulationError::UnknownStage(_))));
    }

    #[test]
    fn a_stage_that_hangs_for_ever_leaves_the_run_running() {
        let pipeline = PipelineBuilder::new("p").stage(stage("a", &[]));
        let run = Simulation::new(&pipeline).stage("a", [Act::hang()]).run().unwrap();
        assert_eq!((run.status(), run.stage("a")), (RunStatus::Running, None));
    }
}
