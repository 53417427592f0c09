//! Webhooks of forges: received at once, worked on by any server.
//!
//! ```text
//! request ─► signature ─► kept (202) ··· taken under a lease ─► read ─► Change ─► decisions, runs ─► settled
//! ```
//!
//! A delivery is durable before the forge is answered. Whoever takes it renews the lease as long as they work; when they
//! are killed another one begins again, and the ids of the runs follow from the delivery, so none is lost and none is made
//! twice.

use std::time::Duration;

use axum::http::HeaderMap;
use buildit::account::Role;
use buildit::id::{DeliveryId, Digest, RepositoryId};
use buildit::store::{Delivery, DeliveryState, Forge, Repository, StoreError};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::changes::{Change, Decision, start_change};
use super::{audit, repositories};
use crate::access::{Access, Actor};
use crate::forge::{self, Unsigned};
use crate::list::{List, Page};
use crate::problem::Problem;
use crate::state::ServerState;

/// How many are worked on at once.
const AT_ONCE: usize = 8;

/// How often it is looked for those that are due.
const LOOK: Duration = Duration::from_millis(500);

/// How long a delivery is somebody's who says nothing more, and how often they say that they are still there.
const LEASE: SignedDuration = SignedDuration::from_secs(60);
const RENEW: Duration = Duration::from_secs(20);

/// How often it is tried to work on one, and how long it is waited after the first time; twice as long after each.
const TRIES: u32 = 8;
const PAUSE: SignedDuration = SignedDuration::from_secs(5);

/// How long deliveries are kept.
pub(crate) const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What came of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Came {
    /// It starts nothing, for this reason.
    Nothing { why: String },
    /// What was decided for each pipeline of each change in it.
    Decided { decisions: Vec<Decision> },
}

impl Came {
    /// As it is kept; empty while nobody has worked on it.
    pub(crate) fn of(delivery: &Delivery) -> Option<Self> {
        serde_json::from_str(&delivery.outcome).ok()
    }

    fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What was done with a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// It is kept, and worked on soon.
    Kept,
    /// It came before.
    Before,
}

