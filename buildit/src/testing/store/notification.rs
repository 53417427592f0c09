//! Clauses about channels and what is to be sent to them.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Map, json};

use super::clause::{Broken, clauses, ensure_eq, ensure_refused};
use super::samples::at;
use super::{Clause, Notifying};
use crate::id::{ChannelId, NotificationId, PipelineId, RunId, TenantId};
use crate::store::{
    Channel, ChannelKind, Dispatch, DispatchStatus, NoticeRule, Notification, Occasion, Settled, StoreError,
};

pub(super) fn clauses() -> Vec<Clause<dyn Notifying>> {
    clauses![
        a_channel_has_a_name_in_its_tenant,
        channels_are_listed_by_name_in_pages,
        a_channel_is_changed_by_who_knows_it,
        a_pipeline_tells_what_it_says_itself,
        a_deleted_channel_is_gone_with_all_of_it,
        of_one_subject_of_a_run_a_channel_is_told_once,
        of_many_who_tell_the_same_at_once_one_does,
        what_is_due_is_taken_once_until_its_time,
        of_many_who_take_at_once_each_takes_others,
        only_the_last_try_is_settled,
        what_was_not_sent_is_tried_anew_when_asked,
        dispatches_are_listed_newest_first_in_pages,
        what_has_ended_is_swept_and_nothing_else,
    ]
}

fn channel(tenant: TenantId, name: &str) -> Channel {
    Channel {
        id: ChannelId::new(),
        tenant,
        name: name.to_owned(),
        kind: ChannelKind::Webhook,
        target: "https://example.org".into(),
        rule: rule(&[Occasion::Failed, Occasion::Fixed]),
        created_at: at(0),
    }
}

fn rule(occasions: &[Occasion]) -> NoticeRule {
    let occasions: BTreeSet<Occasion> = occasions.iter().copied().collect();
    NoticeRule { occasions, branches: vec!["main".into(), "release/*".into()] }
}

async fn kept(store: &Arc<dyn Notifying>, name: &str) -> Result<Channel, Broken> {
    let channel = channel(TenantId::new(), name);
    store.create_channel(channel.clone()).await?;
    Ok(channel)
}

fn told(channel: &Channel, run: RunId, subject: &str) -> Notification {
    let message = json!({ "text": "it \u{2717}\0 failed" });
    Notification {
        id: NotificationId::new(),
        channel: channel.id,
        run: Some(run),
        subject: subject.to_owned(),
        occasion: Some(Occasion::Failed),
        message: message.as_object().cloned().unwrap_or_else(Map::new),
        created_at: at(10),
    }
}

fn ids(dispatches: &[Dispatch]) -> Vec<NotificationId> {
    dispatches.iter().map(|dispatch| dispatch.notification.id).collect()
}

async fn a_channel_has_a_name_in_its_tenant(store: Arc<dyn Notifying>) -> Result<(), Broken> {
    let made = kept(&store, "ops").await?;
    ensure_eq!(store.channel(made.id).await?.as_ref(), Some(&made), "what was kept");
    ensure_eq!(store.channel(ChannelId::new()).await?, None, "a channel that is not there");
    let same = channel(made.tenant, "ops");
    ensure_refused!(store.create_channel(same).await, StoreError::Taken(_), "a second one of a name");
    let id = Channel { id: made.id, ..channel(TenantId::new(), "x") };
    ensure_refused!(store.create_channel(id).await, StoreError::Taken(_), "a second one of an id");
    store.create_channel(channel(TenantId::new(), "ops")).await?;
    for name in ["", "a\0b"] {
        let unfit = channel(made.tenant, name);
        ensure_refused!(store.create_channel(unfit).await, StoreError::Unfit(_), "a name that no store keeps");
    }
    Ok(())
}

async fn channels_are_listed_by_name_in_pages(store: Arc<dyn Notifying>) -> Result<(), Broken> {
    let tenant = TenantId::new();
    kept(&store, "another's").await?;
    for name in ["b", "a", "B", "\u{e4}"] {
        store.create_channel(channel(tenant, name)).await?;
    }
    let names = async |after: Option<&str>, limit| -> Result<Vec<String>, Broken> {
        Ok(store.channels(tenant, after, limit).await?.into_iter().map(|channel| channel.name).collect())
    };
    ensure_eq!(names(None, 9).await?, ["B", "a", "b", "\u{e4}"], "the order");
    ensure_eq!(names(Some("B"), 2).await?, ["a", "b"], "a page");
    ensure_eq!(names(Some("\u{e4}"), 2).await?, [""; 0], "what is behind the last");
    Ok(())
}

