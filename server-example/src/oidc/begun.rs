//! A sign-in that is under way: kept by the server for a while, to be taken once by the browser that began it.

use axum::http::{HeaderMap, HeaderValue, header};
use buildit::account::TokenHash;
use buildit::id::UserId;
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Person;
use crate::access::Token;
use crate::problem::Problem;
use crate::state::ServerState;

/// How long somebody may take at the provider.
const LIFETIME: SignedDuration = SignedDuration::from_mins(10);

/// The cookie of a browser that is signing in.
const COOKIE: &str = "buildit_sign_in";

/// Somebody was sent to a provider.
#[derive(Serialize, Deserialize)]
pub(crate) struct Begun {
    pub(crate) provider: String,
    /// What the provider is to send back.
    pub(crate) state: String,
    /// What is to be in the ID token.
    pub(crate) nonce: String,
    /// What proves that who has the code began this.
    pub(crate) verifier: String,
    pub(crate) purpose: Purpose,
}

/// What somebody signs in for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Purpose {
    /// To get in, and go to this page.
    Enter { next: String },
    /// To accept an invitation.
    Accept { invitation: TokenHash },
    /// To be able to do so from now on.
    Link { user: UserId },
}

/// Somebody came back from a provider, and is to show that the account here is theirs, too.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Proven {
    pub(crate) provider: String,
    pub(crate) person: Person,
    /// Whose account it seems to be.
    pub(crate) user: UserId,
    pub(crate) purpose: Purpose,
}

/// What is kept of a sign-in, of which the browser has a cookie.
pub(crate) trait Kept: Serialize + DeserializeOwned + Send + Sync {
    /// What tells it from others under the same cookie.
    const KIND: &str;

    /// Keeps it, and gives the cookie.
    async fn keep(&self, state: &ServerState) -> Result<HeaderValue, Problem> {
        let token = Token::new(Self::KIND).map_err(|_| Problem::internal())?;
        self.keep_under(state, &token).await?;
        cookie(state, token.expose(), LIFETIME.as_secs())
    }

    /// Keeps it for the cookie that is there.
    async fn keep_under(&self, state: &ServerState, token: &Token) -> Result<(), Problem> {
        let data = serde_json::to_vec(self).map_err(|_| Problem::internal())?;
        state.credentials().begin_sign_in(token.hash(), data, Timestamp::now() + LIFETIME).await?;
        Ok(())
    }

    /// Takes what was kept for this browser; there is none any more afterwards.
    async fn take(state: &ServerState, headers: &HeaderMap) -> Result<Option<(Self, Token)>, Problem> {
        let Some(token) = given(headers, Self::KIND) else { return Ok(None) };
        let Some(data) = state.credentials().take_sign_in(&token.hash(), Timestamp::now()).await? else {
            return Ok(None);
        };
        Ok(serde_json::from_slice(&data).ok().map(|kept| (kept, token)))
    }
}

impl Kept for Begun {
    const KIND: &str = "begun";
}

impl Kept for Proven {
    const KIND: &str = "proven";
}

/// The cookie that ends what a browser has begun.
pub(crate) fn no_cookie(state: &ServerState) -> Result<HeaderValue, Problem> {
    cookie(state, "", 0)
}

fn cookie(state: &ServerState, token: &str, seconds: i64) -> Result<HeaderValue, Problem> {
    let secure = if state.settings().url().starts_with("https://") { "; Secure" } else { "" };
    let path = format!("{}/login", state.base());
    let cookie = format!("{COOKIE}={token}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&cookie).map_err(|_| Problem::internal())
}

/// What the browser has of this kind.
fn given(headers: &HeaderMap, kind: &str) -> Option<Token> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let mut all = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, token) = all.find(|(name, token)| *name == COOKIE && token.starts_with(kind))?;
    Some(Token::given(token))
}