/// Keeps a webhook of a forge, when whoever sent it knows the repository's secret.
pub(crate) async fn receive(
    state: &ServerState,
    id: RepositoryId,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Received, Problem> {
    let repository = state.store().repository(id).await?.ok_or_else(Problem::not_found)?;
    let forge = repository.settings.forge.or_else(|| forge::forge_of(headers));
    let forge = forge.ok_or_else(|| Problem::invalid("no header says which forge this is from"))?;
    let event = forge::event_name(forge, headers)
        .ok_or_else(|| Problem::invalid(format!("no header names the event, as {} does", forge.as_str())))?;
    let now = Timestamp::now();
    let secret = repositories::webhook_secret(state, &repository).await?;
    if let Err(unsigned) = forge::check(forge, headers, body, &secret) {
        note_refused(state, &repository, forge, unsigned, now).await?;
        return Err(Problem::unauthenticated().with_detail(unsigned.to_string()));
    }
    let key = match forge::delivery_id(forge, headers) {
        Some(key) => key.to_owned(),
        // A forge that does not say sends the same only when it sends it again.
        None => format!("{event} {}", Digest::of(body)),
    };
    let delivery = waiting(repository.id, forge, event.to_owned(), key, now);
    let is_new = state.store().keep_delivery(delivery, body.to_vec()).await?;
    Ok(if is_new { Received::Kept } else { Received::Before })
}

fn waiting(repository: RepositoryId, forge: Forge, event: String, key: String, now: Timestamp) -> Delivery {
    Delivery {
        id: DeliveryId::new(),
        repository,
        key,
        forge,
        event,
        received_at: now,
        state: DeliveryState::Waiting,
        attempts: 0,
        due_at: now,
        outcome: String::new(),
    }
}

/// Notes that somebody has come without the secret: once a minute, since anybody may come as often as they like. Nothing of
/// what they brought is kept.
async fn note_refused(
    state: &ServerState,
    repository: &Repository,
    forge: Forge,
    unsigned: Unsigned,
    now: Timestamp,
) -> Result<(), StoreError> {
    let key = format!("refused {} {unsigned}", now.as_second() / 60);
    let outcome = Came::Nothing { why: unsigned.to_string() }.text();
    let new = waiting(repository.id, forge, "unknown".to_owned(), key, now);
    let refused = Delivery { state: DeliveryState::Refused, outcome, ..new };
    state.store().keep_delivery(refused, Vec::new()).await.map(drop)
}

/// The deliveries of a repository, the newest first, a page at a time.
pub(crate) async fn list(state: &ServerState, repository: &Repository, page: &Page) -> Result<List<Delivery>, Problem> {
    let limit = page.limit();
    let found = state.store().deliveries(repository.id, page.after()?, limit + 1).await?;
    Ok(List::cut(found, limit, |delivery| delivery.id.to_string()))
}

/// A delivery of a repository, and leave to act on it.
pub(crate) async fn find(
    state: &ServerState,
    actor: Actor,
    (repository, id): (RepositoryId, DeliveryId),
    least: Role,
) -> Result<(Access, Repository, Delivery), Problem> {
    let (access, repository) = repositories::find(state, actor, repository, least).await?;
    let delivery = within(state, &repository, id).await?;
    Ok((access, repository, delivery))
}

/// The delivery of this id, if it is one of the repository.
pub(crate) async fn within(state: &ServerState, repository: &Repository, id: DeliveryId) -> Result<Delivery, Problem> {
    let found = state.store().delivery(id).await?;
    found.filter(|found| found.repository == repository.id).ok_or_else(Problem::not_found)
}

/// What a delivery brought, as text.
pub(crate) async fn payload(state: &ServerState, delivery: &Delivery) -> Result<String, Problem> {
    let body = state.store().delivery_body(delivery.id).await?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// Works on a delivery once more, as if it had come now: its runs are new ones.
pub(crate) async fn redeliver(
    state: &ServerState,
    access: &Access,
    repository: &Repository,
    known: &Delivery,
) -> Result<Delivery, Problem> {
    if known.state == DeliveryState::Refused {
        return Err(Problem::conflict("whoever sent it did not know the secret: nothing of it was kept"));
    }
    let body = state.store().delivery_body(known.id).await?.ok_or_else(Problem::not_found)?;
    let new = waiting(repository.id, known.forge, known.event.clone(), String::new(), Timestamp::now());
    let again = Delivery { key: format!("again {}", new.id), ..new };
    state.store().keep_delivery(again.clone(), body).await?;
    let details = [("delivery", known.id.to_string().into())];
    audit::of_tenant(state, access, "delivery.redeliver", &repository.name, &details).await;
    Ok(again)
}

/// How the keys begin of what stands in the list for the runs that somebody has approved.
const APPROVED: &str = "with secrets ";

/// What a delivery tells of pull requests from forks.
fn of_forks(delivery: &Delivery, body: &[u8]) -> Vec<Change> {
    // What somebody has approved stands there as a copy, which is not approved again.
    if delivery.key.starts_with(APPROVED) {
        return Vec::new();
    }
    // Of one that was refused nothing is kept, and nothing is read.
    let events = forge::read(delivery.forge, &delivery.event, body).unwrap_or_default();
    events.into_iter().filter_map(|event| Change::of_event(event).ok()).filter(Change::is_fork).collect()
}

/// The commit of a pull request from a fork that a delivery tells of: its runs have no secrets until somebody has looked at it.
pub(crate) async fn commit_of_fork(state: &ServerState, delivery: &Delivery) -> Result<Option<String>, Problem> {
    let body = state.store().delivery_body(delivery.id).await?.unwrap_or_default();
    Ok(of_forks(delivery, &body).into_iter().next().map(|change| change.sha))
}

/// Starts the runs of a pull request from a fork with secrets, of the very commit that was delivered: somebody has looked at
/// that. Those of a delivery are started once, however often it is asked for.
pub(crate) async fn approve(
    state: &ServerState,
    access: &Access,
    repository: &Repository,
    known: &Delivery,
) -> Result<Vec<Decision>, Problem> {
    let access = access.clone().at_least(Role::Admin)?;
    let body = state.store().delivery_body(known.id).await?.unwrap_or_default();
    let changes = of_forks(known, &body);
    if changes.is_empty() {
        return Err(Problem::conflict("it tells of no pull request from a fork"));
    }
    let by = access.person();
    // Before anything starts: that is in the log even of a server that is killed meanwhile.
    let details = [("delivery", known.id.to_string().into())];
    audit::of_tenant(state, &access, "delivery.approve", &repository.name, &details).await;
    let mut decisions = Vec::new();
    for (index, change) in changes.into_iter().enumerate() {
        let change = Change { approved_by: by.clone(), ..change };
        // Keys of those who may not have secrets have no such end.
        let key = format!("{} {index} with secrets", known.id);
        decisions.extend(start_change(state, repository, &change, (&key, known.received_at)).await?);
    }
    let new = waiting(repository.id, known.forge, known.event.clone(), String::new(), Timestamp::now());
    let (key, outcome) = (format!("{APPROVED}{}", known.id), Came::Decided { decisions: decisions.clone() }.text());
    state.store().keep_delivery(Delivery { key, state: DeliveryState::Done, outcome, ..new }, body).await?;
    Ok(decisions)
}

/// Works on deliveries, until the server stops: what it was at then goes on when its lease has ended, here or elsewhere.
pub(crate) async fn work(state: ServerState) {
    let mut at_work = JoinSet::new();
    loop {
        let now = Timestamp::now();
        let free = AT_ONCE - at_work.len();
        match state.store().take_deliveries(now, now + LEASE, free).await {
            Ok(taken) => taken.into_iter().for_each(|delivery| {
                at_work.spawn(work_on(state.clone(), delivery));
            }),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "deliveries cannot be looked for");
            }
        }
        tokio::select! {
            Some(ended) = at_work.join_next() => match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a delivery cannot be settled");
                }
                Err(error) => tracing::error!(%error, "work on a delivery has broken off"),
            },
            () = tokio::time::sleep(LOOK) => {}
            () = state.stopping().cancelled() => return,
        }
    }
}

