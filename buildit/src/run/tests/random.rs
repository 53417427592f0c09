//! Random pipelines with random outcomes: order, join rules, retries, limits and approvals always hold, and a run out
//! of its events is the run that lived (guarantees G2 and G10).
//!
//! `BUILDIT_RANDOM_DAGS` says how many, `BUILDIT_SEED` where to begin; a failure prints what repeats it.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::generate::{Random, pipeline};
use super::judge::Judge;
use crate::event::{Approval, Event, EventBody, Miss, TakenResult};
use crate::graph::{Graph, StageIndex};
use crate::id::{Digest, RunId};
use crate::job::{Cause, JobOutcome, JobProducts, Status};
use crate::pipeline::{PipelineSpec, RunContext};
use crate::run::{Input, InputError, Run, RunInfo, StagePhase};

/// Enough to meet every rule many times, and few enough that nobody waits for them.
const DEFAULT_COUNT: u64 = 2_000;

#[expect(clippy::disallowed_methods, reason = "a test is told how much to do")]
fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.replace('_', "").parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Prints how to repeat a case that panics.
struct Repeat(u64);

impl Drop for Repeat {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("repeat this case with BUILDIT_SEED={} BUILDIT_RANDOM_DAGS=1", self.0);
        }
    }
}

#[test]
fn g2_g10_random_runs_follow_the_rules() {
    let count = setting("BUILDIT_RANDOM_DAGS").unwrap_or(DEFAULT_COUNT);
    let seed =
        setting("BUILDIT_SEED").unwrap_or_else(|| foldhash::fast::RandomState::default().build_hasher().finish());
    println!("{count} random runs from BUILDIT_SEED={seed}");
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                for case in (thread..count).step_by(threads as usize) {
                    let seed = seed.wrapping_add(case);
                    let repeat = Repeat(seed);
                    one(seed, case % 64 == 0);
                    drop(repeat);
                }
            });
        }
    });
}

struct Case<'a> {
    random: Random,
    run: Run,
    /// The same run, which sees only the stored events.
    replayed: Run,
    judge: Judge<'a>,
    events: Vec<Event>,
    now: Timestamp,
}

/// One pipeline, driven at random to its end. `thorough` adds checks that cost more than the rest.
fn one(seed: u64, thorough: bool) {
    let mut random = Random::new(seed);
    let spec = Arc::new(pipeline(&mut random));
    let run = new_run(&spec);
    let mut case = Case {
        random,
        replayed: run.clone(),
        run,
        judge: Judge::new(&spec),
        events: Vec::new(),
        now: Timestamp::UNIX_EPOCH,
    };
    let begins = !case.random.one_in(50);
    case.tell(if begins { Input::Begin } else { Input::Cancel { reason: "early" } }).unwrap();
    for _ in 0..10_000 {
        if case.run.status().is_final() {
            case.check_end(thorough);
            return;
        }
        case.step();
    }
    panic!("the run does not end: {:?}", case.run);
}

fn new_run(spec: &Arc<PipelineSpec>) -> Run {
    let graph = Arc::new(Graph::new(spec).expect("a generated pipeline is valid"));
    let info = RunInfo { id: RunId::from(uuid::Uuid::nil()), number: 1 };
    Run::new(spec.clone(), graph, Arc::new(RunContext::manual()), info)
}

