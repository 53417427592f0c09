//! The logs of all attempts that are under way.

use std::future::poll_fn;
use std::task::Poll;

use buildit::engine::StageLog;
use buildit::id::StageName;
use futures_util::stream::StreamExt;

use super::course::{Course, Pieces};

/// Some lines of an attempt's log.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) stage: StageName,
    pub(crate) log: StageLog,
}

/// The log of one attempt.
struct Open {
    stage: StageName,
    attempt: u32,
    lines: Pieces<StageLog>,
}

/// The logs of all attempts that are under way.
pub(crate) struct Logs<'a> {
    run: &'a dyn Course,
    open: Vec<Open>,
    /// Which of them is looked at first the next time, so that one that prints without end starves no other.
    first: usize,
}

impl<'a> Logs<'a> {
    /// No log yet of this run.
    pub(crate) fn new(run: &'a dyn Course) -> Self {
        Self { run, open: Vec::new(), first: 0 }
    }

    /// An attempt started, with the event of this number.
    pub(crate) fn open(&mut self, stage: &StageName, attempt: u32, started: u64) {
        let lines = self.run.log(stage, attempt, started);
        self.open.push(Open { stage: stage.clone(), attempt, lines });
    }

    /// The next lines of any attempt; `None` when none is under way.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Option<anyhow::Result<Page>> {
        poll_fn(|cx| {
            let mut looked = 0;
            while looked < self.open.len() {
                let at = (self.first + looked) % self.open.len();
                match self.open[at].lines.poll_next_unpin(cx) {
                    Poll::Ready(Some(log)) => {
                        self.first = at + 1;
                        let stage = self.open[at].stage.clone();
                        return Poll::Ready(Some(log.map(|log| Page { stage, log })));
                    }
                    Poll::Ready(None) => {
                        self.open.swap_remove(at);
                    }
                    Poll::Pending => looked += 1,
                }
            }
            if self.open.is_empty() { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    }

    /// The next of the last lines of an attempt that has ended; `None` after them.
    pub(crate) async fn rest(&mut self, stage: &StageName, attempt: u32) -> Option<anyhow::Result<Page>> {
        let at = self.open.iter().position(|open| open.stage == *stage && open.attempt == attempt)?;
        match self.open[at].lines.next().await {
            Some(log) => Some(log.map(|log| Page { stage: stage.clone(), log })),
            None => {
                self.open.swap_remove(at);
                None
            }
        }
    }
}