/// Works on a delivery as long as it is ours.
async fn work_on(state: ServerState, delivery: Delivery) -> Result<(), StoreError> {
    let came = tokio::select! {
        came = decide(&state, &delivery) => came,
        lost = renew(&state, &delivery) => return lost,
    };
    let settled = match came {
        Ok(came) => Delivery { state: DeliveryState::Done, outcome: came.text(), ..delivery },
        Err(problem) => {
            let why = problem.said();
            tracing::warn!(why, delivery = %delivery.id, "a delivery cannot be worked on");
            let outcome = Came::Nothing { why }.text();
            if delivery.attempts >= TRIES {
                Delivery { state: DeliveryState::Failed, outcome, ..delivery }
            } else {
                let pause = PAUSE * 2_i32.saturating_pow(delivery.attempts.saturating_sub(1));
                Delivery { due_at: Timestamp::now() + pause, outcome, ..delivery }
            }
        }
    };
    // Whoever has taken it since settles it.
    state.store().settle_delivery(settled).await.map(drop)
}

/// Says again and again that somebody is at work; ends when another one is.
async fn renew(state: &ServerState, delivery: &Delivery) -> Result<(), StoreError> {
    loop {
        tokio::time::sleep(RENEW).await;
        let renewed = Delivery { due_at: Timestamp::now() + LEASE, ..delivery.clone() };
        if !state.store().settle_delivery(renewed).await? {
            return Ok(());
        }
    }
}

