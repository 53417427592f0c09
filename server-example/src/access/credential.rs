//! What somebody was let in by, for what goes on after the answer has begun.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use buildit::account::TokenHash;
use buildit::id::UserId;
use tower_sessions::Session;

use super::actor::key;
use super::{USER, given};
use crate::problem::Problem;
use crate::state::ServerState;

/// A key or a login, either of which may end while whoever has it still listens.
#[derive(Clone, Debug)]
pub(crate) enum Credential {
    /// The key of this hash.
    Key(TokenHash),
    /// A login.
    Session(Session),
    /// Nothing that could end.
    None,
}

impl Credential {
    /// Whether it would still let its owner in.
    pub(crate) async fn holds(&self, state: &ServerState) -> Result<bool, Problem> {
        match self {
            Self::Key(hash) => Ok(key(hash, state).await?.is_some()),
            Self::Session(session) => {
                let user = async {
                    session.load().await?;
                    session.get::<UserId>(USER).await
                };
                let user = user.await.map_err(|error| {
                    tracing::error!(%error, "a session cannot be read");
                    Problem::internal()
                })?;
                Ok(user.is_some())
            }
            Self::None => Ok(true),
        }
    }
}

impl FromRequestParts<ServerState> for Credential {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &ServerState) -> Result<Self, Infallible> {
        if let Some(token) = given(&parts.headers) {
            return Ok(Self::Key(token.hash()));
        }
        let session = parts.extensions.get::<Session>().filter(|session| session.id().is_some());
        Ok(session.map_or(Self::None, |session| Self::Session(session.clone())))
    }
}
