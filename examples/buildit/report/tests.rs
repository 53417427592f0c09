//! Events go in, text comes out.

use buildit::event::{Approval, Event, EventBody, RunStatus, StageReason, StageResult};
use buildit::id::RunId;
use buildit::job::{Cause, JobOutcome, LogLine, Status, Stream};
use buildit::pipeline::{Action, Cell, PipelineSpec, RunAction, StageSpec};
use jiff::{SignedDuration, Timestamp};

use super::human::{Human, Size, frame, summary};
use super::{Attempt, Board, Json, Palette, Plain, Reporter, Theme};
use crate::out::Page;

/// A run that is told step by step, a second for each.
struct Story<'a> {
    board: Board,
    reporters: Vec<&'a mut dyn Reporter>,
    now: Timestamp,
    seq: u64,
}

impl Story<'_> {
    fn event(&mut self, body: EventBody) {
        self.now += SignedDuration::from_secs(1);
        self.seq += 1;
        let event = Event { seq: self.seq, time: self.now, body };
        self.board.apply(&event);
        for reporter in &mut self.reporters {
            reporter.event(&self.board, &event);
        }
    }

    fn log(&mut self, stage: &str, line: u64, stream: Stream, text: &str) {
        let line = LogLine { line, time: self.now, stream, text: text.into() };
        self.board.log(stage, 1, &line);
        for reporter in &mut self.reporters {
            reporter.log(&self.board, Attempt { stage, number: 1 }, &line);
        }
    }

    fn start(&mut self, stage: &str) {
        self.event(EventBody::AttemptStarted { stage: stage.into(), attempt: 1, executor: "local".into() });
    }

    fn end(&mut self, stage: &str, outcome: JobOutcome, result: StageResult) {
        self.event(EventBody::AttemptFinished { stage: stage.into(), attempt: 1, outcome });
        self.event(EventBody::StageFinished { stage: stage.into(), result });
    }

    fn succeed(&mut self, stage: &str) {
        self.start(stage);
        self.end(stage, JobOutcome::succeeded(), StageResult::succeeded());
    }

    fn finish(&mut self, status: RunStatus) {
        self.event(EventBody::RunFinished { status });
        for reporter in &mut self.reporters {
            reporter.finish(&self.board);
        }
    }
}

fn stage(name: &str, needs: &[&str]) -> StageSpec {
    let mut stage = StageSpec::new(name, Action::Run(RunAction::default()));
    stage.needs = needs.iter().map(|&need| need.into()).collect();
    stage
}

fn plan() -> PipelineSpec {
    let cell = |db: &str| {
        let mut cell = stage(&format!("test[db={db}]"), &["fmt"]);
        let values = [("db".to_owned(), db.to_owned())].into_iter().collect();
        cell.cell = Some(Box::new(Cell { of: "test".into(), values }));
        cell
    };
    let stages =
        [stage("fmt", &[]), cell("postgres"), cell("sqlite"), stage("build", &["test"]), stage("ship", &["build"])];
    PipelineSpec { name: "shop".into(), stages: stages.into_iter().map(Into::into).collect(), ..Default::default() }
}

fn story<'a>(plan: &PipelineSpec, reporters: Vec<&'a mut dyn Reporter>) -> Story<'a> {
    let run: RunId = "018f4d5e-0000-7000-8000-000000000001".parse().unwrap();
    let board = Board::new(run, 12, plan, "main · 3f2a1c9");
    Story { board, reporters, now: Timestamp::UNIX_EPOCH, seq: 0 }
}

fn failed(code: i32) -> StageResult {
    StageResult {
        status: Status::Failed,
        exit_code: Some(code),
        reason: Some(Box::new(StageReason::Attempt { cause: Cause::Exit, message: None })),
        ..StageResult::succeeded()
    }
}

