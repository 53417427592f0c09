//! Channels and the outbox, in memory.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::journal::{ChangeFile, Folder};
use crate::id::{ChannelId, NotificationId, PipelineId, TenantId};
use crate::store::{Channel, Dispatch, DispatchStatus, NoticeRule, Notification, Settled, StoreError};

/// How long the file may grow beyond what is known, in bytes, before it is written anew.
const SLACK: u64 = 1024 * 1024;

/// A change of what is known.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum NotificationChange {
    Channel(Channel),
    ChannelGone(ChannelId),
    Rule { channel: ChannelId, pipeline: PipelineId, rule: Option<NoticeRule> },
    Dispatch(Box<Dispatch>),
    DispatchGone(NotificationId),
}

#[derive(Debug, Default)]
struct Known {
    channels: BTreeMap<ChannelId, Channel>,
    rules: BTreeMap<(ChannelId, PipelineId), NoticeRule>,
    dispatches: BTreeMap<NotificationId, Dispatch>,
}

impl Known {
    fn apply(&mut self, change: NotificationChange) {
        match change {
            NotificationChange::Channel(channel) => drop(self.channels.insert(channel.id, channel)),
            NotificationChange::ChannelGone(id) => {
                self.channels.remove(&id);
                self.rules.retain(|(channel, _), _| *channel != id);
                self.dispatches.retain(|_, dispatch| dispatch.notification.channel != id);
            }
            NotificationChange::Rule { channel, pipeline, rule: Some(rule) } => {
                self.rules.insert((channel, pipeline), rule);
            }
            NotificationChange::Rule { channel, pipeline, rule: None } => {
                self.rules.remove(&(channel, pipeline));
            }
            NotificationChange::Dispatch(dispatch) => {
                self.dispatches.insert(dispatch.notification.id, *dispatch);
            }
            NotificationChange::DispatchGone(id) => {
                self.dispatches.remove(&id);
            }
        }
    }

    fn as_changes(&self) -> Vec<NotificationChange> {
        let channels = self.channels.values().cloned().map(NotificationChange::Channel);
        let rules = self.rules.iter().map(|((channel, pipeline), rule)| NotificationChange::Rule {
            channel: *channel,
            pipeline: *pipeline,
            rule: Some(rule.clone()),
        });
        let dispatches =
            self.dispatches.values().map(|dispatch| NotificationChange::Dispatch(Box::new(dispatch.clone())));
        channels.chain(rules).chain(dispatches).collect()
    }

    fn len(&self) -> usize {
        self.channels.len() + self.rules.len() + self.dispatches.len()
    }

    /// Whether a channel was told of this already.
    fn has(&self, told: &Notification) -> bool {
        let is_same = |there: &Notification| {
            there.id == told.id
                || (there.channel == told.channel
                    && told.run.is_some()
                    && there.run == told.run
                    && there.subject == told.subject)
        };
        self.dispatches.values().any(|dispatch| is_same(&dispatch.notification))
    }
}

/// Channels, what pipelines tell them, and what is to be sent.
#[derive(Debug, Default)]
pub(super) struct JournaledNotifications {
    known: Known,
    file: Option<ChangeFile>,
}

impl JournaledNotifications {
    pub(super) fn open(folder: &Folder) -> Result<Self, StoreError> {
        let mut known = Known::default();
        let file = ChangeFile::open(folder, "notifications", |change| known.apply(change))?;
        Ok(Self { known, file: Some(file) })
    }

    pub(super) fn create(&mut self, channel: Channel) -> Result<(), StoreError> {
        if self.known.channels.contains_key(&channel.id) {
            return Err(StoreError::Taken(format!("channel {}", channel.id)));
        }
        self.check_name(&channel)?;
        self.save(vec![NotificationChange::Channel(channel)])
    }

    fn check_name(&self, channel: &Channel) -> Result<(), StoreError> {
        let is_taken =
            |there: &Channel| there.id != channel.id && there.tenant == channel.tenant && there.name == channel.name;
        match self.known.channels.values().any(is_taken) {
            true => Err(StoreError::Taken(format!("the name `{}`", channel.name))),
            false => Ok(()),
        }
    }

    pub(super) fn channel(&self, id: ChannelId) -> Option<&Channel> {
        self.known.channels.get(&id)
    }

    pub(super) fn channels(&self, tenant: TenantId, after: Option<&str>, limit: usize) -> Vec<Channel> {
        let of_tenant = self.known.channels.values().filter(|channel| channel.tenant == tenant);
        let mut these: Vec<&Channel> =
            of_tenant.filter(|channel| after.is_none_or(|after| channel.name.as_str() > after)).collect();
        these.sort_by(|a, b| a.name.cmp(&b.name));
        these.into_iter().take(limit).cloned().collect()
    }

    pub(super) fn change_channel(&mut self, known: &Channel, to: Channel) -> Result<bool, StoreError> {
        if self.known.channels.get(&known.id) != Some(known) {
            return Ok(false);
        }
        self.check_name(&to)?;
        let Channel { id, tenant, kind, created_at, .. } = *known;
        self.save(vec![NotificationChange::Channel(Channel { id, tenant, kind, created_at, ..to })]).map(|()| true)
    }