async fn a_channel_is_changed_by_who_knows_it(store: Arc<dyn Notifying>) -> Result<(), Broken> {
    let known = kept(&store, "ops").await?;
    let to = Channel { name: "dev".into(), target: "b".into(), rule: rule(&[Occasion::Waiting]), ..known.clone() };
    ensure_eq!(store.change_channel(&known, to.clone()).await?, true, "whether it was changed");
    ensure_eq!(store.channel(known.id).await?.as_ref(), Some(&to), "what it is then");
    let late = Channel { name: "late".into(), ..known.clone() };
    ensure_eq!(store.change_channel(&known, late).await?, false, "whether who knew an earlier one changed it");
    let other = Channel { tenant: known.tenant, ..channel(known.tenant, "taken") };
    store.create_channel(other).await?;
    let taken = Channel { name: "taken".into(), ..to.clone() };
    ensure_refused!(store.change_channel(&to, taken).await, StoreError::Taken(_), "a change to a name of another");
    ensure_eq!(store.channel(known.id).await?, Some(to), "what it is at last");
    Ok(())
}

async fn a_pipeline_tells_what_it_says_itself(store: Arc<dyn Notifying>) -> Result<(), Broken> {
    let (one, two) = (kept(&store, "one").await?, kept(&store, "two").await?);
    let (mine, yours) = (PipelineId::new(), PipelineId::new());
    ensure_eq!(store.rules(mine).await?, [], "what is said before anything is");
    let silent = NoticeRule::default();
    store.set_rule(two.id, mine, Some(silent.clone())).await?;
    store.set_rule(one.id, mine, Some(rule(&[Occasion::Failed]))).await?;
    store.set_rule(one.id, yours, Some(rule(&[Occasion::Cancelled]))).await?;
    store.set_rule(one.id, mine, Some(rule(&[Occasion::Succeeded]))).await?;
    let both = [(one.id, rule(&[Occasion::Succeeded])), (two.id, silent.clone())];
    ensure_eq!(store.rules(mine).await?, both, "what is said");
    store.set_rule(one.id, mine, None).await?;
    ensure_eq!(store.rules(mine).await?, [(two.id, silent)], "what is left");
    ensure_eq!(store.rules(yours).await?, [(one.id, rule(&[Occasion::Cancelled]))], "what another pipeline says");
    for rule in [None, Some(rule(&[]))] {
        let set = store.set_rule(ChannelId::new(), mine, rule).await;
        ensure_refused!(set, StoreError::NotFound(_), "a rule for a channel that is not there");
    }
    Ok(())
}

async fn a_deleted_channel_is_gone_with_all_of_it(store: Arc<dyn Notifying>) -> Result<(), Broken> {
    let (gone, stays) = (kept(&store, "gone").await?, kept(&store, "stays").await?);
    let (pipeline, run) = (PipelineId::new(), RunId::new());
    for channel in [&gone, &stays] {
        store.set_rule(channel.id, pipeline, Some(rule(&[Occasion::Failed]))).await?;
    }
    let left = told(&stays, run, "end");
    store.notify(vec![told(&gone, run, "end"), left.clone()]).await?;
    ensure_eq!(store.delete_channel(gone.id).await?, true, "whether it was there");
    ensure_eq!(store.delete_channel(gone.id).await?, false, "whether it was there twice");
    ensure_eq!(store.channel(gone.id).await?, None, "the channel");
    ensure_eq!(store.rules(pipeline).await?, [(stays.id, rule(&[Occasion::Failed]))], "what the pipeline tells");
    ensure_eq!(store.dispatches(gone.id, None, 9).await?, [], "what was to be sent there");
    ensure_eq!(store.notify(vec![told(&gone, run, "later")]).await?, 0, "what is new to who is gone");
    let due = store.take_notifications(at(99), at(200), 9).await?;
    ensure_eq!(ids(&due), [left.id], "what is due");
    Ok(())
}

