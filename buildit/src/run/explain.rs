//! Why each stage of a run is where it is.

use std::collections::HashMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Run, StagePhase, protection, when};
use crate::event::{Event, EventBody, Miss, RunStatus, StageReason, TakenResult};
use crate::graph::StageIndex;
use crate::id::{RunId, StageName};
use crate::pipeline::{Origin, StageSpec};

/// Why a stage is where it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The stage.
    pub stage: StageName,
    /// Where it is: the word for how it ended, or `pending`, `ready`, `waiting`, `held`, `running`, `retrying`.
    pub state: &'static str,
    /// Why.
    #[serde(flatten)]
    pub why: Why,
    /// Where what decided it is written, as `FILE:LINE:COLUMN`, if it was read from text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Whether it is a cacheable stage that runs on the host, whose tools are no part of its key.
    pub host_tools: bool,
}

/// Why a stage is where it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "why")]
#[non_exhaustive]
pub enum Why {
    /// It ran, or runs.
    Ran {
        /// How many attempts were started.
        attempts: u32,
        /// The stages that it needed.
        needs: Vec<StageName>,
        /// The clause of its condition that held, if it has one.
        when: Option<String>,
        /// Whether an earlier result could have been taken.
        cacheable: bool,
        /// Why none was; `None` for a cacheable stage where the engine keeps no results.
        miss: Option<Miss>,
        /// Why it did not succeed.
        reason: Option<String>,
    },
    /// An earlier result was taken.
    Hit {
        /// The run that made it.
        #[serde(rename = "from_run")]
        run: RunId,
        /// The stage of that run.
        from: StageName,
        /// The attempt.
        attempt: u32,
    },
    /// This run goes on from an earlier one, in which it had ended.
    Carried {
        /// That run, or the one whose result it had taken.
        #[serde(rename = "from_run")]
        run: RunId,
        /// The stage of that run.
        from: StageName,
        /// The attempt.
        attempt: u32,
    },
    /// It ended without an attempt.
    NotRun {
        /// Why.
        reason: String,
    },
    /// It waits.
    Waits {
        /// For what.
        wait: Wait,
    },
}

/// What a stage waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "for")]
#[non_exhaustive]
pub enum Wait {
    /// For the run to begin: no engine has taken it up.
    Begin,
    /// For the run's turn in its concurrency group.
    Group {
        /// The run that has the turn.
        holder: Holder,
    },
    /// For stages that have not ended.
    Needs {
        /// These.
        stages: Vec<StageName>,
    },
    /// For a person.
    Approval {
        /// Who may answer; empty for anybody.
        by: Vec<String>,
        /// When the answer comes too late.
        deadline: Option<Timestamp>,
    },
    /// For a time to pass, because its environment wants it.
    Hold {
        /// The environment.
        environment: String,
        /// Until when.
        until: Timestamp,
    },
    /// For its next attempt.
    Retry {
        /// The attempt.
        attempt: u32,
        /// Not before this.
        at: Timestamp,
    },
    /// For room among the jobs that run.
    Room {
        /// How many jobs of this run are under way.
        running: usize,
        /// How many there may be, if the pipeline says so; else the engine and its executors do.
        limit: Option<u32>,
    },
}

/// The run that has the turn in a concurrency group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its id.
    pub run: RunId,
    /// Its number.
    pub number: u64,
}

impl Run {
    /// Why each stage is where it is, in the order of the pipeline. `events` are those that this run was made of;
    /// `holder` is the run that has the turn in its concurrency group, for one that has not begun.
    #[must_use]
    pub fn explain(&self, events: &[Event], holder: Option<Holder>) -> Vec<Explanation> {
        let seen = Seen::of(events);
        let explain = |stage| {
            let spec = &self.fixed.spec.stages[StageIndex::index(stage)];
            let (why, place) = self.why(stage, spec, &seen, holder);
            let host_tools = spec.cacheable && spec.image.is_none();
            let place = place.map(|origin| origin.to_string());
            Explanation { stage: spec.name.clone(), state: self.word(stage), why, place, host_tools }
        };
        self.fixed.graph.stages().map(explain).collect()
    }

