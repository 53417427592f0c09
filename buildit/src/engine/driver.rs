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
use super::lanes::Lanes;
use super::launch::{Inline, Launched, Running};
use super::looks::Looks;
use super::message::{Ended, Message};
use super::placement::Placement;
use super::prepare::{Prepared, Preparer};
use super::release::Releases;
use super::slots::Slot;
use crate::cancel::{CancelSignal, Stop};
use crate::event::{Event, EventBody};
use crate::executor::{Adoption, JobContext};
use crate::fault::CrashPoint;
use crate::graph::StageIndex;
use crate::id::JobId;
use crate::job::{Cause, JobOutcome};
use crate::run::{Input, Run};

/// How many stages start, and how many messages are heeded, before what follows is stored: enough that the cost of a
/// batch is spread, few enough that a wide pipeline shows its first events at once.
const ROUND: usize = 256;

/// How many stages a driver that always has something to do starts before others on its thread get their turn: about
/// half a millisecond of jobs that do nothing. Each turn may cost it its warm caches, because an idle thread takes it.
const TURN: usize = 512;

/// Drives one run.
pub(super) struct Driver {
    pub(super) core: Arc<Core>,
    pub(super) bus: Arc<RunBus>,
    pub(super) run: Run,
    pub(super) inbox: mpsc::UnboundedReceiver<Message>,
    pub(super) host: Arc<RunHost>,
    /// What the contexts of all jobs are made from.
    pub(super) context: JobContext,
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
    /// Jobs that ended while they were started, each with its executor and, if it began, its slot.
    ended: Vec<(Ended, usize, Option<Slot>)>,
    inline: Inline,
    /// What was decided and is not stored yet.
    batch: Vec<EventBody<StageIndex>>,
    effects: Vec<Effect>,
    replies: Vec<oneshot::Sender<Result<(), ApproveError>>>,
    ready: Vec<StageIndex>,
    pub(super) lanes: Lanes,
    pub(super) looks: Looks,
    last: Timestamp,
    begun: bool,
    turn: bool,
    killed: bool,
    more: bool,
    /// Stages that were started, and messages that were heeded, since others had their turn.
    taken: usize,
}

impl Work {
    /// Nothing is under way, and this is held back.
    pub(super) fn new(looks: Looks) -> Self {
        Self { looks, ..Self::default() }
    }
}

/// How an attempt is to be launched.
struct Start {
    executor: usize,
    slot: Slot,
    cancel: CancelSignal,
    adopted: bool,
}

