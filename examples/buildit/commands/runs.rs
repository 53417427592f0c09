//! `buildit runs`.

use buildit::event::RunStatus;
use buildit::id::RunId;
use buildit::store::{RunFilter, RunSummary};
use jiff::Timestamp;
use serde::Serialize;

use crate::args::{DataOutput, RunsArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::look::Look;
use crate::out::Out;
use crate::remote::failed;
use crate::report::{Mark, Theme};
use crate::session::records;
use crate::text::{clean, duration, fit_middle, pad, since, width};

/// How wide a pipeline's name is shown at most.
const NAME: usize = 40;

pub(crate) async fn runs(args: RunsArgs, look: Look) -> Outcome {
    let records = records(&args.place).await?;
    let filter = RunFilter { pipeline: args.pipeline, ..RunFilter::default() };
    let runs = records.runs(&filter, args.limit).await.map_err(failed)?;
    let mut out = Out::stdout();
    match args.output {
        DataOutput::Json => {
            for run in &runs {
                out.line(&line(run)?);
            }
        }
        DataOutput::Human if runs.is_empty() => {
            Out::stderr().line(&format!("there are no runs in this {}", records.place()))
        }
        DataOutput::Human => table(&runs, Timestamp::now(), look.stdout()).iter().for_each(|line| out.line(line)),
    }
    Ok(Exit::Succeeded)
}

/// A run as a program reads it.
pub(super) fn line(run: &RunSummary) -> Result<String, Failure> {
    serde_json::to_string(&Line::of(run)).map_err(Failure::backend)
}

#[derive(Serialize)]
struct Line<'a> {
    id: RunId,
    number: u64,
    pipeline: &'a str,
    status: RunStatus,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    duration_ms: Option<u64>,
}

impl<'a> Line<'a> {
    fn of(run: &'a RunSummary) -> Self {
        let span = run.started_at.zip(run.finished_at).map(|(begun, ended)| since(begun, ended));
        Self {
            id: run.id,
            number: run.number,
            pipeline: &run.pipeline,
            status: run.status,
            created_at: run.created_at,
            started_at: run.started_at,
            finished_at: run.finished_at,
            duration_ms: span.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

/// A line for each run: its mark and name, how it is and for how long, when it was made, and its id.
fn table(runs: &[RunSummary], now: Timestamp, theme: Theme) -> Vec<String> {
    let name = |run: &RunSummary| format!("{} #{}", fit_middle(&clean(&run.pipeline), NAME), run.number);
    let columns = runs.iter().map(|run| width(&name(run))).max().unwrap_or_default();
    let row = |run: &RunSummary| {
        let mark = Mark::of_run(run.status);
        let took = run.started_at.map(|begun| duration(since(begun, run.finished_at.unwrap_or(now))));
        let took = pad(took.as_deref().unwrap_or("-"), 8);
        let made = run.created_at.strftime("%Y-%m-%d %H:%M");
        let status = theme.mark(mark, &pad(run.status.as_str(), 9));
        let name = theme.strong(&pad(&name(run), columns));
        format!("{}{name}  {status}  {took}  {made}  {}", theme.shape(mark), theme.faint(&run.id.to_string()))
    };
    runs.iter().map(row).collect()
}