    fn word(&self, stage: StageIndex) -> &'static str {
        match self.stage(stage) {
            StagePhase::Pending => "pending",
            StagePhase::Ready => "ready",
            StagePhase::Waiting => "waiting",
            StagePhase::Held => "held",
            StagePhase::Running => "running",
            StagePhase::Backoff => "retrying",
            StagePhase::Ended(status) => status.as_str(),
        }
    }

    fn why<'s>(
        &self,
        stage: StageIndex,
        spec: &'s StageSpec,
        seen: &Seen<'_>,
        holder: Option<Holder>,
    ) -> (Why, Option<&'s Origin>) {
        if let Some(TakenResult { key, run, stage: from, attempt, .. }) = seen.taken.get(&spec.name) {
            let (run, from, attempt) = (*run, from.clone(), *attempt);
            return match key {
                Some(_) => (Why::Hit { run, from, attempt }, spec.origins.get("cacheable")),
                None => (Why::Carried { run, from, attempt }, None),
            };
        }
        let result = self.result(stage);
        let is_open = !matches!(self.stage(stage), StagePhase::Running | StagePhase::Ended(_));
        if is_open {
            let (wait, place) = self.wait(stage, spec, seen, holder);
            return (Why::Waits { wait }, place);
        }
        let attempts = self.attempts(stage);
        let reason = result.and_then(|result| result.reason);
        match reason {
            Some(reason) if attempts == 0 => {
                let place = match &*reason {
                    StageReason::When { clause } => written(spec, clause),
                    StageReason::WhenFailed { .. } => written(spec, ""),
                    StageReason::NeedFailed { need } => spec.origins.get(&format!("needs.{need}")),
                    StageReason::Rejected { .. } | StageReason::ApprovalTimedOut => asked(spec),
                    StageReason::BranchNotAllowed { .. } => spec.origins.get("environment"),
                    _ => None,
                };
                (Why::NotRun { reason: reason.to_string() }, place)
            }
            reason => {
                let clause = spec.when.as_deref().and_then(|condition| {
                    let at = stage.index() as u32;
                    when::evaluate(&self.fixed, &self.state, at, condition).ok().map(|verdict| verdict.clause)
                });
                let place = clause.as_deref().and_then(|clause| written(spec, clause));
                let miss = seen.misses.get(&spec.name).map(|miss| (*miss).clone());
                let (needs, cacheable) = (spec.needs.clone(), spec.cacheable);
                let reason = reason.map(|reason| reason.to_string());
                (Why::Ran { attempts, needs, when: clause, cacheable, miss, reason }, place)
            }
        }
    }

    fn wait<'s>(
        &self,
        stage: StageIndex,
        spec: &'s StageSpec,
        seen: &Seen<'_>,
        holder: Option<Holder>,
    ) -> (Wait, Option<&'s Origin>) {
        if self.status() == RunStatus::Queued {
            return (holder.map_or(Wait::Begin, |holder| Wait::Group { holder }), None);
        }
        match self.stage(stage) {
            StagePhase::Pending => {
                let open =
                    self.fixed.graph.needs(spec).filter(|need| !matches!(self.stage(*need), StagePhase::Ended(_)));
                let stages = open.map(|need| self.fixed.graph.name(need).clone()).collect();
                (Wait::Needs { stages }, None)
            }
            StagePhase::Waiting => {
                let mut by = spec.approval.as_ref().map(|approval| approval.by.clone()).unwrap_or_default();
                let rules = protection::of(&self.fixed, stage.index() as u32);
                by.extend(rules.into_iter().flat_map(|(_, rules)| rules.by.iter().cloned()));
                let deadline = seen.deadlines.get(&spec.name).copied();
                (Wait::Approval { by, deadline }, asked(spec))
            }
            StagePhase::Held => {
                let environment = spec.environment.clone().unwrap_or_default();
                let until = self.held_until(stage).unwrap_or_default();
                (Wait::Hold { environment, until }, spec.origins.get("environment"))
            }
            StagePhase::Backoff => {
                let at = self.next_attempt(stage).unwrap_or_default();
                (Wait::Retry { attempt: self.attempts(stage) + 1, at }, spec.origins.get("retry"))
            }
            _ => {
                let limit = self.fixed.spec.max_parallel.map(std::num::NonZeroU32::get);
                (Wait::Room { running: self.wanted().count(), limit }, None)
            }
        }
    }
}

/// Where it is written that people are asked.
fn asked(spec: &StageSpec) -> Option<&Origin> {
    spec.origins.get("approval").or_else(|| spec.origins.get("environment"))
}

/// Where the clause of a condition is written.
fn written<'s>(spec: &'s StageSpec, clause: &str) -> Option<&'s Origin> {
    let property = clause.split('=').next().unwrap_or_default().trim();
    let origins = &spec.origins;
    origins.get(&format!("when.{property}[0]")).or_else(|| origins.get("when")).or_else(|| origins.get("stage"))
}

