//! The loop that drives a run: what happened goes into the state machine, what follows is made durable, and then
//! carried out.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use foldhash::fast::RandomState;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::attempt::Attempt;
use super::bus::RunBus;
use super::core::Core;
use super::error::{ApproveError, RunError};
use super::groups::Place;
use super::host::RunHost;
use super::launch::{Inline, Running};
use super::message::Message;
use super::placement::Placement;
use super::prepare::Preparer;
use super::release::Releases;
use super::slots::Slot;
use crate::cancel::{CancelSignal, Stop};
use crate::event::{Event, EventBody};
use crate::executor::Adoption;
use crate::fault::CrashPoint;
use crate::graph::StageIndex;
use crate::id::JobId;
use crate::job::{Cause, JobOutcome};
use crate::run::{Input, Run};

/// How many stages start, and how many messages are heeded, before what follows is stored: enough that the cost of a
/// batch is spread, few enough that a wide pipeline shows its first events at once.
const ROUND: usize = 256;

/// How far into the ready stages a run looks for one whose executor has room, when they go to different ones.
const LOOK_AHEAD: usize = 4096;

/// Drives one run.
pub(super) struct Driver {
    pub(super) core: Arc<Core>,
    pub(super) bus: Arc<RunBus>,
    pub(super) run: Run,
    pub(super) inbox: mpsc::UnboundedReceiver<Message>,
    pub(super) host: Arc<RunHost>,
    pub(super) preparer: Preparer,
    pub(super) placement: Placement,
    pub(super) max_parallel: usize,
    /// The run's place in its concurrency group; it begins when its turn has come.
    pub(super) place: Option<Place>,
    /// Which executors have, or may have, something of this run.
    pub(super) used: Vec<bool>,
    pub(super) releases: Releases,
    pub(super) work: Work,
}

/// What is under way.
#[derive(Default)]
pub(super) struct Work {
    jobs: HashMap<u32, Running, RandomState>,
    granted: Vec<Slot>,
    /// Jobs that ended while they were started.
    ended: Vec<Message>,
    inline: Inline,
    /// What was decided and is not stored yet.
    batch: Vec<EventBody<StageIndex>>,
    events: Vec<Event>,
    effects: Vec<Effect>,
    replies: Vec<oneshot::Sender<Result<(), ApproveError>>>,
    ready: Vec<StageIndex>,
    last: Timestamp,
    begun: bool,
    turn: bool,
    killed: bool,
    more: bool,
}

/// What is to be done once an event is durable.
enum Effect {
    Launch { stage: StageIndex, attempt: u32 },
    Stop { stage: StageIndex, attempt: u32 },
    Release { job: JobId, executor: usize },
}

impl Driver {
    /// Drives the run to its end.
    pub(super) async fn drive(mut self) -> Result<Arc<Run>, RunError> {
        self.take_over();
        let mut messages = Vec::new();
        while !self.run.status().is_final() {
            self.gather(&mut messages).await;
            let now = self.now();
            for message in messages.drain(..) {
                self.heed(message, now)?;
            }
            self.begin(now);
            self.tell(Input::Tick, now);
            self.start_ready(now);
            self.record(now).await?;
            self.carry_out();
        }
        Ok(self.finish().await)
    }

    /// The time, which never goes back within a run.
    fn now(&mut self) -> Timestamp {
        self.work.last = self.core.clock.now().max(self.work.last);
        self.work.last
    }

    /// Waits until something has happened, unless there is something to do already.
    async fn gather(&mut self, messages: &mut Vec<Message>) {
        messages.append(&mut self.work.ended);
        let is_new = !self.work.begun && self.place.is_none();
        if !messages.is_empty() || self.work.more || is_new {
            while messages.len() < ROUND
                && let Ok(message) = self.inbox.try_recv()
            {
                messages.push(message);
            }
            // Others on this thread get their turn although there is always something to do here.
            tokio::task::consume_budget().await;
            return;
        }
        let wakeup = self.run.next_wakeup(self.work.last);
        let clock = &self.core.clock;
        tokio::select! {
            biased;
            _ = self.inbox.recv_many(messages, ROUND) => {}
            () = async { clock.sleep_until(wakeup.unwrap_or(Timestamp::MAX)).await }, if wakeup.is_some() => {}
        }
    }

