//! The folder that a job lives in: its script, its outputs, and the claim with its exit code.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::removal::remove_tree;
use crate::workspace::open_plain;

/// What the first line of a script begins with: the number is that of its form.
pub(super) const HEADER: &str = "# buildit 2 ";

/// What stands in a claim that was made so that the job never starts.
const NEVER: &[u8] = b"never\n";

/// How long the one who made a claim may take to write into it: it does so in the same system call or the next.
const CLAIM_WAIT: Duration = Duration::from_millis(500);

/// The folder of one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spool {
    folder: PathBuf,
}

/// How far a job has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Nobody made it.
    Free,
    /// The wrapper with this process id made it: the job runs or ran.
    Taken(i32),
    /// It was made so that the job never starts.
    Never,
}

impl Spool {
    pub(super) fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The claim: the process id of the one who made it and, once the job has ended, its exit code, a line each. One
    /// file for both, because making and removing files is what a short job costs most.
    pub(super) fn claim(&self) -> PathBuf {
        self.folder.join("claim")
    }

    pub(super) fn stdout(&self) -> PathBuf {
        self.folder.join("stdout")
    }

    pub(super) fn stderr(&self) -> PathBuf {
        self.folder.join("stderr")
    }

    pub(super) fn script(&self) -> PathBuf {
        self.folder.join("script")
    }

    /// The file of commands for a shell of another family; some tell by the name what they are given.
    pub(super) fn commands(&self, program: &Path) -> PathBuf {
        let name = program.file_stem().unwrap_or_default().to_string_lossy();
        self.folder.join(if matches!(&*name, "pwsh" | "powershell") { "commands.ps1" } else { "commands" })
    }

    pub(super) fn output(&self) -> PathBuf {
        self.folder.join("output")
    }

    pub(super) fn summary(&self) -> PathBuf {
        self.folder.join("summary")
    }

    pub(super) fn workspace(&self) -> PathBuf {
        self.folder.join("workspace")
    }

    fn stopped(&self) -> PathBuf {
        self.folder.join("stopped")
    }

    /// Why the job could not be started; the wrapper itself may write it.
    pub(super) fn refused(&self) -> PathBuf {
        self.folder.join("refused")
    }

    /// Whether the job was made.
    pub(super) fn exists(&self) -> bool {
        self.folder.is_dir()
    }

    /// Makes the folder for this user alone.
    pub(super) fn make(&self) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(&self.folder)
    }

    /// Makes a file of the job with this content.
    pub(super) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(content)
    }

    /// Opens an output to be passed to the job: every writer appends, so that markers and output share one file.
    pub(super) fn open_output(path: &Path) -> io::Result<File> {
        OpenOptions::new().append(true).open(path)
    }

    /// Whether any process of the job lives: each has inherited the lock with the job's standard output.
    pub(super) fn is_alive(&self) -> bool {
        open_plain(&self.stdout()).is_ok_and(|file| matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
    }

    /// What the claim says. One that is made but not yet written is waited for.
    pub(super) async fn read_claim(&self) -> io::Result<Claim> {
        let mut waited = Duration::ZERO;
        loop {
            match read_small(&self.claim()) {
                Ok(text) if text == NEVER => return Ok(Claim::Never),
                Ok(text) => {
                    if let Some(id) = line(&text, 0) {
                        return Ok(Claim::Taken(id));
                    }
                    if waited >= CLAIM_WAIT {
                        return Ok(Claim::Taken(0));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Claim::Free),
                // The job has put something else in its place.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(Claim::Taken(0)),
                Err(error) => return Err(error),
            }
            let pause = Duration::from_millis(1);
            tokio::time::sleep(pause).await;
            waited += pause;
        }
    }

    /// Makes the claim so that the job never starts, if nobody has made it. Whether it was free.
    pub(super) fn forbid(&self) -> io::Result<bool> {
        match Self::write(&self.claim(), NEVER) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Notes that the job could not be started, for this reason.
    pub(super) fn refuse(&self, reason: &str) -> io::Result<()> {
        fs::write(self.refused(), reason)?;
        self.forbid().map(drop)
    }

    /// Why the job could not be started, if it could not.
    pub(super) fn refusal(&self) -> Option<String> {
        let reason = read_small(&self.refused()).ok()?;
        Some(String::from_utf8_lossy(&reason).trim_end().to_owned())
    }

    /// Notes that the job was asked to end, so that an engine that comes back does not call it lost.
    pub(super) fn note_stop(&self) -> io::Result<()> {
        fs::write(self.stopped(), b"")
    }

    /// Whether the job was asked to end.
    pub(super) fn was_stopped(&self) -> bool {
        self.stopped().exists()
    }

    /// The exit code, once its line is whole.
    pub(super) fn exit_code(&self) -> Option<i32> {
        line(&read_small(&self.claim()).ok()?, 1)
    }

    /// The machine and its boot that the job was made for, by the first line of its script.
    pub(super) fn boot(&self) -> Option<String> {
        let begin = read_small(&self.script()).ok()?;
        let line = begin.split(|&byte| byte == b'\n').next()?;
        std::str::from_utf8(line).ok()?.strip_prefix(HEADER).map(str::to_owned)
    }

    /// Removes the job, but for its workspace when that is kept. What is gone is fine.
    pub(super) fn remove(&self, keep_workspace: bool) -> io::Result<()> {
        if !keep_workspace {
            return remove_tree(&self.folder);
        }
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let path = entry?.path();
            if path != self.workspace() {
                remove_tree(&path)?;
            }
        }
        Ok(())
    }
}

/// At most the first 4 KiB of a file of the spool. The job owns it, so a link or a fifo may stand in its place, which is
/// neither followed nor waited for, and is invalid data.
fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    let replaced = || io::Error::new(io::ErrorKind::InvalidData, "it is no file any more");
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(replaced());
    }
    let file = open_plain(path)?;
    if !file.metadata()?.is_file() {
        return Err(replaced());
    }
    let mut bytes = Vec::new();
    file.take(4096).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The number in this line, if it is whole.
fn line(text: &[u8], index: usize) -> Option<i32> {
    let line = text.split_inclusive(|&byte| byte == b'\n').nth(index)?;
    std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?.parse().ok()
}

/// Reads some bytes of an output from this offset; none at its end.
pub(super) fn read_at(file: &File, offset: u64, most: usize) -> io::Result<bytes::Bytes> {
    let size = file.metadata()?.len();
    let want = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX).min(most);
    let mut bytes = bytes::BytesMut::zeroed(want);
    let mut read = 0;
    while read < want {
        match file.read_at(&mut bytes[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(read);
    Ok(bytes.freeze())
}
