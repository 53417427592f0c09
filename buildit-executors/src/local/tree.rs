//! A job's processes as one: waiting for their end, and stopping all of them.

use std::time::Duration;

use buildit::cancel::Stop;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpgid};
use tokio::sync::watch;

use super::cgroup::JobGroup;
use super::children::{Children, ended_of};
use super::follow::Processes;
use super::process::{self, Of};
use super::spool::{Claim, Spool};

/// How often a job is looked at that nothing tells about: one whose claim is not written yet.
const LOOK: Duration = Duration::from_millis(10);

/// How often it is tried to kill what still holds the lock and carries no mark, before it is let be: such a process
/// has thrown its environment away, and only its user can know what it is.
const TRIES: usize = 50;

/// When it is looked for commands that a stop has missed, after it.
const LOOKS: [Duration; 4] =
    [Duration::from_millis(5), Duration::from_millis(20), Duration::from_millis(80), Duration::from_millis(320)];

/// How long before a stop a command may have begun that can have missed it.
const YOUNG: Duration = Duration::from_secs(1);

/// The processes of one job.
#[derive(Debug)]
pub(super) struct Tree {
    name: String,
    spool: Spool,
    children: Children,
    group: Option<JobGroup>,
    own: Option<watch::Receiver<bool>>,
    over: bool,
}

impl Tree {
    pub(super) fn new(name: String, spool: Spool, children: Children, group: Option<JobGroup>) -> Self {
        let own = children.ended(&name);
        if own.is_none() && spool.is_alive() {
            // An engine that died may have held it.
            process::signal(Of::Job(&name), Signal::SIGCONT);
        }
        Self { name, spool, children, group, own, over: false }
    }

    /// Waits until the wrapper of a job that another engine has started is gone.
    async fn leader_ended(&self) {
        loop {
            if let Ok(Claim::Taken(leader)) = self.spool.read_claim().await {
                // Opened first and looked at then: the descriptor means one process, whatever its id means later.
                match process::watch(leader) {
                    Ok(Some(descriptor)) if process::belongs(leader, Of::Job(&self.name)) => {
                        return ended_of(descriptor).await;
                    }
                    Ok(_) => return,
                    Err(error) => tracing::warn!(%error, "a process cannot be watched"),
                }
            }
            if !self.spool.is_alive() {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Processes for Tree {
    async fn ended(&mut self) {
        if self.over {
            return;
        }
        match &mut self.own {
            // A sender that is gone without a word went with its runtime.
            Some(own) => drop(own.wait_for(|ended| *ended).await),
            None => self.leader_ended().await,
        }
        if let Some(group) = &self.group {
            group.kill();
        }
        for _ in 0..TRIES {
            if !self.spool.is_alive() {
                break;
            }
            process::kill_all(Of::Job(&self.name));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.over = true;
    }

    fn signal(&self, signal: Signal) {
        // The process group at once, and what has left it by its mark.
        self.children.signal(&self.name, &[signal]);
        process::signal(Of::Job(&self.name), signal);
    }
}

/// Asks each process of a job to end, or kills it. `leader` is the wrapper of a job that another engine has started.
pub(super) fn stop_tree(name: &str, leader: i32, children: &Children, how: Stop) {
    let of = Of::Job(name);
    let signals: &[Signal] = match how {
        // A process that was stopped has to go on in order to end.
        Stop::Gracefully => &[Signal::SIGTERM, Signal::SIGCONT],
        Stop::Now => &[Signal::SIGKILL],
        Stop::No => return,
    };
    let found = process::all(of);
    let group = |id: i32| getpgid(Some(Pid::from_raw(id))).map(Pid::as_raw).unwrap_or_default();
    let own = children.leader(name).unwrap_or(leader);
    if !children.signal(name, signals) && found.contains(&leader) {
        signals.iter().for_each(|&signal| process::signal_group(leader, signal));
    }
    // Once each: for many programs a second SIGTERM means to give up at once.
    for id in found.into_iter().filter(|&id| own == 0 || group(id) != own) {
        for &signal in signals {
            let _ = kill(Pid::from_raw(id), signal);
        }
    }
    if how == Stop::Now {
        process::kill_all(of);
    }
}

/// Asks the command to end that a graceful stop has missed.
///
/// A shell that got the signal just before it made its next command only looks at it when that one has ended: the
/// command was not there when all were told, or had not yet shed the handler of its shell (a vfork). It is told apart
/// from a command that is about to end by what it does at the signal, and from one that a trap has made, to clean up,
/// by its parent: the wrapper's own trap makes none.
pub(super) async fn stop_missed(name: &str, leader: i32, children: &Children) {
    let since = process::since_boot().saturating_sub(YOUNG);
    for pause in LOOKS {
        tokio::time::sleep(pause).await;
        let of = Of::Job(name);
        let leader = children.leader(name).unwrap_or(leader);
        if leader == 0 || !process::belongs(leader, of) {
            return;
        }
        for id in process::all(of) {
            if process::would_end(id, leader, since, Signal::SIGTERM) {
                let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
            }
        }
    }
}
