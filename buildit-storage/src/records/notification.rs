//! Channels, and the outbox of what is to be sent to them.

use async_trait::async_trait;
use buildit::id::{ChannelId, NotificationId, PipelineId, TenantId};
use buildit::store::{Channel, Dispatch, NoticeRule, Notification, Occasion, Settled, StoreError, check_channel};
use jiff::Timestamp;

use super::{Change, Query, Records, Row, Statements, all, first, sql};
use crate::sql::{from_json, number, to_json};

fn read_channel(row: &mut Row) -> Result<Channel, StoreError> {
    Ok(Channel {
        id: row.take()?,
        tenant: row.take()?,
        name: row.take()?,
        kind: row.take::<String>()?.parse()?,
        target: row.take()?,
        rule: from_json(&row.take::<String>()?)?,
        created_at: row.take()?,
    })
}

fn read_dispatch(row: &mut Row) -> Result<Dispatch, StoreError> {
    let notification = Notification {
        id: row.take()?,
        channel: row.take()?,
        run: row.take()?,
        subject: row.take()?,
        occasion: row.take::<Option<String>>()?.as_deref().map(occasion).transpose()?,
        message: from_json(&row.take::<String>()?)?,
        created_at: row.take()?,
    };
    Ok(Dispatch {
        notification,
        status: row.take()?,
        tries: u32::try_from(row.take::<i64>()?).unwrap_or(u32::MAX),
        next_at: row.take()?,
        error: row.take()?,
        ended_at: row.take()?,
    })
}

fn occasion(word: &str) -> Result<Occasion, StoreError> {
    word.parse().map_err(|_| StoreError::Corrupt(format!("`{word}` is no occasion")))
}

pub(crate) async fn create_channel(store: &impl Records, channel: Channel) -> Result<(), StoreError> {
    check_channel(&channel)?;
    let taken = format!("the name `{}`", channel.name);
    let insert = sql("INSERT INTO channels (id, tenant_id, name, kind, target, rule, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)");
    let insert = insert.bind(channel.id).bind(channel.tenant).bind(channel.name).bind(channel.kind.as_str().to_owned());
    let insert = insert.bind(channel.target).bind(to_json(&channel.rule)?).bind(channel.created_at);
    store.run(insert.or_taken(taken)).await.map(drop)
}

pub(crate) async fn channel(store: &impl Records, id: ChannelId) -> Result<Option<Channel>, StoreError> {
    let query = sql("SELECT id, tenant_id, name, kind, target, rule, created_at FROM channels WHERE id = $1");
    first(store.read(query.bind(id)).await?, read_channel)
}