impl Case<'_> {
    fn tell(&mut self, input: Input<'_>) -> Result<(), InputError> {
        let mut out = Vec::new();
        let told = self.run.advance(input, self.now, &mut out);
        for body in out {
            let body = body.try_map_stage(|stage| Ok::<_, ()>(self.run.graph().name(stage).clone())).unwrap();
            let event = Event { seq: self.events.len() as u64 + 1, time: self.now, body };
            self.judge.see(&event);
            self.replayed.replay_one(&event).unwrap();
            self.events.push(event);
        }
        self.check();
        told
    }

    /// What holds whenever nothing more follows by itself.
    fn check(&self) {
        assert!(self.run == self.replayed, "the replayed run differs");
        assert_eq!(self.run.status(), self.judge.status(self.now));
        let mut ready = 0;
        for stage in self.run.graph().stages() {
            let expected = self.judge.expected(stage.index(), self.now);
            let actual = match self.run.stage(stage) {
                StagePhase::Backoff if self.run.next_attempt(stage).is_some_and(|at| at <= self.now) => {
                    StagePhase::Ready
                }
                actual => actual,
            };
            assert_eq!(actual, expected, "{}", self.run.graph().name(stage));
            ready += usize::from(expected == StagePhase::Ready);
            assert_eq!(self.run.wanted_of(stage).is_some(), expected == StagePhase::Running);
        }
        let running = self.run.wanted().count();
        let limit = self.run.spec().max_parallel.map_or(usize::MAX, |limit| limit.get() as usize);
        assert_eq!(self.run.ready(self.now).count(), ready.min(limit.saturating_sub(running)));
        let wakeup = self.run.next_wakeup(self.now);
        assert_eq!(wakeup, self.judge.next_wakeup(self.now).filter(|_| !self.run.status().is_final()));
        assert!(wakeup.is_none_or(|at| at > self.now), "it would wake for nothing");
    }

    fn step(&mut self) {
        if self.random.one_in(40) {
            self.restart();
        }
        match self.random.below(20) {
            0 => self.nonsense(),
            1 if self.random.one_in(6) => self.tell(Input::Cancel { reason: "ann" }).unwrap(),
            1 | 2 => {
                self.now += Duration::from_millis(self.random.below(3_000) as u64);
                self.tell(Input::Tick).unwrap();
            }
            3..=10 => self.start(),
            11..=16 => self.finish(),
            _ => self.answer(),
        }
    }

    /// The engine dies and another takes over.
    fn restart(&mut self) {
        let of = &self.run;
        let (spec, graph, context) = (of.spec().clone(), of.graph().clone(), of.context().clone());
        self.run = Run::replay(spec, graph, context, of.info(), &self.events).unwrap();
        self.tell(Input::Tick).unwrap();
    }

    /// Takes an earlier result for a stage that waits for nothing, not even for room, or says that there is none.
    fn look(&mut self) {
        let stages = self.run.graph().stages();
        let new: Vec<StageIndex> =
            stages.filter(|at| self.run.stage(*at) == StagePhase::Ready && self.run.attempts(*at) == 0).collect();
        if new.is_empty() {
            return;
        }
        let stage = self.random.pick(&new);
        let products = self.random.one_in(2).then(|| Box::new(JobProducts::default()));
        let result = TakenResult {
            key: Some(Digest::of(b"key")),
            run: RunId::from(uuid::Uuid::nil()),
            stage: "earlier".into(),
            attempt: 1,
            products,
        };
        let input = match self.random.one_in(3) {
            true => Input::Miss { stage, miss: Box::new(Miss::First) },
            false => Input::Take { stage, result: Box::new(result) },
        };
        self.tell(input).unwrap();
    }

    fn start(&mut self) {
        if self.random.one_in(8) {
            return self.look();
        }
        let ready: Vec<StageIndex> = self.run.ready(self.now).collect();
        if let [first, ..] = ready[..] {
            let stage = if self.random.one_in(2) { first } else { self.random.pick(&ready) };
            self.tell(Input::Start { stage, executor: "test".into() }).unwrap();
        } else if let Some(wakeup) = self.run.next_wakeup(self.now)
            && self.random.one_in(2)
        {
            self.now = wakeup;
            self.tell(Input::Tick).unwrap();
        }
    }

    fn finish(&mut self) {
        let running: Vec<_> = self.run.wanted().map(|job| (job.stage, job.attempt, job.stop)).collect();
        if running.is_empty() {
            return;
        }
        let (stage, attempt, stop) = self.random.pick(&running);
        let outcome = match self.random.below(12) {
            _ if stop.is_some() && !self.random.one_in(4) => JobOutcome::cancelled(),
            0 | 1 => JobOutcome::failed(1 + self.random.below(3) as i32),
            2 => JobOutcome::lost(),
            3 => JobOutcome::failed_because(Cause::Oom, "too much"),
            4 => JobOutcome::failed_because(Cause::Infrastructure, "gone"),
            5 => JobOutcome::cancelled(),
            6 if self.random.one_in(4) => JobOutcome { status: Status::Skipped, ..JobOutcome::succeeded() },
            _ => JobOutcome::succeeded(),
        };
        self.tell(Input::Finished { stage, attempt, outcome }).unwrap();
    }

    fn answer(&mut self) {
        let waiting: Vec<StageIndex> = self.run.waiting().collect();
        if waiting.is_empty() {
            return;
        }
        let stage = self.random.pick(&waiting);
        let fields = !self.run.spec().stages[stage.index()].approval.as_ref().unwrap().fields.is_empty();
        let approval = match self.random.below(4) {
            0 => Approval::no("bob"),
            1 if fields => {
                let bad = Input::Approve { stage, approval: Approval::yes("ann") };
                return assert!(matches!(self.tell(bad), Err(InputError::Approval(_))));
            }
            _ if fields => Approval::yes("ann").with_field("note", "fine"),
            _ => Approval::yes("ann"),
        };
        self.tell(Input::Approve { stage, approval }).unwrap();
    }

    /// Inputs that make no sense change nothing.
    fn nonsense(&mut self) {
        let stages = self.run.graph().len();
        let stage = StageIndex::new(self.random.below(stages));
        let before = self.run.clone();
        let told = match self.run.stage(stage) {
            StagePhase::Running => {
                let attempt = self.run.attempts(stage) + 1;
                self.tell(Input::Finished { stage, attempt, outcome: JobOutcome::succeeded() })
            }
            StagePhase::Waiting | StagePhase::Pending | StagePhase::Ended(_) if self.random.one_in(2) => {
                self.tell(Input::Start { stage, executor: "test".into() })
            }
            StagePhase::Waiting => return,
            StagePhase::Pending | StagePhase::Ended(_) if self.random.one_in(3) => {
                self.tell(Input::Miss { stage, miss: Box::new(Miss::First) })
            }
            _ if self.random.one_in(2) => self.tell(Input::Approve { stage, approval: Approval::yes("ann") }),
            _ => self.tell(Input::Begin),
        };
        assert!(told.is_err() && self.run == before);
    }

    fn check_end(&mut self, thorough: bool) {
        assert_eq!(self.run.open(), 0);
        assert_eq!(self.run.wanted().count() + self.run.ready(self.now).count(), 0);
        if thorough {
            assert_eq!(self.run.snapshot(), self.replayed.snapshot());
            // Whatever part of the record was kept, the run can be brought to an end from there.
            for kept in 0..self.events.len() {
                self.finish_from(kept);
            }
        }
    }

    /// Goes on from the first `kept` events: every stage ends once, and so does the run.
    fn finish_from(&self, kept: usize) {
        let of = &self.run;
        let (spec, graph, context) = (of.spec().clone(), of.graph().clone(), of.context().clone());
        let mut run = Run::replay(spec, graph, context, of.info(), &self.events[..kept]).unwrap();
        let mut now = self.events[..kept].last().map_or(Timestamp::UNIX_EPOCH, |event| event.time);
        let mut out = Vec::new();
        let _ = run.advance(Input::Begin, now, &mut out);
        for _ in 0..1_000 {
            run.advance(Input::Tick, now, &mut out).unwrap();
            let running = run.wanted().next().map(|job| (job.stage, job.attempt));
            let next = run.ready(now).next();
            if run.status().is_final() {
                break;
            } else if let Some((stage, attempt)) = running {
                run.advance(Input::Finished { stage, attempt, outcome: JobOutcome::succeeded() }, now, &mut out)
                    .unwrap();
            } else if let Some(stage) = next {
                run.advance(Input::Start { stage, executor: "test".into() }, now, &mut out).unwrap();
            } else if let Some(wakeup) = run.next_wakeup(now) {
                now = wakeup;
            } else {
                let stage = run.waiting().next().expect("something to do");
                let approval = Approval::yes("ann").with_field("note", "fine");
                let plain = Approval::yes("ann");
                let told = run.advance(Input::Approve { stage, approval }, now, &mut out);
                told.or_else(|_| run.advance(Input::Approve { stage, approval: plain }, now, &mut out)).unwrap();
            }
        }
        assert!(run.status().is_final(), "{kept} events: {run:?}");
        let earlier = self.events[..kept].iter().filter(|event| matches!(event.body, EventBody::StageFinished { .. }));
        let later = out.iter().filter(|event| matches!(event, EventBody::StageFinished { .. }));
        assert_eq!(earlier.count() + later.count(), run.graph().len());
    }
}
