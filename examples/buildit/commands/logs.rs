//! `buildit logs`.

use buildit::id::JobId;
use buildit::run::CarriedStage;
use buildit::store::{LogChunk, StoreError};

use super::kept::{Hits, find};
use crate::args::{DataOutput, LogsArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::look::Look;
use crate::out::Out;
use crate::remote::failed;
use crate::report::{self, Attempt, Board, Json, Reporter, sign};
use crate::session::{Records, records};
use crate::text::{Keep as Controls, clean, sanitize};

/// How much of one log is held at a time, in bytes.
const PAGE: usize = 256 * 1024;

pub(crate) async fn logs(args: LogsArgs, look: Look) -> Outcome {
    let records = records(&args.place).await?;
    let records = &*records;
    let run = find(records, args.run.as_deref().unwrap_or_default()).await?;
    let record = records.run(run).await.map_err(failed)?;
    if let Some(stage) = &args.stage
        && record.run.plan.stages.iter().all(|known| *known.name != **stage)
    {
        return Err(Failure::usage(format!("the run has no stage `{stage}`")));
    }
    let board = Board::new(run, record.number, &record.run.plan, "");
    let controls = look.is_terminal().then(|| report::keep(look.stdout()));
    let mut printer = Printer { board, json: None, out: Out::stdout(), with_stage: args.stage.is_none(), controls };
    if args.output == DataOutput::Json {
        printer.json = Some(Json::new(Out::stdout()));
    }
    let mut readers: Vec<Reader> = Vec::new();
    let mut hits = Hits::default();
    // A rerun of what failed goes on from stages whose logs are where they were.
    for CarriedStage { stage, taken, .. } in &*record.run.carried {
        let job = JobId { run: taken.run, stage: taken.stage.clone(), attempt: taken.attempt };
        if args.stage.as_ref().is_none_or(|wanted| *stage == **wanted) && is_kept(records, &job).await? {
            readers.push(Reader::new(job));
        }
    }
    loop {
        // Asked first: what is stored before the run has ended is read after this.
        let status = records.run(run).await.map_err(failed)?.status;
        for job in records.logs_of_run(run).await.map_err(failed)? {
            let is_wanted = args.stage.as_ref().is_none_or(|stage| *job.stage == **stage);
            let is_new = readers.iter().all(|reader| reader.job != job);
            if is_wanted && is_new && hits.count(records, &job).await? {
                readers.push(Reader::new(job));
            }
        }
        print_all(records, &mut readers, &mut printer).await?;
        if !args.follow || status.is_final() {
            return Ok(Exit::Succeeded);
        }
        tokio::time::sleep(records.pace()).await;
    }
}

/// Whether this log is still there: its run may have been removed.
async fn is_kept(records: &dyn Records, job: &JobId) -> Result<bool, Failure> {
    match records.read_log(job, 0, 1).await {
        // What was removed is told when it is read.
        Ok(_) | Err(StoreError::LogRemoved(_)) => Ok(true),
        Err(StoreError::NoLog(_) | StoreError::NoRun(_)) => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

/// Prints what is stored, in the order of its times.
async fn print_all(records: &dyn Records, readers: &mut [Reader], printer: &mut Printer) -> Result<(), Failure> {
    loop {
        let mut first = None;
        for (place, reader) in readers.iter_mut().enumerate() {
            let Some(chunk) = reader.peek(records).await? else { continue };
            if first.is_none_or(|(time, _)| chunk.time < time) {
                first = Some((chunk.time, place));
            }
        }
        let Some((_, place)) = first else { return Ok(()) };
        let reader = &mut readers[place];
        if let Some(chunk) = reader.chunks.next() {
            reader.after = chunk.last_line();
            printer.print(&reader.job, &chunk);
        }
    }
}

/// The log of one job, page by page.
struct Reader {
    job: JobId,
    /// The last line that was printed.
    after: u64,
    /// Whether it was told that its lines are there no more.
    is_removed: bool,
    chunks: std::iter::Peekable<std::vec::IntoIter<LogChunk>>,
}

impl Reader {
    fn new(job: JobId) -> Self {
        Self { job, after: 0, is_removed: false, chunks: Vec::new().into_iter().peekable() }
    }

    async fn peek(&mut self, records: &dyn Records) -> Result<Option<&LogChunk>, Failure> {
        if self.chunks.peek().is_none() {
            let page = match records.read_log(&self.job, self.after, PAGE).await {
                Err(error @ StoreError::LogRemoved(_)) => {
                    if !self.is_removed {
                        self.is_removed = true;
                        Out::stderr().line(&clean(&error.to_string()));
                    }
                    return Ok(None);
                }
                page => page.map_err(failed)?,
            };
            self.chunks = page.chunks.into_iter().peekable();
        }
        Ok(self.chunks.peek())
    }
}

struct Printer {
    board: Board,
    json: Option<Json>,
    out: Out,
    with_stage: bool,
    /// What passes of a job's controls: all of them into a file, colours onto a terminal.
    controls: Option<Controls>,
}

impl Printer {
    fn print(&mut self, job: &JobId, chunk: &LogChunk) {
        for line in chunk.iter() {
            if let Some(json) = &mut self.json {
                json.log(&self.board, Attempt { stage: &job.stage, number: job.attempt }, &line);
                continue;
            }
            let text = match self.controls {
                Some(keep) => sanitize(&line.text, keep),
                None => line.text.as_str().into(),
            };
            match self.with_stage {
                true => self.out.line(&format!("{} | {}{text}", job.stage, sign(&line))),
                false => self.out.line(&format!("{}{text}", sign(&line))),
            }
        }
    }
}
