//! Why a forge did not do what it was asked.

use axum::http::StatusCode;
use buildit::store::Forge;
use jiff::SignedDuration;

use super::dialect::needs;
use crate::errands::NotSent;
use crate::notify::Refused;
use crate::problem::{Problem, told};

/// Nobody knows where to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoPlace {
    #[error("the settings of the repository name no forge")]
    NoForge,
    #[error("the address of the repository is none of its forge: OWNER/NAME is missing in it")]
    Address,
    #[error("the address of the forge's API in the repository's settings is none")]
    Api,
}

/// A forge did not do what it was asked. Nothing secret is in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ForgeError {
    #[error(transparent)]
    NoPlace(#[from] NoPlace),
    #[error("the forge's API is not asked")]
    Guard(#[from] Refused),
    #[error("the repository has no token, which its forge wants to see: {}", needs(*.0))]
    NoToken(Forge),
    #[error("the repository's token has characters that no header may have")]
    OddToken(#[source] axum::http::header::InvalidHeaderValue),
    #[error("the forge does not take the repository's token: it is wrong, or has expired")]
    Unauthorized,
    #[error("the repository's token may not do this ({said}): it needs {}", needs(*forge))]
    Forbidden { forge: Forge, said: String },
    #[error("the forge does not have it, or not for this token ({said}): that needs {}", needs(*forge))]
    NotFound { forge: Forge, said: String },
    #[error("the forge wants to be asked less often")]
    TooOften(Option<SignedDuration>),
    #[error("the forge refuses it: {status}, {said}")]
    Refused { status: StatusCode, said: String },
    #[error(
        "the forge sends us elsewhere, where the token is not shown: the repository, or the API, has another address by now"
    )]
    Elsewhere,
    #[error("the forge does not feel well: {0}")]
    Unwell(StatusCode),
    #[error("the forge cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("the forge's answer is too long")]
    TooLong,
    #[error("the forge's answer makes no sense")]
    Unreadable(#[source] serde_json::Error),
    #[error("the forge has more webhooks than are looked through")]
    TooMany,
}

impl From<ForgeError> for Problem {
    fn from(error: ForgeError) -> Self {
        match error {
            ForgeError::NoPlace(_) | ForgeError::Guard(_) | ForgeError::NoToken(_) | ForgeError::OddToken(_) => {
                Self::conflict(told(&error))
            }
            _ => Self::unreachable(told(&error)),
        }
    }
}

impl From<ForgeError> for NotSent {
    fn from(error: ForgeError) -> Self {
        let text = told(&error);
        match error {
            ForgeError::TooOften(Some(pause)) => Self::After(pause, text),
            ForgeError::TooOften(None)
            | ForgeError::Unwell(_)
            | ForgeError::Unreachable(_)
            | ForgeError::TooLong
            | ForgeError::Unreadable(_) => Self::Later(text),
            _ => Self::Never(text),
        }
    }
}