/// The middle of a run in which a cell has failed and another goes on.
fn middle(story: &mut Story<'_>) {
    story.event(EventBody::RunStarted);
    story.succeed("fmt");
    story.start("test[db=postgres]");
    story.start("test[db=sqlite]");
    story.log("test[db=postgres]", 1, Stream::Command, "cargo test");
    story.log("test[db=sqlite]", 1, Stream::Command, "cargo test");
    story.log("test[db=postgres]", 2, Stream::Stdout, "   Compiling shop v0.1.0");
    story.log("test[db=sqlite]", 2, Stream::Stderr, "\u{1b}[31merror\u{1b}[0m: no such table\u{1b}[2J: orders");
    story.end("test[db=sqlite]", JobOutcome::failed(101), failed(101));
}

fn end(story: &mut Story<'_>) {
    story.end("test[db=postgres]", JobOutcome::succeeded(), StageResult::succeeded());
    for (stage, need) in [("build", "test[db=sqlite]"), ("ship", "build")] {
        let result = StageResult::skipped(StageReason::NeedFailed { need: need.into() });
        story.event(EventBody::StageFinished { stage: stage.into(), result });
    }
    story.finish(RunStatus::Failed);
}

#[test]
fn json_has_the_shapes_of_the_contract() {
    let page = Page::default();
    let mut json = Json::new(page.out());
    let mut story = story(&plan(), vec![&mut json]);
    middle(&mut story);
    story.event(EventBody::ApprovalRequested {
        stage: "ship".into(),
        message: "Ship?".into(),
        fields: Vec::new(),
        deadline: None,
        needed: 1,
    });
    let approval = Box::new(Approval::yes("ann"));
    story.event(EventBody::ApprovalGiven { stage: "ship".into(), approval, missing: 0 });
    end(&mut story);
    insta::assert_snapshot!(page.text());
}

#[test]
fn json_counts_events_and_lines_together() {
    let page = Page::default();
    let mut json = Json::new(page.out());
    let mut story = story(&plan(), vec![&mut json]);
    middle(&mut story);
    for (line, number) in page.text().lines().zip(1_u64..) {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(object["seq"], number, "{line}");
    }
}

#[test]
fn plain_keeps_logs_and_progress_apart() {
    let (out, progress) = (Page::default(), Page::default());
    let mut plain = Plain::new(out.out(), progress.out(), Theme(Palette::Plain), None);
    let mut story = story(&plan(), vec![&mut plain]);
    middle(&mut story);
    end(&mut story);
    insta::assert_snapshot!("plain_out", out.text().replace('\u{1b}', "␛"));
    insta::assert_snapshot!("plain_progress", progress.text());
}

#[test]
fn human_shows_a_failure_at_once_and_the_rest_at_the_end() {
    let (out, progress) = (Page::default(), Page::default());
    let mut human = Human::new(out.out(), progress.out(), None, Theme(Palette::Plain));
    let mut story = story(&plan(), vec![&mut human]);
    middle(&mut story);
    insta::assert_snapshot!("human_at_once", progress.text());
    assert_eq!(out.text(), "", "results come at the end");
    end(&mut story);
    insta::assert_snapshot!("human_end", out.text());
}

fn draw(board: &Board, now: Timestamp, rows: usize, columns: usize) -> String {
    let lines = frame(board, now, 3, Size { rows, columns }, Theme(Palette::Plain));
    for line in &lines {
        assert!(crate::text::width(line) < columns, "{line:?} is as wide as {columns} columns");
    }
    assert!(lines.len() < rows, "{} lines leave no room for the cursor in {rows}", lines.len());
    lines.join("\n")
}

#[test]
fn frames_fit_wide_and_narrow() {
    let mut story = story(&plan(), Vec::new());
    middle(&mut story);
    insta::assert_snapshot!("frame_wide", draw(&story.board, story.now, 40, 120));
    insta::assert_snapshot!("frame_narrow", draw(&story.board, story.now, 40, 40));
}