pub(crate) async fn channels(
    store: &impl Records,
    tenant: TenantId,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Channel>, StoreError> {
    // No name is empty, so all are after that.
    let query = sql("SELECT id, tenant_id, name, kind, target, rule, created_at FROM channels
         WHERE tenant_id = $1 AND name > $2 ORDER BY name LIMIT $3");
    let query = query.bind(tenant).bind(after.unwrap_or_default().to_owned()).bind(number(limit as u64));
    all(store.read(query).await?, read_channel)
}

pub(crate) async fn change_channel(store: &impl Records, known: &Channel, to: Channel) -> Result<bool, StoreError> {
    check_channel(&to)?;
    let taken = format!("the name `{}`", to.name);
    let update = sql("UPDATE channels SET name = $2, target = $3, rule = $4
         WHERE id = $1 AND name = $5 AND target = $6 AND rule = $7");
    let update = update.bind(known.id).bind(to.name).bind(to.target).bind(to_json(&to.rule)?);
    let update = update.bind(known.name.clone()).bind(known.target.clone()).bind(to_json(&known.rule)?);
    Ok(store.run(update.or_taken(taken)).await? > 0)
}

pub(crate) async fn delete_channel(store: &impl Records, id: ChannelId) -> Result<bool, StoreError> {
    Ok(store.run(sql("DELETE FROM channels WHERE id = $1").bind(id)).await? > 0)
}

pub(crate) async fn set_rule(
    store: &impl Records,
    channel: ChannelId,
    pipeline: PipelineId,
    rule: Option<NoticeRule>,
) -> Result<(), StoreError> {
    let missing = || format!("channel {channel}");
    let Some(rule) = rule else {
        let found = self::channel(store, channel).await?;
        found.ok_or_else(|| StoreError::NotFound(missing()))?;
        let delete = sql("DELETE FROM channel_rules WHERE channel_id = $1 AND pipeline_id = $2");
        return store.run(delete.bind(channel).bind(pipeline)).await.map(drop);
    };
    let set = sql("INSERT INTO channel_rules (channel_id, pipeline_id, rule) VALUES ($1, $2, $3)
         ON CONFLICT (channel_id, pipeline_id) DO UPDATE SET rule = excluded.rule");
    let set = set.bind(channel).bind(pipeline).bind(to_json(&rule)?);
    store.run(set.or_missing(missing())).await.map(drop)
}

pub(crate) async fn rules(
    store: &impl Records,
    pipeline: PipelineId,
) -> Result<Vec<(ChannelId, NoticeRule)>, StoreError> {
    let rules = sql("SELECT channel_id, rule FROM channel_rules WHERE pipeline_id = $1 ORDER BY channel_id");
    let read = |row: &mut Row| Ok((row.take()?, from_json(&row.take::<String>()?)?));
    all(store.read(rules.bind(pipeline)).await?, read)
}

#[derive(Debug)]
struct Notify(Vec<Notification>);

#[async_trait]
impl Change for Notify {
    type Answer = u64;

    async fn change(&self, to: &mut dyn Statements) -> Result<u64, StoreError> {
        let mut new = 0;
        for told in &self.0 {
            let insert = sql("INSERT INTO notifications
                     (id, channel_id, pipeline_run_id, subject, occasion, message, created_at, status, next_at)
                 SELECT $1, id, $3, $4, $5, $6, $7, 'waiting', $7 FROM channels WHERE id = $2
                 ON CONFLICT DO NOTHING");
            let insert = insert.bind(told.id).bind(told.channel).bind(told.run).bind(told.subject.clone());
            let insert = insert.bind(told.occasion.map(|occasion| occasion.as_str().to_owned()));
            new += to.run(insert.bind(to_json(&told.message)?).bind(told.created_at)).await?;
        }
        Ok(new)
    }
}

pub(crate) async fn notify(store: &impl Records, notifications: Vec<Notification>) -> Result<u64, StoreError> {
    match notifications.is_empty() {
        true => Ok(0),
        false => store.change(Notify(notifications)).await,
    }
}

/// A statement that reads dispatches, those that this clause lets through.
macro_rules! select {
    ($clause:literal) => {
        sql(concat!(
            "SELECT id, channel_id, pipeline_run_id, subject, occasion, message, created_at, status, tries, next_at, error,
                 ended_at FROM notifications WHERE ",
            $clause
        ))
    };
}

/// One after the other: each is taken by whoever changes it first.
pub(crate) async fn take(
    store: &impl Records,
    now: Timestamp,
    until: Timestamp,
    limit: usize,
) -> Result<Vec<Dispatch>, StoreError> {
    let due = select!("status = 'waiting' AND next_at <= $1 ORDER BY next_at, id LIMIT $2");
    let due = all(store.read(due.bind(now).bind(number(limit as u64))).await?, read_dispatch)?;
    let mut taken = Vec::with_capacity(due.len());
    for dispatch in due {
        let take = sql("UPDATE notifications SET tries = tries + 1, next_at = $3
             WHERE id = $1 AND tries = $2 AND status = 'waiting' AND next_at <= $4");
        let take = take.bind(dispatch.notification.id).bind(i64::from(dispatch.tries)).bind(until).bind(now);
        if store.run(take).await? > 0 {
            taken.push(Dispatch { tries: dispatch.tries + 1, next_at: until, ..dispatch });
        }
    }
    Ok(taken)
}

pub(crate) async fn settle(
    store: &impl Records,
    id: NotificationId,
    tries: u32,
    how: Settled,
) -> Result<bool, StoreError> {
    let of = |query: Query| query.bind(id).bind(i64::from(tries));
    let settle = match how {
        Settled::Sent { at } => of(sql("UPDATE notifications SET status = 'sent', ended_at = $3, error = NULL
             WHERE id = $1 AND tries = $2 AND status = 'waiting'"))
        .bind(at),
        Settled::Later { at, error } => of(sql("UPDATE notifications SET next_at = $3, error = $4
             WHERE id = $1 AND tries = $2 AND status = 'waiting'"))
        .bind(at)
        .bind(error),
        Settled::GivenUp { at, error } => {
            of(sql("UPDATE notifications SET status = 'given_up', ended_at = $3, error = $4
                 WHERE id = $1 AND tries = $2 AND status = 'waiting'"))
            .bind(at)
            .bind(error)
        }
    };
    Ok(store.run(settle).await? > 0)
}

pub(crate) async fn retry(
    store: &impl Records,
    channel: ChannelId,
    id: NotificationId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let retry = sql("UPDATE notifications SET status = 'waiting', tries = 0, next_at = $3, ended_at = NULL
         WHERE id = $1 AND channel_id = $2 AND status <> 'sent'");
    Ok(store.run(retry.bind(id).bind(channel).bind(now)).await? > 0)
}

pub(crate) async fn dispatches(
    store: &impl Records,
    channel: ChannelId,
    before: Option<NotificationId>,
    limit: usize,
) -> Result<Vec<Dispatch>, StoreError> {
    let query = select!("channel_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
    let last = uuid::Uuid::max().into();
    let query = query.bind(channel).bind(before.unwrap_or(last)).bind(number(limit as u64));
    all(store.read(query).await?, read_dispatch)
}

pub(crate) async fn sweep(store: &impl Records, before: Timestamp) -> Result<u64, StoreError> {
    store.run(sql("DELETE FROM notifications WHERE ended_at < $1").bind(before)).await
}