    fn heed(&mut self, message: Message, now: Timestamp) -> Result<(), RunError> {
        match message {
            Message::Ended { outcome: None, .. } => return Err(RunError::LeaseLost),
            Message::LeaseLost(error) => return Err(error),
            Message::HandOver => return Err(RunError::HandedOver),
            Message::Ended { stage, attempt, outcome: Some(outcome) } => self.ended(stage, attempt, outcome, now),
            Message::Slot(slot) => self.work.granted.push(slot),
            Message::Turn => self.work.turn = true,
            Message::Cancel { reason } => self.tell(Input::Cancel { reason: &reason }, now),
            Message::Kill { reason } => {
                self.work.killed = true;
                self.tell(Input::Cancel { reason: &reason }, now);
                self.work.jobs.values().for_each(|job| job.cancel.raise(Stop::Now));
            }
            Message::Approve { stage, approval, reply } => {
                match self.run.advance(Input::Approve { stage, approval }, now, &mut self.work.batch) {
                    Ok(()) => self.work.replies.push(reply),
                    Err(error) => drop(reply.send(Err(error.into()))),
                }
            }
        }
        Ok(())
    }

    /// An input that may come too late, which is nobody's fault.
    fn tell(&mut self, input: Input<'_>, now: Timestamp) {
        if let Err(error) = self.run.advance(input, now, &mut self.work.batch) {
            tracing::debug!(run = %self.bus.info.id, %error, "too late");
        }
    }

    fn ended(&mut self, stage: StageIndex, attempt: u32, outcome: JobOutcome, now: Timestamp) {
        let Some(job) = self.work.jobs.remove(&key(stage)) else { return };
        let id = JobId { run: self.bus.info.id, stage: self.run.graph().name(stage).clone(), attempt };
        self.work.effects.push(Effect::Release { job: id, executor: job.executor });
        self.tell(Input::Finished { stage, attempt, outcome }, now);
    }

    fn begin(&mut self, now: Timestamp) {
        if !self.work.begun && (self.place.is_none() || self.work.turn) {
            self.work.begun = true;
            if self.run.seq() == 0 {
                self.tell(Input::Begin, now);
            }
        }
    }

    fn start_ready(&mut self, now: Timestamp) {
        self.work.more = false;
        let room = self.max_parallel.saturating_sub(self.work.jobs.len());
        let uniform = self.placement.is_uniform();
        let mut ready = std::mem::take(&mut self.work.ready);
        ready.extend(self.run.ready(now).take(if uniform { room.min(ROUND) } else { LOOK_AHEAD }));
        let mut started = 0;
        let mut full = Vec::new();
        for stage in ready.drain(..) {
            if started == room.min(ROUND) {
                self.work.more = started < room;
                break;
            }
            let executor = self.placement.of(stage.index());
            if full.contains(&executor) {
                continue;
            }
            let Some(slot) = self.slot(executor) else {
                if uniform {
                    break;
                }
                full.push(executor);
                continue;
            };
            let name = self.core.executors[executor].name.clone();
            if self.run.advance(Input::Start { stage, executor: name }, now, &mut self.work.batch).is_ok() {
                self.work.jobs.insert(key(stage), Running::new(executor, slot));
                self.used[executor] = true;
                started += 1;
            }
        }
        if uniform && started == ROUND {
            self.work.more = true;
        }
        self.work.ready = ready;
        // What is not used goes to whoever waits next.
        self.work.granted.clear();
    }

    fn slot(&mut self, executor: usize) -> Option<Slot> {
        if let Some(at) = self.work.granted.iter().position(|slot| slot.executor() == executor) {
            return Some(self.work.granted.swap_remove(at));
        }
        self.core.slots.take(executor, self.bus.info.id, &self.bus.sender)
    }

    /// Makes what was decided durable, and then public.
    async fn record(&mut self, now: Timestamp) -> Result<(), RunError> {
        if self.work.batch.is_empty() {
            return Ok(());
        }
        let graph = Arc::clone(self.run.graph());
        let mut seq = self.run.seq() - self.work.batch.len() as u64;
        let expected = seq;
        let mut events = std::mem::take(&mut self.work.events);
        for body in self.work.batch.drain(..) {
            seq += 1;
            match &body {
                EventBody::AttemptStarted { stage, attempt, .. } => {
                    self.work.effects.push(Effect::Launch { stage: *stage, attempt: *attempt });
                }
                EventBody::StopRequested { stage, attempt, .. } => {
                    self.work.effects.push(Effect::Stop { stage: *stage, attempt: *attempt });
                }
                _ => {}
            }
            let Ok(body) = body.try_map_stage(|stage| Ok::<_, Infallible>(graph.name(stage).clone()));
            events.push(Event { seq, time: now, body });
        }
        self.reach(CrashPoint::BeforeStartAppended, CrashPoint::BeforeOutcomeAppended, &events);
        super::append::append(&self.core, &self.bus, expected, &events).await?;
        self.reach(CrashPoint::StartAppended, CrashPoint::OutcomeAppended, &events);
        self.bus.seq.send_replace(seq);
        events.clear();
        self.work.events = events;
        for reply in self.work.replies.drain(..) {
            let _ = reply.send(Ok(()));
        }
        Ok(())
    }

