//! Reading a job's outputs from where the stored log ends until the job has ended.

use std::fs::File;
use std::io;
use std::time::Duration;

use buildit::executor::{ExecutorError, JobContext, LogCursor, LogWrite, Physical};
use buildit::job::JobSpec;
use bytes::Bytes;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::signal::Signal;

use super::spool::{Spool, read_at};
use crate::script::{LookAhead, Marks, Output};

/// How much is read at once: large enough that a gigabyte takes few calls, little enough for many jobs.
const CHUNK: usize = 256 * 1024;

/// How often a quiet job is looked at: soon at first, rarely after a while. Its end is told at once in any case.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// How often the spool is looked at while the log takes nothing: a job can write a hundred megabytes meanwhile.
const LOOK: Duration = Duration::from_millis(10);

/// How much of the spool may be stored already before its blocks are given back to the file system.
const PUNCH: u64 = 16 * 1024 * 1024;

/// Why following failed.
#[derive(Debug)]
pub(super) enum FollowError {
    Io(io::Error),
    Executor(ExecutorError),
}

impl From<io::Error> for FollowError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What following needs of the job's processes.
pub(super) trait Processes: Send {
    /// Waits until the job has ended; returns at once ever after.
    fn ended(&mut self) -> impl Future<Output = ()> + Send;

    /// Stops or continues the whole job.
    fn signal(&self, signal: Signal);
}

/// Passes on what the outputs hold beyond the cursor, until the job has ended and all of it is passed on.
pub(super) async fn follow(
    spool: &Spool,
    job: &JobSpec,
    ctx: &JobContext,
    spool_limit: u64,
    mut processes: impl Processes,
) -> Result<(), FollowError> {
    let mut brake = Brake { limit: spool_limit, is_on: false };
    let followed = follow_under(&mut brake, spool, job, ctx, &mut processes).await;
    if followed.is_err() && brake.is_on {
        // Whoever follows it next knows of no brake.
        processes.signal(Signal::SIGCONT);
    }
    followed
}

async fn follow_under(
    brake: &mut Brake,
    spool: &Spool,
    job: &JobSpec,
    ctx: &JobContext,
    processes: &mut impl Processes,
) -> Result<(), FollowError> {
    let cursor = ctx.cursor();
    let mut tails = [Tail::open(spool, Physical::Stdout, cursor)?, Tail::open(spool, Physical::Stderr, cursor)?];
    let commands = job.stage.run().map(|run| run.commands.as_slice()).unwrap_or_default();
    let mut output = Output::new(Marks::of(&job.id), commands, cursor, cursor);
    for tail in &tails {
        tail.find_place(&mut output)?;
    }
    let mut writes = Vec::new();
    let mut pause = SHORTEST_WAIT;
    let mut ended = false;
    loop {
        let mut read = false;
        for tail in &mut tails {
            let bytes = if output.wants(tail.physical) { tail.read()? } else { Bytes::new() };
            if !bytes.is_empty() {
                read = true;
                output.push(tail.physical, bytes, &mut writes);
            }
        }
        // What an output waits for never comes when the job has ended, or is stopped until more of it is read.
        let released = !read && (ended || brake.is_on) && output.release(&mut writes);
        {
            let passing = pass_on(job, ctx, &mut writes);
            tokio::pin!(passing);
            loop {
                tokio::select! {
                    biased;
                    passed = &mut passing => break passed?,
                    () = tokio::time::sleep(LOOK), if !ended => brake.look(&tails, processes)?,
                }
            }
        }
        if !ended {
            brake.look(&tails, processes)?;
        }
        let stored = ctx.stored(&job.id);
        tails.iter_mut().for_each(|tail| tail.punch(stored));
        if read || released {
            pause = SHORTEST_WAIT;
        } else if ended {
            break;
        } else {
            // What was written before the end is read after it is known: so the loop goes round once more.
            tokio::select! {
                biased;
                () = processes.ended() => ended = true,
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_WAIT),
            }
        }
    }
    output.finish(&mut writes);
    pass_on(job, ctx, &mut writes).await
}

async fn pass_on(job: &JobSpec, ctx: &JobContext, writes: &mut Vec<LogWrite>) -> Result<(), FollowError> {
    for write in writes.drain(..) {
        ctx.log(&job.id, write).await.map_err(|error| FollowError::Executor(error.into()))?;
    }
    Ok(())
}

/// Stops the job while too much of its output waits to be read.
struct Brake {
    limit: u64,
    is_on: bool,
}

impl Brake {
    fn look(&mut self, tails: &[Tail; 2], processes: &impl Processes) -> io::Result<()> {
        let waiting = tails[0].waiting()? + tails[1].waiting()?;
        if self.is_on != (waiting > if self.is_on { self.limit / 2 } else { self.limit }) {
            self.is_on = !self.is_on;
            processes.signal(if self.is_on { Signal::SIGSTOP } else { Signal::SIGCONT });
        }
        Ok(())
    }
}

/// One output as it is read.
struct Tail {
    physical: Physical,
    file: File,
    read: u64,
    punched: u64,
}

impl Tail {
    fn open(spool: &Spool, physical: Physical, cursor: LogCursor) -> io::Result<Self> {
        let path = match physical {
            Physical::Stdout => spool.stdout(),
            Physical::Stderr => spool.stderr(),
        };
        let offset = cursor.offset(physical);
        // Holes are made through the same descriptor, which takes the right to write.
        let file = File::options().read(true).write(true).open(path)?;
        Ok(Self { physical, file, read: offset, punched: offset })
    }

    fn read(&mut self) -> io::Result<Bytes> {
        let bytes = read_at(&self.file, self.read, CHUNK)?;
        self.read += bytes.len() as u64;
        Ok(bytes)
    }

    fn waiting(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len().saturating_sub(self.read))
    }

    /// Gives the blocks of what is stored back, also within a line that does not end. A file system that cannot is
    /// fine: the spool is only larger then.
    fn punch(&mut self, stored: LogCursor) {
        let stored = stored.offset(self.physical).min(self.read);
        if stored.saturating_sub(self.punched) <= PUNCH {
            return;
        }
        let mode = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        if let (Ok(from), Ok(length)) = (self.punched.try_into(), (stored - self.punched).try_into()) {
            let _ = fallocate(&self.file, mode, from, length);
        }
        self.punched = stored;
    }

    /// Where an output goes on that is not read from its start is told by the first mark that follows.
    fn find_place(&self, output: &mut Output) -> io::Result<()> {
        let (mut ahead, mut offset) = (LookAhead::new(), self.read);
        while offset > 0 {
            let bytes = read_at(&self.file, offset, CHUNK)?;
            offset += bytes.len() as u64;
            if bytes.is_empty() || output.look_ahead(self.physical, &mut ahead, bytes) {
                break;
            }
        }
        Ok(())
    }
}
