//! Why nobody is signed in.

use crate::problem::Problem;

/// A provider was not asked, or did not vouch for anybody.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum OidcError {
    /// It does not answer, or not as it should.
    #[error("the provider cannot be asked")]
    Down(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It was asked a moment ago and did not answer.
    #[error("the provider could not be asked a moment ago")]
    StillDown,
    /// It does not give a token for the code.
    #[error("the provider gives nothing for the code")]
    Code(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What it gave is no proof.
    #[error("what the provider gave proves nothing")]
    Token(#[from] openidconnect::ClaimsVerificationError),
    /// It gave no ID token.
    #[error("the provider gave no ID token")]
    NoToken,
}

impl OidcError {
    /// What people are told of it; the server's log has the rest.
    pub(crate) fn told(&self, label: &str) -> Problem {
        tracing::warn!(error = self as &dyn std::error::Error, provider = label, "nobody is signed in");
        match self {
            Self::Down(_) | Self::StillDown => Problem::no_provider(format!(
                "{label} does not answer as it should: try again in a while, or log in another way"
            )),
            Self::Code(_) => Problem::conflict(format!("{label} does not know of this sign-in any more: begin anew")),
            Self::Token(_) | Self::NoToken => {
                Problem::conflict(format!("what {label} says of you cannot be believed: nobody is signed in"))
            }
        }
    }
}
