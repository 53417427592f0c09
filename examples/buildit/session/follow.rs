//! Follows a run to its end: shows what happens, answers what it asks, passes signals on.

use std::collections::VecDeque;
use std::time::Duration;

use buildit::event::{Approval, Event, EventBody};
use buildit::id::StageName;
use buildit::pipeline::{ApprovalField, PipelineSpec};
use futures_util::StreamExt;
use jiff::Timestamp;

use super::ask::{Asked, ask};
use super::logs::{Logs, Page};
use super::{Answers, Course, Killed, Signal, Signals};
use crate::exit::Failure;
use crate::report::{Attempt, Board, Reporter, Theme};

/// How often what moves is drawn again: often enough for a spinner, seldom enough to cost nothing.
const TICK: Duration = Duration::from_millis(100);

/// Everything that following a run needs.
#[derive(Debug)]
pub(crate) struct Follower<'a> {
    run: &'a dyn Course,
    plan: &'a PipelineSpec,
    answers: &'a Answers,
    /// How to ask, when there is somebody to ask.
    asks: Option<Theme>,
    questions: VecDeque<Question>,
    /// The question that is on the terminal now, and where its answer comes from.
    open: Option<(StageName, Asked)>,
}

#[derive(Debug)]
struct Question {
    stage: StageName,
    message: String,
    fields: Vec<ApprovalField>,
}

impl<'a> Follower<'a> {
    /// Follows this run. `asks` says how to put questions when there is a person.
    pub(crate) fn new(run: &'a dyn Course, plan: &'a PipelineSpec, answers: &'a Answers, asks: Option<Theme>) -> Self {
        Self { run, plan, answers, asks, questions: VecDeque::new(), open: None }
    }

    /// Shows the run until its last event.
    pub(crate) async fn follow(
        mut self,
        board: &mut Board,
        reporter: &mut dyn Reporter,
        signals: &mut Signals,
    ) -> Result<(), Failure> {
        let mut events = self.run.events();
        let mut logs = Logs::new(self.run);
        let mut notices = self.run.notices();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                signal = signals.next() => self.pass_on(signal, board, reporter).await,
                answer = given(&mut self.open) => self.take(answer, board, reporter).await,
                Some(text) = notices.next() => reporter.notice(board, &text),
                event = events.next() => match event.transpose().map_err(stopped)? {
                    Some(event) => {
                        self.happened(&event, &mut logs, board, reporter).await.map_err(stopped)?;
                        if matches!(event.body, EventBody::RunFinished { .. }) {
                            break;
                        }
                    }
                    None => break,
                },
                Some(page) = logs.next() => show(&page.map_err(stopped)?, board, reporter),
                // While a question is open, the terminal belongs to the person.
                _ = tick.tick(), if self.open.is_none() => reporter.tick(board, Timestamp::now()),
            }
        }
        Ok(())
    }

    async fn happened(
        &mut self,
        event: &Event,
        logs: &mut Logs<'_>,
        board: &mut Board,
        reporter: &mut dyn Reporter,
    ) -> anyhow::Result<()> {
        match &event.body {
            EventBody::AttemptStarted { stage, attempt, .. } => logs.open(stage, *attempt, event.seq),
            // The log of an earlier result is whole already.
            EventBody::ResultTaken { stage, .. } => {
                logs.open(stage, 0, event.seq);
                while let Some(page) = logs.rest(stage, 0).await.transpose()? {
                    show(&page, board, reporter);
                }
            }
            // Its log is whole by now: it is shown to its end before the end itself is.
            EventBody::AttemptFinished { stage, attempt, .. } => {
                while let Some(page) = logs.rest(stage, *attempt).await.transpose()? {
                    show(&page, board, reporter);
                }
            }
            _ => {}
        }
        let ended = match &event.body {
            EventBody::ApprovalGiven { stage, missing: 0, .. } | EventBody::StageFinished { stage, .. } => Some(stage),
            _ => None,
        };
        // Answered by somebody else, or too late: the question goes, and an answer to it is passed over. Before anything
        // is said about it, which would stand on its line.
        if let Some(ended) = ended {
            self.questions.retain(|question| question.stage != *ended);
            self.open.take_if(|(open, _)| open == ended);
        }
        board.apply(event);
        reporter.event(board, event);
        if let EventBody::ApprovalRequested { stage, message, fields, .. } = &event.body {
            self.asked(stage, message, fields, board, reporter).await;
        } else if ended.is_some() {
            self.ask_next(reporter);
        }
        Ok(())
    }

    /// A stage waits for a person.
    async fn asked(
        &mut self,
        stage: &StageName,
        message: &str,
        fields: &[ApprovalField],
        board: &Board,
        reporter: &mut dyn Reporter,
    ) {
        let known = self.plan.stage(stage).cloned();
        if let Some(approval) = known.and_then(|known| self.answers.answer(&known, fields)) {
            self.approve(stage, approval, board, reporter).await;
            return;
        }
        self.questions.push_back(Question { stage: stage.clone(), message: message.into(), fields: fields.to_vec() });
        self.ask_next(reporter);
    }

    fn ask_next(&mut self, reporter: &mut dyn Reporter) {
        let Some(theme) = self.asks.filter(|_| self.open.is_none()) else { return };
        if let Some(Question { stage, message, fields }) = self.questions.pop_front() {
            reporter.pause();
            let answer = ask(&stage, &message, &fields, self.answers, theme);
            self.open = Some((stage, answer));
        }
    }

    /// The person answered, or closed the terminal.
    async fn take(&mut self, answer: Option<Approval>, board: &Board, reporter: &mut dyn Reporter) {
        let Some((stage, _)) = self.open.take() else { return };
        let approval = answer.unwrap_or_else(|| Approval::no(self.answers.by()));
        self.approve(&stage, approval, board, reporter).await;
        self.ask_next(reporter);
    }

    async fn approve(&self, stage: &StageName, approval: Approval, board: &Board, reporter: &mut dyn Reporter) {
        if let Err(error) = self.run.approve(stage, approval).await {
            reporter.notice(board, &format!("{error:#}"));
        }
    }

    async fn pass_on(&mut self, signal: Signal, board: &Board, reporter: &mut dyn Reporter) {
        match signal {
            Signal::Cancel(reason) => {
                // Nothing will come of the answers.
                self.questions.clear();
                self.open = None;
                if let Err(error) = self.run.cancel(reason).await {
                    reporter.notice(board, &format!("{error:#}"));
                }
            }
            Signal::Kill => match self.run.kill("Ctrl-C, twice") {
                Killed::Yes => reporter.notice(board, "killing what still runs"),
                Killed::Elsewhere => {
                    reporter.notice(board, "the run ends on its server");
                    leave(reporter);
                }
            },
            Signal::Leave => leave(reporter),
        }
    }
}

/// A run that cannot be followed any further.
fn stopped(error: anyhow::Error) -> Failure {
    Failure::Backend(error)
}

fn leave(reporter: &mut dyn Reporter) -> ! {
    reporter.pause();
    std::process::exit(i32::from(crate::exit::Exit::Cancelled as u8))
}

/// The answer to the open question; never, when there is none.
async fn given(open: &mut Option<(StageName, Asked)>) -> Option<Approval> {
    match open {
        Some((_, asked)) => asked.answer().await,
        None => std::future::pending().await,
    }
}

fn show(page: &Page, board: &mut Board, reporter: &mut dyn Reporter) {
    for line in page.log.chunk.iter() {
        board.log(&page.stage, page.log.attempt, &line);
        reporter.log(board, Attempt { stage: &page.stage, number: page.log.attempt }, &line);
    }
}
