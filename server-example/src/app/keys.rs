//! API keys.

use buildit::account::{ApiKey, Role};
use buildit::id::ApiKeyId;
use jiff::Timestamp;

use super::audit;
use crate::access::{Access, Token};
use crate::problem::Problem;
use crate::state::ServerState;

/// Makes a key for somebody who may.
pub(crate) async fn make(
    state: &ServerState,
    access: &Access,
    name: &str,
    role: Role,
    expires_at: Option<Timestamp>,
) -> Result<(ApiKey, Token), Problem> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 100 {
        return Err(Problem::invalid("the name of a key has 1 to 100 characters"));
    }
    if role > access.role {
        return Err(Problem::forbidden("a key may do no more than whoever makes it"));
    }
    let now = Timestamp::now();
    if expires_at.is_some_and(|end| end <= now) {
        return Err(Problem::invalid("`expires_at` is over already"));
    }
    let token = Token::new("bi").map_err(|_| Problem::internal())?;
    let key = ApiKey {
        id: ApiKeyId::new(),
        tenant: access.tenant.id,
        user: access.actor.user(),
        name: name.to_owned(),
        prefix: token.prefix(),
        role,
        scopes: Vec::new(),
        expires_at,
        last_used_at: None,
        created_at: now,
    };
    state.credentials().create_key(key.clone(), token.hash()).await?;
    audit::of_tenant(state, access, "key.create", &key.name, &[("role", role.as_str().into())]).await;
    Ok((key, token))
}

/// Ends a key, at once: whoever listens with it hears no more.
pub(crate) async fn end(state: &ServerState, access: &Access, key: ApiKeyId) -> Result<(), Problem> {
    if !state.credentials().delete_key(access.tenant.id, key).await? {
        return Err(Problem::not_found());
    }
    state.ended().notify_waiters();
    audit::of_tenant(state, access, "key.delete", key.to_string(), &[]).await;
    Ok(())
}