    fn reach(&self, start: CrashPoint, outcome: CrashPoint, events: &[Event]) {
        let Some(faults) = &self.core.faults else { return };
        for event in events {
            let (point, stage, attempt) = match &event.body {
                EventBody::AttemptStarted { stage, attempt, .. } => (start, stage, *attempt),
                EventBody::AttemptFinished { stage, attempt, .. } => (outcome, stage, *attempt),
                _ => continue,
            };
            faults.reach(point, Some(&JobId { run: self.bus.info.id, stage: stage.clone(), attempt }));
        }
    }

    /// Does what the events say, now that they are durable.
    fn carry_out(&mut self) {
        self.work.inline.new_round();
        let mut effects = std::mem::take(&mut self.work.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Launch { stage, attempt } => self.launch(stage, attempt, false),
                Effect::Stop { stage, attempt } => self.stop(stage, attempt),
                Effect::Release { job, executor } => self.releases.release(&self.core, executor, job),
            }
        }
        self.work.effects = effects;
    }

    fn stop(&self, stage: StageIndex, attempt: u32) {
        if let Some(job) = self.work.jobs.get(&key(stage)) {
            tracing::debug!(stage = %self.run.graph().name(stage), attempt, "stopping");
            job.cancel.raise(if self.work.killed { Stop::Now } else { Stop::Gracefully });
        }
    }

    fn launch(&mut self, stage: StageIndex, attempt: u32, adopted: bool) {
        let Some(running) = self.work.jobs.get_mut(&key(stage)) else { return };
        let executor = running.executor;
        let prepared = match self.preparer.prepare(&self.run, stage, attempt) {
            Ok(prepared) => prepared,
            Err(error) => {
                let message = self.host.masker().mask(&error.to_string());
                let outcome = Some(JobOutcome::failed_because(Cause::Start, message));
                return self.work.ended.push(Message::Ended { stage, attempt, outcome });
            }
        };
        let attempt_of = Attempt {
            core: Arc::clone(&self.core),
            bus: Arc::clone(&self.bus),
            host: Arc::clone(&self.host),
            executor,
            prepared,
            cancel: running.cancel.clone(),
            adopted,
        };
        if let Some(outcome) = self.work.inline.start(attempt_of, &self.bus, stage, attempt, running) {
            self.work.ended.push(Message::Ended { stage, attempt, outcome });
        }
    }

    /// Takes over what an earlier engine began.
    fn take_over(&mut self) {
        self.work.last = Timestamp::MIN;
        let wanted: Vec<_> = self
            .run
            .wanted()
            .map(|job| (job.stage, job.attempt, self.core.executor(job.executor), job.stop.is_some()))
            .collect();
        for (stage, attempt, executor, is_stopped) in wanted {
            // That every executor is there was looked at before.
            let Some(executor) = executor else { continue };
            let running = Running::new(executor, self.core.slots.beyond(executor));
            if is_stopped {
                running.cancel.raise(Stop::Gracefully);
            }
            self.work.jobs.insert(key(stage), running);
            match self.core.executors[executor].adoption {
                Adoption::ByJobId => self.launch(stage, attempt, true),
                Adoption::None => {
                    let outcome = JobOutcome::lost().with_message("it ended with the engine that ran it");
                    self.work.ended.push(Message::Ended { stage, attempt, outcome: Some(outcome) });
                }
            }
        }
        self.work.more = self.run.seq() > 0;
    }

    /// The last event is durable: sees to it that nothing of the run is left.
    async fn finish(mut self) -> Arc<Run> {
        self.core.slots.leave(self.bus.info.id);
        self.releases.all().await;
        self.core.reach(CrashPoint::RunFinished, None);
        super::release::close(&self.core, &self.bus, &self.used).await;
        Arc::new(self.run)
    }
}

fn key(stage: StageIndex) -> u32 {
    // A graph has at most 2^32 stages, so this loses nothing.
    stage.index() as u32
}

impl Running {
    fn new(executor: usize, slot: Slot) -> Self {
        Self { executor, cancel: CancelSignal::new(), task: None, _slot: slot }
    }
}
