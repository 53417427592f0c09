//! Ctrl-C and its like.

use tokio::signal::unix::{SignalKind, signal};

/// What the person, or the system, wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// End in good order.
    Cancel(&'static str),
    /// End now.
    Kill,
    /// Leave, whatever is still there.
    Leave,
}

/// The signals that this process gets.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
    seen: u32,
}

impl Signals {
    /// Takes the signals over. From here on none of them ends the process by itself.
    pub(crate) fn open() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            // A terminal that was closed: without this, jobs would stay behind with nobody to stop them.
            hang_up: signal(SignalKind::hangup())?,
            seen: 0,
        })
    }

    /// Whether one has come.
    pub(crate) fn came(&self) -> bool {
        self.seen > 0
    }

    /// The next wish. The first signal of any kind asks to end in good order, a further Ctrl-C kills.
    ///
    /// # Cancel safety
    ///
    /// A signal is never lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Signal {
        loop {
            let (interrupt, reason) = tokio::select! {
                _ = self.interrupt.recv() => (true, "Ctrl-C"),
                _ = self.terminate.recv() => (false, "SIGTERM"),
                _ = self.hang_up.recv() => (false, "SIGHUP"),
            };
            self.seen += u32::from(interrupt || self.seen == 0);
            match self.seen {
                1 => return Signal::Cancel(reason),
                2 if interrupt => return Signal::Kill,
                3.. if interrupt => return Signal::Leave,
                _ => {}
            }
        }
    }
}
