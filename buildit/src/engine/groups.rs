//! Concurrency groups: runs of one group go one after another, in the order in which they were created.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::UnboundedSender;

use super::message::Message;
use crate::id::RunId;

/// A pipeline and the resolved name of one of its groups.
type Key = (String, String);

/// The groups of an engine.
#[derive(Debug, Default)]
pub(super) struct Groups(Mutex<HashMap<Key, VecDeque<Member>>>);

#[derive(Debug)]
struct Member {
    run: RunId,
    sender: UnboundedSender<Message>,
}

/// A run's place in its group, left when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    groups: Arc<Groups>,
    key: Key,
    run: RunId,
}

impl Groups {
    /// Puts a run at the end of its group. It is told when its turn has come, which may be at once.
    pub(super) fn join(
        self: &Arc<Self>,
        key: Key,
        run: RunId,
        sender: &UnboundedSender<Message>,
        cancel_earlier: Option<String>,
    ) -> Place {
        let mut groups = self.lock();
        let members = groups.entry(key.clone()).or_default();
        if let Some(reason) = cancel_earlier {
            // All of them: one that still waits would only begin in order to be cancelled.
            for member in members.iter() {
                let _ = member.sender.send(Message::Cancel { reason: reason.clone() });
            }
        }
        if members.is_empty() {
            let _ = sender.send(Message::Turn);
        }
        members.push_back(Member { run, sender: sender.clone() });
        drop(groups);
        Place { groups: Arc::clone(self), key, run }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, VecDeque<Member>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut groups = self.groups.lock();
        let Some(members) = groups.get_mut(&self.key) else { return };
        let was_first = members.front().is_some_and(|member| member.run == self.run);
        members.retain(|member| member.run != self.run);
        match members.front() {
            Some(next) if was_first => drop(next.sender.send(Message::Turn)),
            Some(_) => {}
            None => drop(groups.remove(&self.key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    #[test]
    fn turns_come_in_order_and_a_new_run_cancels_all_before_it() {
        let groups = Arc::new(Groups::default());
        let key = || ("shop".to_owned(), "deploy".to_owned());
        let [(a, mut in_a), (b, mut in_b), (c, mut in_c)] = std::array::from_fn(|_| unbounded_channel());
        let first = groups.join(key(), RunId::new(), &a, None);
        assert!(matches!(in_a.try_recv(), Ok(Message::Turn)));
        let second = groups.join(key(), RunId::new(), &b, None);
        assert!(in_b.try_recv().is_err());
        let third = groups.join(key(), RunId::new(), &c, Some("newer".into()));
        assert!(matches!(in_a.try_recv(), Ok(Message::Cancel { .. })));
        assert!(matches!(in_b.try_recv(), Ok(Message::Cancel { .. })));
        drop(second);
        assert!(in_c.try_recv().is_err(), "the first still runs");
        drop(first);
        assert!(matches!(in_c.try_recv(), Ok(Message::Turn)));
        drop(third);
        assert!(groups.lock().is_empty());
    }
}