/// What is to be done once an event is durable.
enum Effect {
    Launch { stage: StageIndex, executor: usize, slot: Slot },
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
            self.heed_ended(now)?;
            for message in messages.drain(..) {
                self.heed(message, now)?;
            }
            self.begin(now);
            self.tell(Input::Tick, now);
            self.look_up();
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
        let is_new = !self.work.begun && self.place.is_none();
        if !self.work.ended.is_empty() || self.work.more || is_new {
            while messages.len() < ROUND
                && let Ok(message) = self.inbox.try_recv()
            {
                messages.push(message);
            }
            self.give_turn(messages.len()).await;
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

    /// Others on this thread get their turn now and then, although there is always something to do here.
    async fn give_turn(&mut self, messages: usize) {
        self.work.taken += messages;
        if self.work.taken >= TURN || self.work.inline.is_spent() || !tokio::task::coop::has_budget_remaining() {
            self.work.taken = 0;
            tokio::task::yield_now().await;
        }
    }

    fn heed(&mut self, message: Message, now: Timestamp) -> Result<(), RunError> {
        match message {
            Message::LeaseLost(error) => return Err(error),
            Message::HandOver => return Err(RunError::HandedOver),
            Message::Ended(ended) => {
                let key = key(ended.stage);
                let Some(job) = self.work.jobs.remove(&key) else { return Ok(()) };
                if job.attempt != ended.job.attempt {
                    // Not that of the attempt that runs now.
                    self.work.jobs.insert(key, job);
                    return Ok(());
                }
                let Running { executor, slot, .. } = job;
                self.ended(ended, executor, Some(slot), now)?;
            }
            Message::Looked(found) => self.looked(found, now),
            Message::Slot(slot) => self.work.granted.push(slot),
            Message::Turn => self.work.turn = true,
            Message::Cancel { reason, reply } => {
                // Not every cancel comes from a handle.
                self.bus.stop.raise(Stop::Gracefully);
                self.tell(Input::Cancel { reason: &reason }, now);
                match reply {
                    // One that says nothing new has nothing to wait for.
                    Some(reply) if self.work.batch.is_empty() => drop(reply.send(Ok(()))),
                    reply => self.work.replies.extend(reply),
                }
            }
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
    pub(super) fn tell(&mut self, input: Input<'_>, now: Timestamp) {
        if let Err(error) = self.run.advance(input, now, &mut self.work.batch) {
            tracing::debug!(run = %self.bus.info.id, %error, "too late");
        }
    }

    /// Jobs that ended while they were started.
    fn heed_ended(&mut self, now: Timestamp) -> Result<(), RunError> {
        let mut all = std::mem::take(&mut self.work.ended);
        self.run.fetch_for_ends(all.iter().map(|(ended, ..)| ended.stage));
        for (ended, executor, slot) in all.drain(..) {
            self.ended(ended, executor, slot, now)?;
        }
        self.work.ended = all;
        Ok(())
    }

    fn ended(&mut self, ended: Ended, executor: usize, slot: Option<Slot>, now: Timestamp) -> Result<(), RunError> {
        let Ended { stage, job, outcome } = ended;
        let outcome = outcome?;
        let attempt = job.attempt;
        if self.core.slots.is_quiet() {
            self.work.granted.extend(slot);
        }
        self.work.effects.push(Effect::Release { job, executor });
        self.tell(Input::Finished { stage, attempt, outcome }, now);
        Ok(())
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
        let room = self.max_parallel.saturating_sub(self.work.jobs.len());
        let started = match self.placement.is_uniform() {
            true => self.start_in_order(room.min(ROUND), now),
            false => self.start_by_executor(room.min(ROUND), now),
        };
        self.work.taken += started;
        self.work.more = started == ROUND && room > ROUND;
        // What is not used goes to whoever waits next.
        self.work.granted.clear();
    }

    /// Starts at most so many stages, which all go to one executor; how many it started.
    fn start_in_order(&mut self, limit: usize, now: Timestamp) -> usize {
        let mut ready = std::mem::take(&mut self.work.ready);
        ready.extend(self.run.ready(now).filter(|stage| !self.is_held(*stage)).take(limit));
        self.run.fetch_for_starts(&ready);
        let started = ready.iter().take_while(|stage| self.start(**stage, now)).count();
        ready.clear();
        self.work.ready = ready;
        started
    }

    /// The same where stages go to different executors: one that is full holds nobody up.
    fn start_by_executor(&mut self, limit: usize, now: Timestamp) -> usize {
        let mut lanes = std::mem::take(&mut self.work.lanes);
        lanes.fill(&self.run, &self.placement, self.core.executors.len(), |stage| self.is_held(stage));
        let mut full = Vec::new();
        let mut started = 0;
        let again: Vec<_> = self.run.ready_again(now).collect();
        let mut again = again.into_iter();
        while started < limit
            && let Some((stage, is_new)) =
                again.next().map(|stage| (stage, false)).or_else(|| Some((lanes.next(&self.run, &full)?, true)))
        {
            let executor = self.placement.of(stage.index());
            let has_room = self.run.is_ready(stage, now);
            if has_room && !full.contains(&executor) && self.start(stage, now) {
                started += 1;
                continue;
            }
            if is_new {
                lanes.put_back(executor, stage);
            }
            if !has_room {
                // The pipeline's own limit is reached.
                break;
            }
            full.push(executor);
        }
        self.work.lanes = lanes;
        started
    }

    /// Decides to start this stage, if its executor has a slot.
    fn start(&mut self, stage: StageIndex, now: Timestamp) -> bool {
        let executor = self.placement.of(stage.index());
        let Some(slot) = self.slot(executor) else { return false };
        let name = self.core.executors[executor].name.clone();
        if self.run.advance(Input::Start { stage, executor: name }, now, &mut self.work.batch).is_err() {
            return false;
        }
        self.work.effects.push(Effect::Launch { stage, executor, slot });
        self.used[executor] = true;
        true
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
        let effects = &mut self.work.effects;
        // Allocated once, and moved into place: the batch knows how long it is.
        let events: Arc<[Event]> = (self.work.batch.drain(..))
            .map(|body| {
                seq += 1;
                if let EventBody::StopRequested { stage, attempt, .. } = &body {
                    effects.push(Effect::Stop { stage: *stage, attempt: *attempt });
                }
                let Ok(body) = body.try_map_stage(|stage| Ok::<_, Infallible>(graph.name(stage).clone()));
                Event { seq, time: now, body }
            })
            .collect();
        self.reach(CrashPoint::BeforeStartAppended, CrashPoint::BeforeOutcomeAppended, &events);
        super::append::append(&self.core, &self.bus, expected, &events).await?;
        self.reach(CrashPoint::StartAppended, CrashPoint::OutcomeAppended, &events);
        self.bus.publish(seq);
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
                Effect::Launch { stage, executor, slot } => {
                    let cancel = self.work.inline.signal();
                    self.launch(stage, Start { executor, slot, cancel, adopted: false });
                }
                Effect::Stop { stage, attempt } => self.stop(stage, attempt),
                Effect::Release { job, executor } => self.releases.release(&self.core, executor, job),
            }
        }
        self.work.effects = effects;
    }

    fn stop(&self, stage: StageIndex, attempt: u32) {
        // In one batch an attempt may be stopped and the next one begun, because the first had ended by itself.
        if let Some(job) = self.work.jobs.get(&key(stage)).filter(|job| job.attempt == attempt) {
            tracing::debug!(stage = %self.run.graph().name(stage), attempt, "stopping");
            job.cancel.raise(if self.work.killed { Stop::Now } else { Stop::Gracefully });
        }
    }

    fn launch(&mut self, stage: StageIndex, start: Start) {
        let Start { executor, slot, cancel, adopted } = start;
        let attempt = self.run.attempts(stage);
        let prepared = match self.preparer.prepare(&self.run, stage, attempt) {
            Ok(prepared) => prepared,
            Err(error) => {
                let message = self.host.masker().mask(&error.to_string());
                let outcome = Ok(JobOutcome::failed_because(Cause::Start, message));
                let job = self.job(stage, attempt);
                return self.work.ended.push((Ended { stage, job, outcome }, executor, Some(slot)));
            }
        };
        let Prepared { job, inputs, secrets, caches } = prepared;
        let mut ctx = self.context.for_job(cancel.clone());
        if let Some(inputs) = inputs {
            ctx = ctx.rebuild().inputs(inputs).build();
        }
        if let Some(secrets) = secrets {
            ctx = ctx.rebuild().secrets(secrets).build();
        }
        // Where jobs end with the engine there is nothing to make ready, and no time to look.
        if self.core.executors[executor].adoption == Adoption::ByJobId {
            ctx = ctx.rebuild().successors(self.successors(stage, executor)).build();
        }
        let begun = Attempt { host: Arc::clone(&self.host), executor, job, ctx, caches, adopted };
        match self.work.inline.start(begun, stage, &self.bus) {
            Launched::Ended(ended) => {
                self.work.ended.push((ended, executor, Some(slot)));
                self.work.inline.give_back(cancel);
            }
            Launched::Running(task) => {
                let running = Running { attempt, executor, slot, cancel, _task: task };
                self.work.jobs.insert(key(stage), running);
            }
        }
    }

    /// How many stages start at this executor next, as far as one round can tell.
    fn successors(&self, stage: StageIndex, executor: usize) -> usize {
        let next = self.run.ready(self.work.last).chain(self.run.ready_after(stage));
        // What is laid out ahead is a whole source, which no cacheable stage sees.
        let is_meant = |next: &StageIndex| self.placement.of(next.index()) == executor && !self.is_cacheable(*next);
        next.take(ROUND).filter(is_meant).count()
    }

    fn job(&self, stage: StageIndex, attempt: u32) -> JobId {
        JobId { run: self.bus.info.id, stage: self.run.graph().name(stage).clone(), attempt }
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
            match self.core.executors[executor].adoption {
                Adoption::ByJobId => {
                    let cancel = CancelSignal::new();
                    if is_stopped {
                        cancel.raise(Stop::Gracefully);
                    }
                    let slot = self.core.slots.beyond(executor);
                    self.launch(stage, Start { executor, slot, cancel, adopted: true });
                }
                Adoption::None => {
                    let outcome = JobOutcome::lost().with_message("it ended with the engine that ran it");
                    let job = self.job(stage, attempt);
                    self.work.ended.push((Ended { stage, job, outcome: Ok(outcome) }, executor, None));
                }
            }
        }
        self.work.more = self.run.seq() > 0;
    }

    /// The last event is durable: sees to it that nothing of the run is left.
    async fn finish(mut self) -> Arc<Run> {
        self.core.slots.leave(self.bus.info.id);
        // A slot that came just before is for somebody else.
        self.inbox.close();
        while self.inbox.try_recv().is_ok() {}
        self.releases.all().await;
        self.evict_results().await;
        self.core.reach(CrashPoint::RunFinished, None);
        super::release::close(&self.core, &self.bus, &self.used).await;
        Arc::new(self.run)
    }
}

fn key(stage: StageIndex) -> u32 {
    // A graph has at most 2^32 stages, so this loses nothing.
    stage.index() as u32
}
