//! Who asks.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use buildit::account::{ApiKey, TokenHash, User};
use buildit::id::UserId;
use jiff::{SignedDuration, Timestamp};
use tower_sessions::Session;

use super::{Token, USER, Whose, is_local};
use crate::problem::Problem;
use crate::state::{Peer, ServerState};

/// How much older the note of a key's last use is than it need be: not each request is written down.
const NOTED: SignedDuration = SignedDuration::from_mins(1);

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) enum Actor {
    /// Nobody known.
    Nobody,
    /// Somebody at this machine, while there is no owner.
    Founder,
    /// Somebody who is logged in.
    User(User),
    /// A program with an API key.
    Key(ApiKey),
}

impl Actor {
    /// What the audit log and an approval call them.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Nobody => "nobody".to_owned(),
            Self::Founder => "the owner-to-be".to_owned(),
            Self::User(user) => user.email.clone(),
            Self::Key(key) => format!("API key {}", key.name),
        }
    }

    /// The person, who may have given a program a key.
    pub(crate) fn user(&self) -> Option<UserId> {
        match self {
            Self::Nobody | Self::Founder => None,
            Self::User(user) => Some(user.id),
            Self::Key(key) => key.user,
        }
    }

    /// Refuses nobody.
    pub(crate) fn known(self) -> Result<Self, Problem> {
        match self {
            Self::Nobody => Err(Problem::unauthenticated()),
            known => Ok(known),
        }
    }
}

impl FromRequestParts<ServerState> for Actor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ServerState) -> Result<Self, Problem> {
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(known.clone());
        }
        let actor = find(parts, state).await?;
        parts.extensions.insert(actor.clone());
        Ok(actor)
    }
}

async fn find(parts: &mut Parts, state: &ServerState) -> Result<Actor, Problem> {
    let Ok(Peer(peer)) = Peer::from_request_parts(parts, state).await;
    let by_address = Whose::Address(peer.ip());
    if parts.headers.contains_key(header::AUTHORIZATION) {
        let key = match given(&parts.headers) {
            Some(given) => key(&given.hash(), state).await?,
            None => None,
        };
        let Some(key) = key else {
            state.limits().request(by_address)?;
            return Err(Problem::unauthenticated());
        };
        state.limits().request(Whose::Key(key.id))?;
        return Ok(Actor::Key(key));
    }
    if let Some(user) = user(parts, state).await? {
        state.limits().request(Whose::User(user.id))?;
        return Ok(Actor::User(user));
    }
    state.limits().request(by_address)?;
    if state.is_for_here() && is_local(peer, &parts.headers) && !state.has_owner().await? {
        Ok(Actor::Founder)
    } else {
        Ok(Actor::Nobody)
    }
}

/// The token that a request brings, if it brings any.
pub(crate) fn given(headers: &HeaderMap) -> Option<Token> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    given.strip_prefix("Bearer ").map(|given| Token::given(given.trim()))
}

/// The key of this hash, unless its time is over.
pub(super) async fn key(hash: &TokenHash, state: &ServerState) -> Result<Option<ApiKey>, Problem> {
    let now = Timestamp::now();
    let found = state.credentials().key(hash).await?;
    let Some(key) = found.filter(|key| key.expires_at.is_none_or(|end| now < end)) else { return Ok(None) };
    if key.last_used_at.is_none_or(|noted| now.duration_since(noted) > NOTED) {
        state.credentials().note_key_use(key.id, now).await?;
    }
    Ok(Some(key))
}

async fn user(parts: &mut Parts, state: &ServerState) -> Result<Option<User>, Problem> {
    let Some(session) = parts.extensions.get::<Session>() else { return Ok(None) };
    let user: Option<UserId> = session.get(USER).await.map_err(|error| {
        tracing::error!(%error, "a session cannot be read");
        Problem::internal()
    })?;
    match user {
        Some(user) => Ok(state.identity().user(user).await?),
        None => Ok(None),
    }
}
