//! Standard output and error, written so that a reader who leaves (`buildit graph | head`) ends nothing: a run goes
//! on, and its exit code still tells how it ended. What cannot be written for any other reason is lost, and that is told.

use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

/// What of a stream could not be written, for the first that this happened to. There is one of each in a process,
/// however many write to them.
static LOST: OnceLock<(&str, io::Error)> = OnceLock::new();

/// Which output was lost, and why, if any was.
pub(crate) fn lost() -> Option<String> {
    LOST.get().map(|(stream, error)| format!("cannot write to {stream}: {error}"))
}

/// Takes note of how it went to write to a stream of the process.
pub(crate) fn note(stream: &'static str, written: io::Result<()>) {
    // Who closed the pipe wanted no more.
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        let _ = LOST.set((stream, error));
    }
}

/// The name of standard output, for messages.
pub(crate) const STDOUT: &str = "standard output";

/// The name of standard error.
const STDERR: &str = "standard error";

/// A stream to a person or a script.
pub(crate) struct Out {
    stream: Box<dyn Write + Send>,
    /// What it is called, if it is the process's own.
    name: Option<&'static str>,
    gone: bool,
}

impl std::fmt::Debug for Out {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Out").field("gone", &self.gone).finish_non_exhaustive()
    }
}

impl Out {
    /// Standard output: results.
    pub(crate) fn stdout() -> Self {
        Self { name: Some(STDOUT), ..Self::new(io::stdout()) }
    }

    /// Standard error: diagnostics and progress.
    pub(crate) fn stderr() -> Self {
        Self { name: Some(STDERR), ..Self::new(io::stderr()) }
    }

    /// Anything else.
    pub(crate) fn new(stream: impl Write + Send + 'static) -> Self {
        Self { stream: Box::new(stream), name: None, gone: false }
    }

    /// Writes the text and flushes it: who follows a run wants each line when it comes.
    pub(crate) fn text(&mut self, text: &str) {
        if !self.gone {
            let written = self.stream.write_all(text.as_bytes()).and_then(|()| self.stream.flush());
            self.gone = written.is_err();
            if let Some(name) = self.name {
                note(name, written);
            }
        }
    }

    /// Writes the text and a line end.
    pub(crate) fn line(&mut self, text: &str) {
        self.text(&format!("{text}\n"));
    }
}

/// Text that was printed.
#[cfg(test)]
#[derive(Clone, Default)]
pub(crate) struct Page(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

#[cfg(test)]
impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
impl Page {
    /// A stream to it.
    pub(crate) fn out(&self) -> Out {
        Out::new(self.clone())
    }

    /// What was printed so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}