async fn decide(state: &ServerState, delivery: &Delivery) -> Result<Came, Problem> {
    let nothing = |why: String| Ok(Came::Nothing { why });
    let Some(repository) = state.store().repository(delivery.repository).await? else {
        return nothing("the repository is not connected any more".to_owned());
    };
    let body = state.store().delivery_body(delivery.id).await?.unwrap_or_default();
    let events = match forge::read(delivery.forge, &delivery.event, &body) {
        Ok(events) => events,
        Err(unreadable) => return nothing(unreadable.to_string()),
    };
    let (mut decisions, mut reasons) = (Vec::new(), Vec::new());
    for (index, event) in events.into_iter().enumerate() {
        match Change::of_event(event) {
            Ok(change) => {
                let key = format!("{} {index}", delivery.id);
                decisions.extend(start_change(state, &repository, &change, (&key, delivery.received_at)).await?);
            }
            Err(why) => reasons.push(why),
        }
    }
    match (decisions.is_empty(), reasons.is_empty()) {
        (true, false) => nothing(reasons.join("; ")),
        (true, true) => nothing("the repository has no pipeline at that commit".to_owned()),
        _ => Ok(Came::Decided { decisions }),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use axum::http::HeaderValue;
    use buildit::store::RunFilter;
    use secrecy::ExposeSecret;

    use super::*;
    use crate::app::repositories::{Check, New};
    use crate::open::Server;
    use crate::settings::Settings;

    fn git(folder: &Path, arguments: &[&str]) -> String {
        let who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"];
        let done = std::process::Command::new("git").args(who).args(arguments).current_dir(folder).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_server_that_is_killed_at_work_loses_no_delivery_and_doubles_no_run() {
        let folder = tempfile::tempdir().unwrap();
        let origin = tempfile::tempdir().unwrap();
        let kdl = "pipeline \"shop\"\non \"push\"\nstage \"s\" { run \"true\" }";
        std::fs::write(origin.path().join(".buildit.kdl"), kdl).unwrap();
        for step in [&["init", "-q", "-b", "main"][..], &["add", "."], &["commit", "-q", "-m", "first"]] {
            git(origin.path(), step);
        }
        let settings = Settings {
            data: folder.path().to_owned(),
            docker: false,
            runs: 0,
            local_repositories: true,
            ..Settings::default()
        };
        let server = Server::open(settings.clone()).await.unwrap();
        let state = server.state();
        let access = Access::of_founder(state);
        let new = New {
            url: origin.path().to_str().unwrap().to_owned(),
            name: Some("shop".to_owned()),
            forge: Some(Forge::GitLab),
            ..New::default()
        };
        let repository = repositories::connect(state, &access, new, Check::Asked).await.unwrap();
        let secret = repositories::webhook_secret(state, &repository).await.unwrap();
        let head = git(origin.path(), &["rev-parse", "HEAD"]);
        let body = serde_json::json!({ "ref": "refs/heads/main", "before": "0", "after": head, "checkout_sha": head });
        let mut headers = HeaderMap::new();
        headers.insert("x-gitlab-event", HeaderValue::from_static("Push Hook"));
        headers.insert("x-gitlab-token", HeaderValue::from_str(secret.expose_secret()).unwrap());
        let body = body.to_string();
        let receive = async || receive(state, repository.id, &headers, body.as_bytes()).await.unwrap();
        assert_eq!((receive().await, receive().await), (Received::Kept, Received::Before));

        // One has decided and is killed before that is noted; two others take it at once when its lease has ended.
        let now = Timestamp::now();
        let first = state.store().take_deliveries(now, now + LEASE, 9).await.unwrap().remove(0);
        let came = decide(state, &first).await.unwrap();
        let Came::Decided { decisions } = &came else { panic!("{came:?}") };
        assert!(matches!(decisions[..], [Decision { outcome: super::super::changes::Outcome::Started { .. }, .. }]));
        drop(server);
        let one = Server::open(settings.clone()).await.unwrap();
        let state = one.state();
        let later = now + LEASE;
        let second = state.store().take_deliveries(later, later, 9).await.unwrap().remove(0);
        let third = state.store().take_deliveries(later, later + LEASE, 9).await.unwrap().remove(0);
        assert_eq!((first.attempts, second.attempts, third.attempts), (1, 2, 3));
        let (slow, quick) = tokio::join!(work_on(state.clone(), second), work_on(state.clone(), third.clone()));
        slow.and(quick).unwrap();
        let settled = state.store().delivery(first.id).await.unwrap().unwrap();
        assert_eq!((settled.state, settled.attempts, Came::of(&settled)), (DeliveryState::Done, 3, Some(came)));
        let runs = state.store().runs(&RunFilter::of_pipeline("shop"), 9).await.unwrap();
        assert_eq!(runs.len(), 1, "however often it was worked on");
        assert_eq!(state.store().take_deliveries(later + LEASE + LEASE, later, 9).await.unwrap(), []);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_cannot_be_worked_on_is_tried_again_and_given_up_at_last() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { data: folder.path().to_owned(), docker: false, runs: 0, ..Settings::default() };
        let server = Server::open(settings).await.unwrap();
        let state = server.state();
        let access = Access::of_founder(state);
        let new = New { url: "https://git.invalid/a".to_owned(), ..New::default() };
        let repository = repositories::connect(state, &access, new, Check::Unasked).await.unwrap();
        let now = Timestamp::now();
        let delivery = waiting(repository.id, Forge::GitHub, "push".to_owned(), "a".to_owned(), now);
        let head = "1".repeat(40);
        let body = serde_json::json!({ "ref": "refs/heads/main", "before": head, "after": head });
        assert!(state.store().keep_delivery(delivery.clone(), body.to_string().into_bytes()).await.unwrap());
        let mut pauses = Vec::new();
        for _ in 0..TRIES {
            let far = Timestamp::now() + SignedDuration::from_hours(9);
            let taken = state.store().take_deliveries(far, far + LEASE, 9).await.unwrap().remove(0);
            let begun = Timestamp::now();
            work_on(state.clone(), taken).await.unwrap();
            let now = state.store().delivery(delivery.id).await.unwrap().unwrap();
            pauses.push(now.due_at.duration_since(begun).as_secs());
            assert!(now.outcome.contains("git.invalid"), "{}", now.outcome);
        }
        assert!((5..30).contains(&pauses[0]) && pauses[3] >= 40, "{pauses:?}");
        let given_up = state.store().delivery(delivery.id).await.unwrap().unwrap();
        assert_eq!((given_up.state, given_up.attempts), (DeliveryState::Failed, TRIES));
    }
}
