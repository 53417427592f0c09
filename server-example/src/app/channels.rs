//! Channels, and what pipelines tell them.

use std::collections::{BTreeSet, HashMap};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use buildit::account::Role;
use buildit::condition::Globs;
use buildit::id::{ChannelId, NotificationId, PipelineId, TenantId};
use buildit::store::{Channel, ChannelKind, NoticeRule, Notification, Occasion, SecretPlace, StoredPipeline};
use buildit_storage::secrets::SealError;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use url::{Position, Url};

use super::audit;
use crate::access::Access;
use crate::mail::is_address;
use crate::notify::{MOST, Notice, key_of, url_of};
use crate::problem::Problem;
use crate::state::ServerState;

/// How many addresses mail of a channel may go to, and how many globs a rule may have.
const ADDRESSES: usize = 20;
const GLOBS: usize = 50;

/// How long a name may be, an address, and a key.
const NAME: usize = 100;
const URL: usize = 2000;
const KEY: usize = 200;

/// What a channel hears of when nobody says.
pub(crate) const USUAL: [Occasion; 3] = [Occasion::Failed, Occasion::Fixed, Occasion::Waiting];

/// A channel that is to be made.
#[derive(Debug)]
pub(crate) struct New {
    pub(crate) name: String,
    pub(crate) kind: ChannelKind,
    /// Where to: a URL, or addresses with commas between them.
    pub(crate) target: SecretString,
    /// What a webhook is signed with; one is made without.
    pub(crate) key: Option<SecretString>,
    pub(crate) rule: NoticeRule,
}

/// What is to change of a channel; the rest stays.
#[derive(Debug, Default)]
pub(crate) struct Change {
    pub(crate) name: Option<String>,
    pub(crate) target: Option<SecretString>,
    pub(crate) key: Option<SecretString>,
    pub(crate) rule: Option<NoticeRule>,
}

/// A rule in words.
pub(crate) fn rule<'w>(
    occasions: impl IntoIterator<Item = &'w str>,
    branches: impl IntoIterator<Item = &'w str>,
) -> Result<NoticeRule, Problem> {
    let occasions = occasions.into_iter().map(str::parse).collect::<Result<BTreeSet<Occasion>, _>>();
    let occasions = occasions.map_err(|error| Problem::invalid(error.to_string()))?;
    let globs = branches.into_iter().map(str::trim).filter(|glob| !glob.is_empty());
    let branches: Vec<String> = globs.map(str::to_owned).collect();
    if branches.len() > GLOBS || branches.iter().any(|glob| glob.len() > NAME) {
        return Err(Problem::invalid(format!("branches are at most {GLOBS} globs of at most {NAME} bytes")));
    }
    Globs::new(branches.iter().map(String::as_str)).map_err(|error| Problem::invalid(error.to_string()))?;
    Ok(NoticeRule { occasions, branches })
}

/// A channel of this tenant.
pub(crate) async fn find(state: &ServerState, access: &Access, id: ChannelId) -> Result<Channel, Problem> {
    let found = state.store().channel(id).await?;
    found.filter(|channel| channel.tenant == access.tenant.id).ok_or_else(Problem::not_found)
}

/// All channels of a tenant, by name.
pub(crate) async fn all(state: &ServerState, access: &Access) -> Result<Vec<Channel>, Problem> {
    Ok(state.store().channels(access.tenant.id, None, MOST).await?)
}

/// Makes a channel, and gives the key that a webhook is signed with if one was made: it is shown this once.
pub(crate) async fn create(
    state: &ServerState,
    access: &Access,
    new: New,
) -> Result<(Channel, Option<SecretString>), Problem> {
    let access = access.clone().at_least(Role::Admin)?;
    if all(state, &access).await?.len() >= MOST {
        return Err(Problem::conflict(format!("there are {MOST} channels already")));
    }
    let (target, secret) = target(state, new.kind, &new.target)?;
    let channel = Channel {
        id: ChannelId::new(),
        tenant: access.tenant.id,
        name: name(&new.name)?,
        kind: new.kind,
        target,
        rule: new.rule,
        created_at: Timestamp::now(),
    };
    let (key, made) = match (new.kind, new.key) {
        (ChannelKind::Webhook, Some(given)) => (Some(given), None),
        (ChannelKind::Webhook, None) => {
            let made = random_key()?;
            (Some(made.clone()), Some(made))
        }
        (_, Some(_)) => return Err(Problem::invalid("only what a webhook is told is signed")),
        (_, None) => (None, None),
    };
    keep_key(state, channel.id, key.as_ref()).await?;
    keep(state, &url_of(channel.id), secret.as_ref()).await?;
    // Last: nobody finds one that lacks its secrets.
    if let Err(error) = state.store().create_channel(channel.clone()).await {
        forget(state, channel.id).await?;
        return Err(error.into());
    }
    audit::of_tenant(state, &access, "channel.create", &channel.name, &[("kind", channel.kind.as_str().into())]).await;
    Ok((channel, made))
}

