//! A notification on its way.

use buildit::id::ChannelId;
use buildit::store::{Channel, ChannelKind, Notification, SecretPlace, SecretScope};
use buildit_storage::secrets::SealError;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use url::Url;

use super::{Guard, Notice};
use crate::errands::NotSent;
use crate::problem::told;
use crate::state::ServerState;

/// Sends what is told.
#[derive(Clone, Debug)]
pub(crate) struct Courier {
    http: Client,
    guard: Guard,
}

impl From<SealError> for NotSent {
    fn from(error: SealError) -> Self {
        Self::Later(told(&error))
    }
}

/// Where the address of a channel is kept.
pub(crate) fn url_of(channel: ChannelId) -> SecretPlace {
    SecretPlace { scope: SecretScope::Channel, owner: channel.to_string(), name: "URL".to_owned() }
}

/// Where the key is kept that what a channel is told is signed with.
pub(crate) fn key_of(channel: ChannelId) -> SecretPlace {
    SecretPlace { scope: SecretScope::Channel, owner: channel.to_string(), name: "KEY".to_owned() }
}

impl Courier {
    /// One that asks only whom the guard lets through.
    ///
    /// # Errors
    ///
    /// [`reqwest::Error`] when this system cannot ask anybody.
    pub(crate) fn new(guard: Guard) -> Result<Self, reqwest::Error> {
        Ok(Self { http: guard.client()?, guard })
    }

    /// Who is asked.
    pub(crate) fn guard(&self) -> Guard {
        self.guard
    }

    /// Tells a channel; it has been told when this returns.
    pub(crate) async fn tell(
        &self,
        state: &ServerState,
        channel: &Channel,
        notification: &Notification,
    ) -> Result<(), NotSent> {
        let notice = Notice::try_from(notification).map_err(|error| NotSent::Never(error.to_string()))?;
        match channel.kind {
            ChannelKind::Email => {
                let Some(mail) = state.mail() else { return Err(NotSent::Never("this server sends no mail".into())) };
                let to: Vec<&str> = channel.target.split(", ").collect();
                let sent = mail.send(&to, &format!("BuildIt: {}", notice.title()), &notice.text()).await;
                sent.map_err(|error| match error.is_final() {
                    true => NotSent::Never(told(&error)),
                    false => NotSent::Later(told(&error)),
                })
            }
            ChannelKind::Slack => {
                let url = self.url(state, channel.id).await?;
                answered(self.http.post(url).json(&notice.slack()).send().await)
            }
            ChannelKind::Webhook => {
                let url = self.url(state, channel.id).await?;
                let key = state.secrets().open(&key_of(channel.id)).await?.unwrap_or_default();
                let body = notice.json(notification.id).to_string();
                let asked = self.http.post(url).header(CONTENT_TYPE, "application/json");
                let asked = asked.header("X-BuildIt-Event", notice.event());
                let asked = asked.header("X-BuildIt-Delivery", notification.id.to_string());
                let asked = asked.header("X-BuildIt-Signature", format!("sha256={}", signature(&key, body.as_bytes())));
                answered(asked.body(body).send().await)
            }
            other => Err(NotSent::Never(format!("this server knows no channel of the kind {}", other.as_str()))),
        }
    }

    /// Where a channel is told.
    async fn url(&self, state: &ServerState, channel: ChannelId) -> Result<Url, NotSent> {
        let kept = state.secrets().open(&url_of(channel)).await?;
        let kept = kept.ok_or_else(|| NotSent::Never("the address is not there".into()))?;
        let url = Url::parse(kept.expose_secret()).map_err(|error| NotSent::Never(error.to_string()))?;
        self.guard.check(&url).map_err(|error| NotSent::Never(error.to_string()))?;
        Ok(url)
    }
}

/// The HMAC-SHA-256 of a body, as hexadecimal digits.
fn signature(key: &SecretString, body: &[u8]) -> String {
    // A key of any length is one.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes()) else { return String::new() };
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

/// What became of a request. Who is asked too often, or does not feel well, is asked again; who refuses is not.
fn answered(answer: Result<Response, reqwest::Error>) -> Result<(), NotSent> {
    // Without the address, which is a secret.
    let answer = answer.map_err(|error| NotSent::Later(told(&error.without_url())))?;
    let status = answer.status();
    let is_passing = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    match status {
        status if status.is_success() => Ok(()),
        status if status.is_server_error() || is_passing => Err(NotSent::Later(format!("the answer was {status}"))),
        status => Err(NotSent::Never(format!("the answer was {status}"))),
    }
}
