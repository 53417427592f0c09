//! Reading a job's output to its end.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::query_parameters::{LogsOptionsBuilder, WaitContainerOptions};
use buildit::executor::{ExecutorError, JobContext, LogCursor, LogWrite, Physical};
use buildit::job::JobSpec;
use bytes::BytesMut;
use futures_util::{FutureExt, Stream, StreamExt};
use tokio::time::Instant;

use super::backend::{DockerBackend, Phase, is_gone};
use super::engine::Engine;
use crate::script::{Marks, Output};

/// What is there at once is passed on together up to this size: the engine sends a frame for each line.
const BATCH: usize = 256 * 1024;
/// The first pause before the log is asked for again; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(100);
/// How often the log is asked for again without a single byte coming: about 50 seconds, in which a daemon restarts.
const TRIES: u32 = 9;

/// How often the log of a job that has ended is read again because an output lacks its last mark. The engine may end a
/// followed log a moment before all of it is written; a job that was killed leaves no such mark.
const LATE_READS: u32 = 5;

/// How a reading of the log ended.
enum Reading {
    /// With the log.
    Whole,
    /// Before its end, perhaps.
    Broken(bollard::errors::Error),
}

impl DockerBackend {
    pub(super) async fn follow_job(&self, job: &JobSpec, ctx: &JobContext) -> Result<(), ExecutorError> {
        if self.unstartable(&job.id.backend_name()).is_some() {
            return Ok(());
        }
        match self.engine {
            Engine::Docker => self.follow_log(job, ctx).await,
            Engine::Podman => self.poll_log(job, ctx).await,
        }
    }

    /// Follows the log, again and again from its start when the engine ends it before the job has ended.
    async fn follow_log(&self, job: &JobSpec, ctx: &JobContext) -> Result<(), ExecutorError> {
        let name = job.id.backend_name();
        let mut cursor = ctx.cursor();
        let mut patience = Patience::default();
        let mut late = 0;
        loop {
            let before = cursor;
            let mut output = self.output(job, cursor);
            let error = match self.read_log(job, ctx, true, &mut output, &mut cursor).await? {
                Reading::Whole => match self.phase(&name).await {
                    Ok(Phase::Running) => None,
                    Ok(_) if late < LATE_READS && !output.is_whole() => {
                        late += 1;
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                    Ok(_) => return self.finish(job, ctx, output, cursor).await,
                    Err(error) => Some(error),
                },
                Reading::Broken(error) if is_gone(&error) => return Ok(()),
                Reading::Broken(error) => Some(self.failing.at("read the log", error)),
            };
            patience.wait(cursor != before, error).await?;
        }
    }

    /// Reads the whole log now and then, and once more when the job has ended.
    async fn poll_log(&self, job: &JobSpec, ctx: &JobContext) -> Result<(), ExecutorError> {
        let name = job.id.backend_name();
        let mut cursor = ctx.cursor();
        let mut patience = Patience::default();
        let mut ends = Box::pin(self.docker.wait_container(&name, None::<WaitContainerOptions>)).fuse();
        loop {
            // Looked at before: what is read after the end is all of it.
            let phase = self.phase(&name).await;
            let began = Instant::now();
            let before = cursor;
            let mut output = self.output(job, cursor);
            let error = match (self.read_log(job, ctx, false, &mut output, &mut cursor).await?, phase) {
                (Reading::Broken(error), _) if is_gone(&error) => return Ok(()),
                (Reading::Broken(error), _) => Some(self.failing.at("read the log", error)),
                (Reading::Whole, Err(error)) => Some(error),
                (Reading::Whole, Ok(Phase::Running)) => None,
                (Reading::Whole, Ok(_)) => return self.finish(job, ctx, output, cursor).await,
            };
            if error.is_some() {
                patience.wait(cursor != before, error).await?;
                continue;
            }
            // A long log is read more rarely, so that reading it takes a fifth of the time at most.
            let pause = (began.elapsed() * 4).clamp(PAUSE * 2, PAUSE * 100);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = ends.next(), if !ends.is_done() => {}
            }
        }
    }