async fn of_one_subject_of_a_run_a_channel_is_told_once(store: Arc<dyn Notifying>) -> Result<(), Broken> {
    let (one, two, run) = (kept(&store, "one").await?, kept(&store, "two").await?, RunId::new());
    let first = told(&one, run, "end");
    let all =
        vec![first.clone(), told(&two, run, "end"), told(&one, run, "approval/x"), told(&one, RunId::new(), "end")];
    ensure_eq!(store.notify(all.clone()).await?, 4, "how many were new");
    ensure_eq!(store.notify(all).await?, 0, "how many were new when they come again");
    let double = Notification { occasion: Some(Occasion::Cancelled), ..told(&one, run, "end") };
    ensure_eq!(store.notify(vec![double, told(&two, run, "x"), told(&two, run, "x")]).await?, 1, "how many were then");
    let there = store.dispatches(one.id, None, 9).await?;
    ensure_eq!(there.last(), Some(&Dispatch::of_new(first)), "what was kept first");
    // Whoever tries a channel out hears of it each time.
    let try_out = || Notification { run: None, occasion: None, ..told(&one, run, "test") };
    ensure_eq!(store.notify(vec![try_out(), try_out()]).await?, 2, "how many try-outs were new");
    Ok(())
}

async fn of_many_who_tell_the_same_at_once_one_does(store: Arc<dyn Notifying>) -> Result<(), Broken> {
    let (channel, run) = (kept(&store, "ops").await?, RunId::new());
    let all = join_all((0..8).map(|_| store.notify(vec![told(&channel, run, "end")]))).await;
    let new: u64 = all.into_iter().collect::<Result<Vec<u64>, _>>()?.into_iter().sum();
    ensure_eq!(new, 1, "how many of 8 were new");
    ensure_eq!(store.dispatches(channel.id, None, 99).await?.len(), 1, "how many there are");
    Ok(())
}

async fn what_is_due_is_taken_once_until_its_time(store: Arc<dyn Notifying>) -> Result<(), Broken> {
    let channel = kept(&store, "ops").await?;
    let early = Notification { created_at: at(5), ..told(&channel, RunId::new(), "end") };
    let late = told(&channel, RunId::new(), "end");
    store.notify(vec![late.clone(), early.clone()]).await?;
    ensure_eq!(store.take_notifications(at(4), at(30), 9).await?, [], "what is due before anything is");
    let taken = store.take_notifications(at(20), at(30), 1).await?;
    let first = Dispatch { tries: 1, next_at: at(30), ..Dispatch::of_new(early.clone()) };
    ensure_eq!(taken, [first], "what is taken first");
    ensure_eq!(ids(&store.take_notifications(at(20), at(40), 9).await?), [late.id], "what is left");
    ensure_eq!(store.take_notifications(at(29), at(60), 9).await?, [], "what is due while it is being sent");
    // Whoever had it has died.
    let again = store.take_notifications(at(30), at(60), 9).await?;
    let second = Dispatch { tries: 2, next_at: at(60), ..Dispatch::of_new(early) };
    ensure_eq!(again, [second], "what is due again");
    Ok(())
}

async fn of_many_who_take_at_once_each_takes_others(store: Arc<dyn Notifying>) -> Result<(), Broken> {
    let channel = kept(&store, "ops").await?;
    store.notify((0..20).map(|_| told(&channel, RunId::new(), "end")).collect()).await?;
    let all = join_all((0..4).map(|_| store.take_notifications(at(20), at(60), 20))).await;
    let taken: Vec<Dispatch> = all.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    let different: BTreeSet<_> = ids(&taken).into_iter().collect();
    ensure_eq!((taken.len(), different.len()), (20, 20), "how many were taken, and how many of them differ");
    Ok(())
}

async fn only_the_last_try_is_settled(store: Arc<dyn Notifying>) -> Result<(), Broken> {
    let channel = kept(&store, "ops").await?;
    let sent = told(&channel, RunId::new(), "end");
    store.notify(vec![sent.clone()]).await?;
    store.take_notifications(at(20), at(30), 9).await?;
    let later = Settled::Later { at: at(40), error: "503".into() };
    ensure_eq!(store.settle_notification(sent.id, 1, later.clone()).await?, true, "whether a try was noted");
    ensure_eq!(store.take_notifications(at(39), at(60), 9).await?, [], "what is due before its time");
    let again = store.take_notifications(at(40), at(60), 9).await?;
    ensure_eq!(again.first().map(|one| (one.tries, one.error.as_deref())), Some((2, Some("503"))), "the second try");
    let done = Settled::Sent { at: at(41) };
    ensure_eq!(
        store.settle_notification(sent.id, 1, done.clone()).await?,
        false,
        "whether the first one was noted late"
    );
    ensure_eq!(store.settle_notification(sent.id, 2, done).await?, true, "whether the second one was noted");
    ensure_eq!(store.settle_notification(sent.id, 2, later).await?, false, "whether one was noted after the end");
    ensure_eq!(store.take_notifications(at(99), at(120), 9).await?, [], "what is due when it was sent");
    let end = Dispatch {
        status: DispatchStatus::Sent,
        tries: 2,
        next_at: at(60),
        ended_at: Some(at(41)),
        ..Dispatch::of_new(sent)
    };
    ensure_eq!(store.dispatches(channel.id, None, 9).await?, [end], "what is known of it");
    Ok(())
}