#[test]
fn many_stages_are_folded_and_what_matters_stays() {
    let names: Vec<String> =
        (0..300).map(|number| format!("compile-the-crate-number-{number:03}-of-the-workspace")).collect();
    let stages = names.iter().map(|name| stage(name, &[]).into()).collect();
    let plan = PipelineSpec { name: "many".into(), stages, ..Default::default() };
    let mut story = story(&plan, Vec::new());
    story.event(EventBody::RunStarted);
    for name in &names[..100] {
        story.succeed(name);
    }
    story.start(&names[100]);
    story.end(&names[100], JobOutcome::failed(1), failed(1));
    for name in &names[101..105] {
        story.start(name);
    }
    insta::assert_snapshot!("frame_folded", draw(&story.board, story.now, 16, 100));
    for rows in [4, 5, 8, 60] {
        draw(&story.board, story.now, rows, 60);
    }
    for name in &names[105..200] {
        story.start(name);
    }
    insta::assert_snapshot!("frame_folded_running", draw(&story.board, story.now, 12, 100));
}

#[test]
fn a_long_list_counts_what_went_well() {
    let names: Vec<String> = (0..60).map(|number| format!("s{number}")).collect();
    let stages = names.iter().map(|name| stage(name, &[]).into()).collect();
    let plan = PipelineSpec { name: "many".into(), stages, ..Default::default() };
    let mut story = story(&plan, Vec::new());
    story.event(EventBody::RunStarted);
    for name in &names[..59] {
        story.succeed(name);
    }
    story.start("s59");
    story.end("s59", JobOutcome::failed(1), StageResult { allowed: true, ..failed(1) });
    story.event(EventBody::RunFinished { status: RunStatus::Succeeded });
    insta::assert_snapshot!("table_long", summary::table(&story.board, 80, Theme(Palette::Plain)).join("\n"));
}

#[test]
fn a_stage_that_was_taken_from_an_earlier_run_has_no_time() {
    let mut story = story(&plan(), Vec::new());
    story.event(EventBody::RunStarted);
    let result = StageResult { cached: true, ..StageResult::succeeded() };
    story.event(EventBody::StageFinished { stage: "fmt".into(), result });
    let (board, now) = (&story.board, story.now);
    let fmt = board.stages.get("fmt").unwrap();
    assert_eq!(summary::row("fmt", fmt, now, Theme(Palette::Plain)), "✓ fmt succeeded: taken from an earlier run");
    let table = summary::table(board, 80, Theme(Palette::Plain));
    assert!(table.contains(&"  ✓ fmt                      -  taken from an earlier run".to_owned()), "{table:#?}");
    let frame = draw(board, now, 40, 120);
    let row = frame.lines().find(|line| line.contains("fmt")).unwrap();
    assert!(row.contains("taken from an earlier run") && row.ends_with(" -"), "{row}");
}

#[test]
fn an_infrastructure_failure_is_told_from_a_stage_that_failed() {
    let broken = StageResult {
        exit_code: None,
        reason: Some(Box::new(StageReason::Attempt {
            cause: Cause::Infrastructure,
            message: Some("no daemon".into()),
        })),
        ..failed(1)
    };
    let mut story = story(&plan(), Vec::new());
    story.start("fmt");
    story.end("fmt", JobOutcome::failed_because(Cause::Infrastructure, "no daemon"), broken);
    assert!(story.board.is_infrastructure_failure());
    story.start("build");
    story.end("build", JobOutcome::failed(1), failed(1));
    assert!(!story.board.is_infrastructure_failure());
}

#[test]
fn a_notice_is_no_command() {
    let line =
        |text: &str| LogLine { line: 1, time: Timestamp::UNIX_EPOCH, stream: Stream::Command, text: text.into() };
    assert_eq!((super::sign(&line("cargo test")), super::sign(&line("buildit: pulling alpine"))), ("+ ", ""));
}