/// Changes a channel.
pub(crate) async fn change(
    state: &ServerState,
    access: &Access,
    known: &Channel,
    change: Change,
) -> Result<Channel, Problem> {
    let access = access.clone().at_least(Role::Admin)?;
    let mut to = known.clone();
    if let Some(given) = &change.name {
        to.name = name(given)?;
    }
    if change.key.is_some() && known.kind != ChannelKind::Webhook {
        return Err(Problem::invalid("only what a webhook is told is signed"));
    }
    let given = change.target.as_ref().map(|given| target(state, known.kind, given)).transpose()?;
    let secret = given.map(|(shown, secret)| {
        to.target = shown;
        secret
    });
    to.rule = change.rule.unwrap_or(to.rule);
    if !state.store().change_channel(known, to.clone()).await? {
        return Err(Problem::changed());
    }
    keep(state, &url_of(known.id), secret.flatten().as_ref()).await?;
    keep_key(state, known.id, change.key.as_ref()).await?;
    audit::of_tenant(state, &access, "channel.update", &to.name, &[]).await;
    Ok(to)
}

/// Forgets a channel, with what was sent to it.
pub(crate) async fn delete(state: &ServerState, access: &Access, channel: &Channel) -> Result<(), Problem> {
    let access = access.clone().at_least(Role::Admin)?;
    state.store().delete_channel(channel.id).await?;
    forget(state, channel.id).await?;
    audit::of_tenant(state, &access, "channel.delete", &channel.name, &[]).await;
    Ok(())
}

/// Sends something to a channel, to try it out: its log tells what became of it.
pub(crate) async fn try_out(
    state: &ServerState,
    access: &Access,
    channel: &Channel,
) -> Result<NotificationId, Problem> {
    let access = access.clone().at_least(Role::Admin)?;
    let now = Timestamp::now();
    let notification = Notification {
        id: NotificationId::new(),
        channel: channel.id,
        run: None,
        subject: "test".to_owned(),
        occasion: None,
        message: Notice::try_out(&channel.name, state.settings().url(), now).into_kept(),
        created_at: now,
    };
    let id = notification.id;
    state.store().notify(vec![notification]).await?;
    audit::of_tenant(state, &access, "channel.test", &channel.name, &[]).await;
    Ok(id)
}

/// Sends something again that was not sent.
pub(crate) async fn retry(
    state: &ServerState,
    access: &Access,
    channel: &Channel,
    id: NotificationId,
) -> Result<(), Problem> {
    let access = access.clone().at_least(Role::Admin)?;
    if !state.store().retry_notification(channel.id, id, Timestamp::now()).await? {
        return Err(Problem::conflict("it was sent, or is not there"));
    }
    audit::of_tenant(state, &access, "channel.retry", &channel.name, &[]).await;
    Ok(())
}

/// What a pipeline tells a channel.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) channel: Channel,
    pub(crate) rule: NoticeRule,
    /// Whether the pipeline says so itself; otherwise the channel does.
    pub(crate) is_own: bool,
}

/// What a pipeline tells each channel of its tenant, by the names of the channels.
pub(crate) async fn of_pipeline(
    state: &ServerState,
    access: &Access,
    pipeline: &StoredPipeline,
) -> Result<Vec<Told>, Problem> {
    let mut own: HashMap<ChannelId, NoticeRule> = state.store().rules(pipeline.id).await?.into_iter().collect();
    let told = all(state, access).await?.into_iter().map(|channel| {
        let own = own.remove(&channel.id);
        let is_own = own.is_some();
        Told { rule: own.unwrap_or_else(|| channel.rule.clone()), channel, is_own }
    });
    Ok(told.collect())
}

