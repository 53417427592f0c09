//! The jobs that this process has started itself: waited for as soon as they end, whether or not anybody follows
//! them, so that none becomes a zombie.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use super::process;

/// Children by the name of their job.
#[derive(Clone, Debug, Default)]
pub(super) struct Children(Arc<Mutex<HashMap<String, Child>>>);

#[derive(Debug)]
struct Child {
    id: i32,
    ended: watch::Receiver<bool>,
}

impl Children {
    /// Takes a child over. Once it has ended, what is left of its process group is killed, and then it is waited for:
    /// in this order, so that its id can mean nothing else.
    pub(super) fn adopt(&self, name: String, id: Pid) -> io::Result<()> {
        let descriptor = process::watch(id.as_raw())?;
        let (sender, ended) = watch::channel(false);
        self.lock().insert(name, Child { id: id.as_raw(), ended });
        let this = self.clone();
        tokio::spawn(async move {
            if let Some(descriptor) = descriptor {
                ended_of(descriptor).await;
            }
            {
                // Under the lock, so that nobody signals the group of an id that was given back.
                let mut children = this.lock();
                process::signal_group(id.as_raw(), Signal::SIGKILL);
                let _ = waitpid(id, Some(WaitPidFlag::empty()));
                children.retain(|_, child| child.id != id.as_raw());
            }
            let _ = sender.send(true);
        });
        Ok(())
    }

    /// Told when the child of this job has ended; `None` when there is none that lives.
    pub(super) fn ended(&self, name: &str) -> Option<watch::Receiver<bool>> {
        self.lock().get(name).map(|child| child.ended.clone())
    }

    /// Sends signals to the process group of this job's child, in order, and says whether there is one.
    pub(super) fn signal(&self, name: &str, signals: &[Signal]) -> bool {
        let children = self.lock();
        let Some(child) = children.get(name) else { return false };
        signals.iter().for_each(|&signal| process::signal_group(child.id, signal));
        true
    }

    /// The process id of this job's child.
    pub(super) fn leader(&self, name: &str) -> Option<i32> {
        self.lock().get(name).map(|child| child.id)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Child>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until the process behind this descriptor has ended.
pub(super) async fn ended_of(descriptor: OwnedFd) {
    #[expect(deprecated, reason = "its successor is unsafe; a descriptor that is owned meets what that one asks for")]
    let watched = AsyncFd::with_interest(descriptor, Interest::READABLE);
    match watched {
        Ok(descriptor) => drop(descriptor.readable().await),
        Err(error) => tracing::warn!(%error, "a process cannot be watched"),
    }
}