    /// The job has ended and its log was read to its end.
    async fn finish(
        &self,
        job: &JobSpec,
        ctx: &JobContext,
        mut output: Output,
        mut cursor: LogCursor,
    ) -> Result<(), ExecutorError> {
        let mut rest = Vec::new();
        output.finish(&mut rest);
        self.pass(job, ctx, rest, &mut cursor).await?;
        if let Some(ending) = output.ending() {
            self.set_ending(&job.id.backend_name(), ending);
        }
        Ok(())
    }

    /// The log is always read from its start, which has all marks, and given from the cursor on.
    fn output(&self, job: &JobSpec, cursor: LogCursor) -> Output {
        let commands = job.stage.run().map(|run| run.commands.as_slice()).unwrap_or_default();
        Output::new(Marks::of(&job.id), commands, LogCursor::default(), cursor)
    }

    async fn read_log(
        &self,
        job: &JobSpec,
        ctx: &JobContext,
        follow: bool,
        output: &mut Output,
        cursor: &mut LogCursor,
    ) -> Result<Reading, ExecutorError> {
        let options = LogsOptionsBuilder::new().follow(follow).stdout(true).stderr(true).build();
        let mut frames = Box::pin(self.docker.logs(&job.id.backend_name(), Some(options)));
        let mut writes = Vec::new();
        loop {
            let read = batch(&mut frames).await;
            let done = read.end;
            for (physical, bytes) in read.pieces {
                output.push(physical, bytes.freeze(), &mut writes);
            }
            self.pass(job, ctx, std::mem::take(&mut writes), cursor).await?;
            if let Some(reading) = done {
                return Ok(reading);
            }
        }
    }

    async fn pass(
        &self,
        job: &JobSpec,
        ctx: &JobContext,
        writes: Vec<LogWrite>,
        cursor: &mut LogCursor,
    ) -> Result<(), ExecutorError> {
        for write in writes {
            let position = write.position;
            ctx.log(&job.id, write).await?;
            if let Some((physical, end)) = position {
                cursor.set_offset(physical, end.max(cursor.offset(physical)));
            }
        }
        Ok(())
    }
}

/// Counts the readings that brought nothing.
#[derive(Debug, Default)]
struct Patience {
    fruitless: u32,
}

impl Patience {
    /// Waits before the log is asked for again, or gives up with the error.
    async fn wait(&mut self, fruitful: bool, error: Option<ExecutorError>) -> Result<(), ExecutorError> {
        self.fruitless = if fruitful { 0 } else { self.fruitless + 1 };
        tracing::debug!(?error, self.fruitless, "the log ended before the job");
        match error {
            Some(error) if self.fruitless > TRIES => Err(error),
            _ => {
                tokio::time::sleep(PAUSE * 2_u32.pow(self.fruitless.min(TRIES))).await;
                Ok(())
            }
        }
    }
}

struct Batch {
    pieces: Vec<(Physical, BytesMut)>,
    end: Option<Reading>,
}

/// Waits for a frame and takes with it what is there already.
async fn batch(frames: &mut (impl Stream<Item = Result<LogOutput, bollard::errors::Error>> + Unpin)) -> Batch {
    let mut read = Batch { pieces: Vec::new(), end: None };
    let mut bytes = 0;
    let mut next = frames.next().await;
    loop {
        let (physical, message) = match next {
            Some(Ok(LogOutput::StdOut { message })) => (Physical::Stdout, message),
            Some(Ok(LogOutput::StdErr { message })) => (Physical::Stderr, message),
            // A frame that was cut off: the rest of it comes when the log is read again.
            Some(Ok(LogOutput::Console { .. } | LogOutput::StdIn { .. })) => {
                let cut = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
                read.end = Some(Reading::Broken(cut.into()));
                return read;
            }
            Some(Err(error)) => {
                read.end = Some(Reading::Broken(error));
                return read;
            }
            None => {
                read.end = Some(Reading::Whole);
                return read;
            }
        };
        bytes += message.len();
        match read.pieces.last_mut() {
            Some((last, piece)) if *last == physical => piece.extend_from_slice(&message),
            _ => read.pieces.push((physical, BytesMut::from(&*message))),
        }
        if bytes >= BATCH {
            return read;
        }
        match frames.next().now_or_never() {
            Some(found) => next = found,
            None => return read,
        }
    }
}
