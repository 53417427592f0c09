//! The webhooks of repositories at their forges: looked for, made and removed by way of their APIs.

use buildit::id::RepositoryId;
use buildit::store::{Repository, Webhook, WebhookState};
use jiff::Timestamp;
use secrecy::SecretString;

use super::{audit, logins, repositories};
use crate::access::Access;
use crate::errands::NotSent;
use crate::forge::{ForgeError, Hook, Place, Standing};
use crate::problem::{Problem, told};
use crate::state::ServerState;

/// Why the forge of a repository cannot be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreached {
    #[error(transparent)]
    Forge(#[from] ForgeError),
    #[error("the repository's token cannot be read")]
    Secrets(#[from] buildit_storage::secrets::SealError),
}

impl From<Unreached> for NotSent {
    fn from(error: Unreached) -> Self {
        match error {
            Unreached::Forge(error) => error.into(),
            error @ Unreached::Secrets(_) => Self::Later(told(&error)),
        }
    }
}

impl From<Unreached> for Problem {
    fn from(error: Unreached) -> Self {
        match error {
            Unreached::Forge(error) => error.into(),
            Unreached::Secrets(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the token of a repository cannot be read");
                Self::internal()
            }
        }
    }
}

/// Where the API of a repository's forge is, and what it is shown.
pub(crate) async fn reach(state: &ServerState, repository: &Repository) -> Result<(Place, SecretString), Unreached> {
    let place = Place::of(repository).map_err(ForgeError::from)?;
    let token = logins::token(state, repository).await?;
    let token = token.ok_or_else(|| ForgeError::NoToken(place.forge()))?;
    Ok((place, token))
}

/// Whether the forge of a repository can be asked at all, as far as that is known without asking.
pub(crate) fn is_reachable(repository: &Repository) -> bool {
    repository.settings.has_token() && Place::of(repository).is_ok()
}

/// Looks how it stands with the webhook, and notes it.
pub(crate) async fn check(state: &ServerState, access: &Access, repository: &Repository) -> Result<Webhook, Problem> {
    let looked = async {
        let (place, token) = reach(state, repository).await?;
        let standing = state.forges().look(&place, &token, &repositories::webhook_url(state, repository)).await?;
        Ok(match standing {
            Standing::Made => (WebhookState::Made, None),
            Standing::Missing => (WebhookState::Missing, None),
            Standing::Wrong(why) => (WebhookState::Wrong, Some(why)),
        })
    };
    let found = looked.await;
    finish(state, access, repository, "webhook.check", found).await
}

/// Makes the webhook, or makes what is there of it as it must be, and notes that.
pub(crate) async fn make(state: &ServerState, access: &Access, repository: &Repository) -> Result<Webhook, Problem> {
    let secret = repositories::webhook_secret(state, repository).await?;
    doubt(state, repository).await?;
    let made = async {
        let (place, token) = reach(state, repository).await?;
        let hook = Hook { url: repositories::webhook_url(state, repository), secret };
        state.forges().make(&place, &token, &hook).await?;
        Ok((WebhookState::Made, None))
    };
    let found = made.await;
    finish(state, access, repository, "webhook.make", found).await
}

/// Removes the webhook, and notes that it is not there.
pub(crate) async fn remove(state: &ServerState, access: &Access, repository: &Repository) -> Result<Webhook, Problem> {
    let removed = async {
        let (place, token) = reach(state, repository).await?;
        state.forges().remove(&place, &token, &repositories::webhook_url(state, repository)).await?;
        Ok((WebhookState::Missing, None))
    };
    let found = removed.await;
    finish(state, access, repository, "webhook.remove", found).await
}

/// Notes that the webhook may be there and may be wrong, until the forge has answered: whoever asks may be killed before.
pub(crate) async fn doubt(state: &ServerState, repository: &Repository) -> Result<(), Problem> {
    let why = Some("the forge was asked, and it is not known what came of it".to_owned());
    let webhook = Webhook { state: WebhookState::Unknown, why, at: Timestamp::now() };
    Ok(state.store().note_webhook(repository.id, Some(webhook)).await?)
}

/// Notes what was found, or that the forge did not say.
async fn finish(
    state: &ServerState,
    access: &Access,
    repository: &Repository,
    action: &str,
    found: Result<(WebhookState, Option<String>), Unreached>,
) -> Result<Webhook, Problem> {
    let at = Timestamp::now();
    match found {
        Ok((standing, why)) => {
            let webhook = Webhook { state: standing, why, at };
            state.store().note_webhook(repository.id, Some(webhook.clone())).await?;
            let details = [("state", webhook.state.as_str().into())];
            audit::of_tenant(state, access, action, &repository.name, &details).await;
            Ok(webhook)
        }
        Err(error) => {
            let webhook = Webhook { state: WebhookState::Unknown, why: Some(told(&error)), at };
            state.store().note_webhook(repository.id, Some(webhook)).await?;
            Err(error.into())
        }
    }
}

/// Whether a webhook may be at the forge, made from here.
pub(crate) fn may_be_there(repository: &Repository) -> bool {
    repository.webhook.as_ref().is_some_and(|webhook| webhook.state != WebhookState::Missing)
}

/// Makes the webhook of a repository whose secret is another one now, if it may be there: what is signed with the one before
/// would be refused. That it cannot be is noted.
pub(crate) async fn renew(state: &ServerState, access: &Access, repository: &Repository) {
    if may_be_there(repository)
        && let Err(problem) = make(state, access, repository).await
    {
        note_failure(repository.id, "renewed", &problem);
    }
}

/// Says in the log that a webhook could not be asked for beside something else.
pub(crate) fn note_failure(repository: RepositoryId, what: &str, problem: &Problem) {
    let why = problem.said();
    tracing::warn!(%repository, why, "a webhook is not {what}");
}
