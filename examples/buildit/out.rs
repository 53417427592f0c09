//! Standard output and error, written so that a reader who leaves (`buildit graph | head`) ends nothing: a run goes
//! on, and its exit code still tells how it ended.

use std::io::{self, Write};

/// A stream to a person or a script.
pub(crate) struct Out {
    stream: Box<dyn Write + Send>,
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
        Self::new(io::stdout())
    }

    /// Standard error: diagnostics and progress.
    pub(crate) fn stderr() -> Self {
        Self::new(io::stderr())
    }

    /// Anything else.
    pub(crate) fn new(stream: impl Write + Send + 'static) -> Self {
        Self { stream: Box::new(stream), gone: false }
    }

    /// Writes the text and flushes it: who follows a run wants each line when it comes.
    pub(crate) fn text(&mut self, text: &str) {
        if !self.gone {
            let written = self.stream.write_all(text.as_bytes()).and_then(|()| self.stream.flush());
            // Whatever the reason, nobody reads this any more, and there is nowhere else to say so.
            self.gone = written.is_err();
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