    pub(super) fn delete_channel(&mut self, id: ChannelId) -> Result<bool, StoreError> {
        if !self.known.channels.contains_key(&id) {
            return Ok(false);
        }
        self.save(vec![NotificationChange::ChannelGone(id)]).map(|()| true)
    }

    pub(super) fn set_rule(
        &mut self,
        channel: ChannelId,
        pipeline: PipelineId,
        rule: Option<NoticeRule>,
    ) -> Result<(), StoreError> {
        if !self.known.channels.contains_key(&channel) {
            return Err(StoreError::NotFound(format!("channel {channel}")));
        }
        self.save(vec![NotificationChange::Rule { channel, pipeline, rule }])
    }

    pub(super) fn rules(&self, pipeline: PipelineId) -> Vec<(ChannelId, NoticeRule)> {
        let these = self.known.rules.iter().filter(|((_, of), _)| *of == pipeline);
        these.map(|((channel, _), rule)| (*channel, rule.clone())).collect()
    }

    pub(super) fn notify(&mut self, notifications: Vec<Notification>) -> Result<u64, StoreError> {
        let mut new: Vec<Notification> = Vec::new();
        for told in notifications {
            let is_double = |other: &Notification| {
                other.channel == told.channel
                    && told.run.is_some()
                    && other.run == told.run
                    && other.subject == told.subject
            };
            let has_channel = self.known.channels.contains_key(&told.channel);
            if has_channel && !self.known.has(&told) && !new.iter().any(is_double) {
                new.push(told);
            }
        }
        let count = new.len() as u64;
        let changes = new.into_iter().map(|told| NotificationChange::Dispatch(Box::new(Dispatch::of_new(told))));
        self.save(changes.collect())?;
        Ok(count)
    }

    pub(super) fn take(&mut self, now: Timestamp, until: Timestamp, limit: usize) -> Result<Vec<Dispatch>, StoreError> {
        let waiting = self.known.dispatches.values().filter(|one| one.status == DispatchStatus::Waiting);
        let mut due: Vec<&Dispatch> = waiting.filter(|dispatch| dispatch.next_at <= now).collect();
        due.sort_by_key(|dispatch| (dispatch.next_at, dispatch.notification.id));
        let take = |dispatch: &Dispatch| Dispatch { tries: dispatch.tries + 1, next_at: until, ..dispatch.clone() };
        let taken: Vec<Dispatch> = due.into_iter().take(limit).map(take).collect();
        self.save(taken.iter().map(|dispatch| NotificationChange::Dispatch(Box::new(dispatch.clone()))).collect())?;
        Ok(taken)
    }

    pub(super) fn settle(&mut self, id: NotificationId, tries: u32, how: Settled) -> Result<bool, StoreError> {
        let is_it = |there: &&Dispatch| there.status == DispatchStatus::Waiting && there.tries == tries;
        let Some(there) = self.known.dispatches.get(&id).filter(is_it) else { return Ok(false) };
        let settled = there.clone().settled(how);
        self.save(vec![NotificationChange::Dispatch(Box::new(settled))]).map(|()| true)
    }

    pub(super) fn retry(&mut self, channel: ChannelId, id: NotificationId, now: Timestamp) -> Result<bool, StoreError> {
        let is_it = |there: &&Dispatch| there.notification.channel == channel && there.status != DispatchStatus::Sent;
        let Some(there) = self.known.dispatches.get(&id).filter(is_it) else { return Ok(false) };
        let (status, ended_at) = (DispatchStatus::Waiting, None);
        let again = Dispatch { status, tries: 0, next_at: now, ended_at, ..there.clone() };
        self.save(vec![NotificationChange::Dispatch(Box::new(again))]).map(|()| true)
    }

    pub(super) fn dispatches(&self, channel: ChannelId, before: Option<NotificationId>, limit: usize) -> Vec<Dispatch> {
        let of_channel = self.known.dispatches.values().rev().filter(|there| there.notification.channel == channel);
        let these = of_channel.filter(|there| before.is_none_or(|before| there.notification.id < before));
        these.take(limit).cloned().collect()
    }

    pub(super) fn sweep(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        let ended = self.known.dispatches.values().filter(|there| there.ended_at.is_some_and(|end| end < before));
        let gone: Vec<_> = ended.map(|there| NotificationChange::DispatchGone(there.notification.id)).collect();
        let count = gone.len() as u64;
        self.save(gone).map(|()| count)
    }

    /// Makes changes; they are durable when it returns.
    fn save(&mut self, changes: Vec<NotificationChange>) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        if let Some(file) = &mut self.file {
            file.append_durably(&changes)?;
        }
        for change in changes {
            self.known.apply(change);
        }
        match &mut self.file {
            Some(file) if file.length() > SLACK + 4096 * self.known.len() as u64 => {
                file.replace(&self.known.as_changes())
            }
            _ => Ok(()),
        }
    }
}
