//! Reading a job's outputs from where the stored log ends until the job has ended.

use std::fs::File;
use std::io;
use std::time::Duration;

use buildit::executor::{ExecutorError, JobContext, LogWrite, Physical};
use buildit::id::JobId;
use bytes::Bytes;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::signal::Signal;

use super::marker::{Part, Scanner};
use super::sections::{Piece, Resume, Sections};
use super::spool::{Spool, read_at};

/// How much is read at once: large enough that a gigabyte takes few calls, little enough for many jobs.
const CHUNK: usize = 256 * 1024;

/// How often a quiet job is looked at: soon at first, rarely after a while. Its end is told at once in any case.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// How much of the spool may be stored already before its blocks are given back to the file system. Each time costs
/// a flush of the log.
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
    nonce: &str,
    job: &JobId,
    ctx: &JobContext,
    spool_limit: u64,
    mut processes: impl Processes,
) -> Result<(), FollowError> {
    let cursor = ctx.cursor();
    let mut stdout = Tail::open(spool, Physical::Stdout, cursor.stdout)?;
    let mut stderr = Tail::open(spool, Physical::Stderr, cursor.stderr)?;
    let resume = if cursor.stdout == 0 { Resume::Fresh } else { stdout.resume(nonce)? };
    let mut sections = Sections::new(nonce, cursor.stdout, cursor.stderr, resume);
    let mut log = Log { job, ctx, pieces: Vec::new(), open: [false; 2] };
    let mut pause = SHORTEST_WAIT;
    let (mut ended, mut held) = (false, false);
    loop {
        let mut read = false;
        for tail in [&mut stdout, &mut stderr] {
            if !sections.wants(tail.physical) {
                continue;
            }
            let bytes = tail.read()?;
            if !bytes.is_empty() {
                read = true;
                sections.push(tail.physical, bytes, &mut log.pieces);
            }
        }
        log.pass_on().await?;
        let waiting = stdout.waiting()? + stderr.waiting()?;
        if !ended && held != (waiting > if held { spool_limit / 2 } else { spool_limit }) {
            held = !held;
            processes.signal(if held { Signal::SIGSTOP } else { Signal::SIGCONT });
        }
        if log.is_between_lines() && [&stdout, &stderr].iter().any(|tail| tail.read - tail.punched > PUNCH) {
            ctx.flush(job).await.map_err(|error| FollowError::Executor(error.into()))?;
            stdout.punch();
            stderr.punch();
        }
        if read {
            pause = SHORTEST_WAIT;
        } else if ended {
            if !sections.release(&mut log.pieces) {
                break;
            }
        } else {
            // What was written before the end is read after it is known: so the loop goes round once more.
            tokio::select! {
                biased;
                () = processes.ended() => ended = true,
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_WAIT),
            }
        }
    }
    sections.finish(&mut log.pieces);
    log.pass_on().await
}

/// The log that pieces go to.
struct Log<'a> {
    job: &'a JobId,
    ctx: &'a JobContext,
    pieces: Vec<Piece>,
    /// Whether a line was begun in each output.
    open: [bool; 2],
}

impl Log<'_> {
    async fn pass_on(&mut self) -> Result<(), FollowError> {
        for Piece { stream, physical, bytes, end } in self.pieces.drain(..) {
            let output = usize::from(physical == Physical::Stderr);
            self.open[output] = bytes.last().is_some_and(|&byte| byte != b'\n');
            let write = LogWrite { stream, bytes, position: Some((physical, end)) };
            self.ctx.log(self.job, write).await.map_err(|error| FollowError::Executor(error.into()))?;
        }
        Ok(())
    }

    fn is_between_lines(&self) -> bool {
        self.open == [false; 2]
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
    fn open(spool: &Spool, physical: Physical, offset: u64) -> io::Result<Self> {
        let path = match physical {
            Physical::Stdout => spool.stdout(),
            Physical::Stderr => spool.stderr(),
        };
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

    /// Gives the blocks of what was read back. A file system that cannot is fine: the spool is only larger then.
    fn punch(&mut self) {
        let mode = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        if let (Ok(from), Ok(length)) = (self.punched.try_into(), (self.read - self.punched).try_into()) {
            let _ = fallocate(&self.file, mode, from, length);
        }
        self.punched = self.read;
    }

    /// Where standard output goes on: told by the first marker that follows.
    fn resume(&self, nonce: &str) -> io::Result<Resume> {
        let mut scanner = Scanner::new(nonce, self.read);
        let mut offset = self.read;
        loop {
            let bytes = read_at(&self.file, offset, CHUNK)?;
            if bytes.is_empty() {
                return Ok(Resume::Latest);
            }
            offset += bytes.len() as u64;
            let mut found = None;
            scanner.push(bytes, |part| match part {
                Part::Before(number, _) => found = found.or(Some(Resume::Before(number))),
                Part::Echoed(_) => found = found.or(Some(Resume::Echo)),
                Part::Text(..) => {}
            });
            if let Some(found) = found {
                return Ok(found);
            }
        }
    }
}
