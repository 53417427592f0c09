//! The signal by which a job learns that it is to stop. Our own type, so that an executor needs no runtime.

use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// How urgently a job is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Stop {
    /// Go on.
    No = 0,
    /// End in good order (SIGTERM); the grace period runs.
    Gracefully = 1,
    /// End at once (SIGKILL).
    Now = 2,
}

/// Tells a job to stop. Clones are one signal; it only ever gets more urgent.
#[derive(Clone, Debug, Default)]
pub struct CancelSignal(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    level: AtomicU8,
    waiting: Mutex<Vec<Waker>>,
}

impl CancelSignal {
    /// A signal that says to go on.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises the signal; a lower level than the present one changes nothing.
    pub fn raise(&self, stop: Stop) {
        let before = self.0.level.fetch_max(stop as u8, Ordering::AcqRel);
        if before < stop as u8 {
            let waiting = std::mem::take(&mut *self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    /// What the signal says now.
    #[must_use]
    pub fn level(&self) -> Stop {
        match self.0.level.load(Ordering::Acquire) {
            0 => Stop::No,
            1 => Stop::Gracefully,
            _ => Stop::Now,
        }
    }

    /// Whether the job is to stop, gracefully or not.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.level() > Stop::No
    }

    /// Whether nobody else has it and it was never raised.
    #[cfg(feature = "engine")]
    pub(crate) fn is_as_new(&mut self) -> bool {
        Arc::get_mut(&mut self.0).is_some_and(|shared| {
            let waiting = shared.waiting.get_mut().unwrap_or_else(PoisonError::into_inner);
            *shared.level.get_mut() == 0 && waiting.is_empty()
        })
    }

    /// Waits until the signal is at least this urgent.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the signal stays raised.
    pub fn raised(&self, stop: Stop) -> impl Future<Output = ()> + Send + use<> {
        Raised { signal: self.clone(), stop }
    }
}

struct Raised {
    signal: CancelSignal,
    stop: Stop,
}

impl Future for Raised {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.signal.level() >= self.stop {
            return Poll::Ready(());
        }
        let mut waiting = self.signal.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        // The level may have risen between the look above and the lock: `raise` takes the list after it stores.
        if self.signal.level() >= self.stop { Poll::Ready(()) } else { Poll::Pending }
    }
}