/// Makes this what a pipeline tells a channel of its tenant; without one, what the channel says.
pub(crate) async fn set_rule(
    state: &ServerState,
    access: &Access,
    pipeline: &StoredPipeline,
    channel: ChannelId,
    rule: Option<NoticeRule>,
) -> Result<(), Problem> {
    let access = access.clone().at_least(Role::Member)?;
    let channel = find(state, &access, channel).await?;
    state.store().set_rule(channel.id, pipeline.id, rule).await?;
    audit::of_tenant(state, &access, "pipeline.notify", &pipeline.name, &[("channel", channel.name.into())]).await;
    Ok(())
}

/// Forgets the channels of a tenant that is gone.
pub(crate) async fn forget_all(state: &ServerState, tenant: TenantId) -> Result<(), Problem> {
    for channel in state.store().channels(tenant, None, MOST).await? {
        state.store().delete_channel(channel.id).await?;
        forget(state, channel.id).await?;
    }
    Ok(())
}

/// Forgets what a pipeline that is gone tells.
pub(crate) async fn forget_rules(state: &ServerState, pipeline: PipelineId) -> Result<(), Problem> {
    for (channel, _) in state.store().rules(pipeline).await? {
        state.store().set_rule(channel, pipeline, None).await?;
    }
    Ok(())
}

fn name(given: &str) -> Result<String, Problem> {
    let given = given.trim();
    if given.is_empty() || given.chars().count() > NAME || given.contains(char::is_control) {
        return Err(Problem::invalid(format!("the name of a channel has 1 to {NAME} characters")));
    }
    Ok(given.to_owned())
}

/// Where a channel leads: as everybody may know it, and what of it is secret.
fn target(
    state: &ServerState,
    kind: ChannelKind,
    given: &SecretString,
) -> Result<(String, Option<SecretString>), Problem> {
    let given = given.expose_secret().trim();
    if kind == ChannelKind::Email {
        if state.mail().is_none() {
            return Err(Problem::conflict("this server sends no mail: its settings name no mail server"));
        }
        let addresses: Vec<&str> = given.split(',').map(str::trim).filter(|address| !address.is_empty()).collect();
        let is_good = (1..=ADDRESSES).contains(&addresses.len()) && addresses.iter().all(|given| is_address(given));
        let shown = addresses.join(", ");
        return if is_good {
            Ok((shown, None))
        } else {
            Err(Problem::invalid(format!("mail goes to 1 to {ADDRESSES} e-mail addresses, with commas between them")))
        };
    }
    let url = Url::parse(given).ok().filter(|_| given.len() <= URL);
    let url = url.ok_or_else(|| Problem::invalid("an address is like `https://example.com/hook`"))?;
    state.courier().guard().check(&url).map_err(|error| Problem::invalid(error.to_string()))?;
    Ok((url[..Position::BeforePath].to_owned(), Some(url.as_str().to_owned().into())))
}

fn random_key() -> Result<SecretString, Problem> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| Problem::internal())?;
    Ok(URL_SAFE_NO_PAD.encode(bytes).into())
}

async fn keep_key(state: &ServerState, channel: ChannelId, key: Option<&SecretString>) -> Result<(), Problem> {
    if let Some(key) = key
        && !(8..=KEY).contains(&key.expose_secret().len())
    {
        return Err(Problem::invalid(format!("a key has 8 to {KEY} characters")));
    }
    keep(state, &key_of(channel), key).await
}

async fn keep(state: &ServerState, place: &SecretPlace, secret: Option<&SecretString>) -> Result<(), Problem> {
    let Some(secret) = secret else { return Ok(()) };
    state.secrets().set(place, secret, Timestamp::now()).await.map(drop).map_err(|error: SealError| {
        tracing::error!(error = &error as &dyn std::error::Error, "the secret of a channel cannot be kept");
        Problem::internal()
    })
}

async fn forget(state: &ServerState, channel: ChannelId) -> Result<(), Problem> {
    for place in [url_of(channel), key_of(channel)] {
        state.store().delete_secret(&place).await?;
    }
    Ok(())
}