/// What only the events tell.
#[derive(Default)]
struct Seen<'e> {
    taken: HashMap<&'e StageName, &'e TakenResult>,
    misses: HashMap<&'e StageName, &'e Miss>,
    deadlines: HashMap<&'e StageName, Timestamp>,
}

impl<'e> Seen<'e> {
    fn of(events: &'e [Event]) -> Self {
        let mut seen = Self::default();
        for event in events {
            match &event.body {
                EventBody::ResultTaken { stage, result } => drop(seen.taken.insert(stage, result)),
                EventBody::ResultMissed { stage, miss } => drop(seen.misses.insert(stage, miss)),
                EventBody::ApprovalRequested { stage, deadline: Some(deadline), .. } => {
                    seen.deadlines.insert(stage, *deadline);
                }
                _ => {}
            }
        }
        seen
    }
}

impl Why {
    /// The earlier run whose result counts here.
    #[must_use]
    pub fn earlier(&self) -> Option<RunId> {
        match self {
            Self::Hit { run, .. } | Self::Carried { run, .. } => Some(*run),
            Self::Ran { .. } | Self::NotRun { .. } | Self::Waits { .. } => None,
        }
    }

    /// The sentence for people, in which the [earlier run](Self::earlier) has this name: what only a store knows of it
    /// is its number.
    ///
    /// ```
    /// # use buildit::{RunId, run::Why};
    /// let why = Why::Carried { run: RunId::new(), from: "build".into(), attempt: 1 };
    /// assert_eq!(why.naming(&"#7").to_string(), "carried over from `build` of run #7, attempt 1");
    /// ```
    pub fn naming<'a>(&'a self, earlier: &'a dyn fmt::Display) -> impl fmt::Display + 'a {
        fmt::from_fn(move |f| self.tell(earlier, f))
    }

    fn tell(&self, earlier: &dyn fmt::Display, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ran { attempts, needs, when, cacheable, miss, reason } => {
                match (miss, cacheable, when, needs.is_empty()) {
                    (Some(miss), ..) => write!(f, "ran: {miss}")?,
                    (None, true, ..) => f.write_str("ran: it is cacheable, and no results are kept")?,
                    (None, false, Some(when), _) => write!(f, "ran: its condition holds: {when}")?,
                    (None, false, None, true) => f.write_str("ran: it needs nothing")?,
                    (None, false, None, false) => write!(f, "ran: what it needs is done: {}", listed(needs))?,
                }
                if *attempts > 1 {
                    write!(f, "; {attempts} attempts")?;
                }
                reason.as_ref().map_or(Ok(()), |reason| write!(f, "; {reason}"))
            }
            Self::Hit { from, attempt, .. } => {
                write!(f, "taken from `{from}` of run {earlier}, attempt {attempt}: nothing that it is made of changed")
            }
            Self::Carried { from, attempt, .. } => {
                write!(f, "carried over from `{from}` of run {earlier}, attempt {attempt}")
            }
            Self::NotRun { reason } => write!(f, "did not run: {reason}"),
            Self::Waits { wait } => write!(f, "waits {wait}"),
        }
    }
}

impl fmt::Display for Why {
    /// The earlier run, if there is one, by its id.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.earlier() {
            Some(run) => self.tell(&run, f),
            None => self.tell(&"", f),
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin => f.write_str("for an engine that takes the run up"),
            Self::Group { holder: Holder { number, .. } } => {
                write!(f, "for its turn: run #{number} holds the concurrency group")
            }
            Self::Needs { stages } => write!(f, "for {}", listed(stages)),
            Self::Approval { by, deadline } => {
                match by.is_empty() {
                    true => f.write_str("for an approval")?,
                    false => write!(f, "for an approval by {}", by.join(", "))?,
                }
                deadline.map_or(Ok(()), |deadline| write!(f, " until {deadline}"))
            }
            Self::Hold { environment, until } => write!(f, "until {until}: `{environment}` wants it"),
            Self::Retry { attempt, at } => write!(f, "for attempt {attempt}, not before {at}"),
            Self::Room { running, limit: Some(limit) } => {
                write!(f, "for room: {running} of its pipeline's {limit} jobs are under way")
            }
            Self::Room { running, limit: None } => {
                write!(f, "for a slot of its executor: {running} jobs of this run are under way")
            }
        }
    }
}

fn listed(stages: &[StageName]) -> String {
    let quoted: Vec<String> = stages.iter().map(|stage| format!("`{stage}`")).collect();
    quoted.join(", ")
}