async fn what_was_not_sent_is_tried_anew_when_asked(store: Arc<dyn Notifying>) -> Result<(), Broken> {
    let (channel, other) = (kept(&store, "ops").await?, kept(&store, "other").await?);
    let (lost, sent) = (told(&channel, RunId::new(), "end"), told(&channel, RunId::new(), "end"));
    store.notify(vec![lost.clone(), sent.clone()]).await?;
    store.take_notifications(at(20), at(30), 9).await?;
    let given_up = Settled::GivenUp { at: at(21), error: "404".into() };
    store.settle_notification(lost.id, 1, given_up).await?;
    store.settle_notification(sent.id, 1, Settled::Sent { at: at(21) }).await?;
    ensure_eq!(store.take_notifications(at(99), at(120), 9).await?, [], "what is due when it was given up");
    let known = store.dispatches(channel.id, Some(sent.id), 1).await?;
    let known = known.first().map(|one| (one.status, one.error.as_deref(), one.ended_at));
    ensure_eq!(known, Some((DispatchStatus::GivenUp, Some("404"), Some(at(21)))), "what is known of it");
    ensure_eq!(store.retry_notification(other.id, lost.id, at(50)).await?, false, "whether another channel has it");
    ensure_eq!(store.retry_notification(channel.id, sent.id, at(50)).await?, false, "whether what was sent is again");
    ensure_eq!(store.retry_notification(channel.id, lost.id, at(50)).await?, true, "whether it is tried anew");
    ensure_eq!(store.take_notifications(at(49), at(120), 9).await?, [], "what is due before that");
    let again = store.take_notifications(at(50), at(60), 9).await?;
    let again: Vec<_> = again.iter().map(|one| (one.notification.id, one.tries, one.ended_at)).collect();
    ensure_eq!(again, [(lost.id, 1, None)], "what is due then");
    Ok(())
}

async fn dispatches_are_listed_newest_first_in_pages(store: Arc<dyn Notifying>) -> Result<(), Broken> {
    let (channel, other) = (kept(&store, "ops").await?, kept(&store, "other").await?);
    let all: Vec<Notification> = (0..5).map(|_| told(&channel, RunId::new(), "end")).collect();
    store.notify(all.clone()).await?;
    store.notify(vec![told(&other, RunId::new(), "end")]).await?;
    let mut expected: Vec<NotificationId> = all.iter().map(|told| told.id).collect();
    expected.reverse();
    ensure_eq!(ids(&store.dispatches(channel.id, None, 2).await?), expected[..2], "the first page");
    ensure_eq!(ids(&store.dispatches(channel.id, Some(expected[1]), 9).await?), expected[2..], "the second page");
    Ok(())
}

async fn what_has_ended_is_swept_and_nothing_else(store: Arc<dyn Notifying>) -> Result<(), Broken> {
    let channel = kept(&store, "ops").await?;
    let [old, new, waits] = [(); 3].map(|()| told(&channel, RunId::new(), "end"));
    store.notify(vec![old.clone(), new.clone(), waits.clone()]).await?;
    store.take_notifications(at(20), at(30), 9).await?;
    store.settle_notification(old.id, 1, Settled::Sent { at: at(21) }).await?;
    store.settle_notification(new.id, 1, Settled::GivenUp { at: at(40), error: "x".into() }).await?;
    ensure_eq!(store.sweep_notifications(at(40)).await?, 1, "how many were swept");
    ensure_eq!(ids(&store.dispatches(channel.id, None, 9).await?), [waits.id, new.id], "what is left");
    Ok(())
}
