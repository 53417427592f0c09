//! What is asked about what lets somebody in.

use async_trait::async_trait;
use buildit::account::{ApiKey, Session, TokenHash, TokenPurpose};
use buildit::id::{ApiKeyId, TenantId, UserId};
use buildit::store::{StoreError, check_text};
use jiff::Timestamp;

use super::{Change, Records, Row, Statements, all, first, sql};
use crate::sql::{from_json, number, to_json};

/// How much of each kind that has ended is forgotten at once.
const SWEPT: i64 = 500;

fn read_key(row: &mut Row) -> Result<ApiKey, StoreError> {
    Ok(ApiKey {
        id: row.take()?,
        tenant: row.take()?,
        user: row.take()?,
        name: row.take()?,
        prefix: row.take()?,
        role: row.take()?,
        scopes: from_json(&row.take::<String>()?)?,
        expires_at: row.take()?,
        last_used_at: row.take()?,
        created_at: row.take()?,
    })
}

fn read_session(row: &mut Row) -> Result<Session, StoreError> {
    Ok(Session { user: row.take()?, data: row.take()?, created_at: row.take()?, expires_at: row.take()? })
}

pub(crate) async fn create_key(store: &impl Records, key: ApiKey, hash: TokenHash) -> Result<(), StoreError> {
    check_text("the name of a key", &key.name)?;
    check_text("the prefix of a key", &key.prefix)?;
    let insert = sql("INSERT INTO api_keys (id, tenant_id, user_id, name, key_prefix, role, scopes, expires_at,
             last_used_at, created_at, key_hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)");
    let insert = insert.bind(key.id).bind(key.tenant).bind(key.user).bind(key.name).bind(key.prefix);
    let insert = insert.bind(key.role).bind(to_json(&key.scopes)?).bind(key.expires_at);
    let insert = insert.bind(key.last_used_at).bind(key.created_at).bind(hash);
    let insert = insert.or_taken("the id or the token of the key".into());
    store.run(insert.or_missing(format!("tenant {}, or the user,", key.tenant))).await.map(drop)
}

pub(crate) async fn key(store: &impl Records, hash: &TokenHash) -> Result<Option<ApiKey>, StoreError> {
    let query =
        sql("SELECT id, tenant_id, user_id, name, key_prefix, role, scopes, expires_at, last_used_at, created_at
         FROM api_keys WHERE key_hash = $1");
    first(store.read(query.bind(*hash)).await?, read_key)
}

pub(crate) async fn keys(
    store: &impl Records,
    tenant: TenantId,
    after: Option<ApiKeyId>,
    limit: usize,
) -> Result<Vec<ApiKey>, StoreError> {
    let query =
        sql("SELECT id, tenant_id, user_id, name, key_prefix, role, scopes, expires_at, last_used_at, created_at
         FROM api_keys WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3");
    let query = query.bind(tenant).bind(after.unwrap_or(uuid::Uuid::nil().into())).bind(number(limit as u64));
    all(store.read(query).await?, read_key)
}

pub(crate) async fn delete_key(store: &impl Records, tenant: TenantId, id: ApiKeyId) -> Result<bool, StoreError> {
    let delete = sql("DELETE FROM api_keys WHERE tenant_id = $1 AND id = $2").bind(tenant).bind(id);
    Ok(store.run(delete).await? > 0)
}

pub(crate) async fn note_key_use(store: &impl Records, id: ApiKeyId, at: Timestamp) -> Result<(), StoreError> {
    let note = sql("UPDATE api_keys SET last_used_at = $2
         WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)");
    store.run(note.bind(id).bind(at)).await.map(drop)
}

pub(crate) async fn put_session(store: &impl Records, hash: TokenHash, session: Session) -> Result<(), StoreError> {
    let put =
        sql("INSERT INTO sessions (token_hash, user_id, data, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (token_hash) DO UPDATE SET user_id = excluded.user_id, data = excluded.data,
             created_at = excluded.created_at, expires_at = excluded.expires_at");
    let put = put.bind(hash).bind(session.user).bind(session.data).bind(session.created_at).bind(session.expires_at);
    store.run(put.or_missing(format!("user {}", session.user))).await.map(drop)
}

pub(crate) async fn session(
    store: &impl Records,
    hash: &TokenHash,
    now: Timestamp,
) -> Result<Option<Session>, StoreError> {
    let query = sql("SELECT user_id, data, created_at, expires_at FROM sessions
         WHERE token_hash = $1 AND expires_at > $2");
    first(store.read(query.bind(*hash).bind(now)).await?, read_session)
}

pub(crate) async fn delete_session(store: &impl Records, hash: &TokenHash) -> Result<bool, StoreError> {
    Ok(store.run(sql("DELETE FROM sessions WHERE token_hash = $1").bind(*hash)).await? > 0)
}

pub(crate) async fn delete_sessions_of(store: &impl Records, user: UserId) -> Result<u64, StoreError> {
    store.run(sql("DELETE FROM sessions WHERE user_id = $1").bind(user)).await
}

pub(crate) async fn create_token(
    store: &impl Records,
    hash: TokenHash,
    purpose: TokenPurpose,
    user: UserId,
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    let insert = sql("INSERT INTO user_tokens (token_hash, purpose, user_id, expires_at) VALUES ($1, $2, $3, $4)");
    let insert = insert.bind(hash).bind(purpose.as_str().to_owned()).bind(user).bind(expires_at);
    store.run(insert.or_taken("the token".into()).or_missing(format!("user {user}"))).await.map(drop)
}

/// One statement finds and removes it: of two at once, one gets it.
#[derive(Debug)]
struct Take {
    hash: TokenHash,
    purpose: TokenPurpose,
    now: Timestamp,
}

#[async_trait]
impl Change for Take {
    type Answer = Option<UserId>;

    async fn change(&self, to: &mut dyn Statements) -> Result<Option<UserId>, StoreError> {
        let take = sql("DELETE FROM user_tokens WHERE token_hash = $1 AND purpose = $2 AND expires_at > $3
             RETURNING user_id");
        let take = take.bind(self.hash).bind(self.purpose.as_str().to_owned()).bind(self.now);
        first(to.rows(take).await?, Row::take)
    }
}

pub(crate) async fn take_token(
    store: &impl Records,
    hash: &TokenHash,
    purpose: TokenPurpose,
    now: Timestamp,
) -> Result<Option<UserId>, StoreError> {
    store.change(Take { hash: *hash, purpose, now }).await
}

pub(crate) async fn delete_tokens_of(
    store: &impl Records,
    user: UserId,
    purpose: TokenPurpose,
) -> Result<u64, StoreError> {
    let delete = sql("DELETE FROM user_tokens WHERE user_id = $1 AND purpose = $2");
    store.run(delete.bind(user).bind(purpose.as_str().to_owned())).await
}

pub(crate) async fn begin_sign_in(
    store: &impl Records,
    hash: TokenHash,
    data: Vec<u8>,
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    let insert = sql("INSERT INTO sign_ins (token_hash, data, expires_at) VALUES ($1, $2, $3)");
    let insert = insert.bind(hash).bind(data).bind(expires_at);
    store.run(insert.or_taken("the sign-in".into())).await.map(drop)
}

/// One statement finds and removes it: of two at once, one gets it.
#[derive(Debug)]
struct TakeSignIn {
    hash: TokenHash,
    now: Timestamp,
}

#[async_trait]
impl Change for TakeSignIn {
    type Answer = Option<Vec<u8>>;

    async fn change(&self, to: &mut dyn Statements) -> Result<Option<Vec<u8>>, StoreError> {
        let take = sql("DELETE FROM sign_ins WHERE token_hash = $1 AND expires_at > $2 RETURNING data");
        first(to.rows(take.bind(self.hash).bind(self.now)).await?, Row::take)
    }
}

pub(crate) async fn take_sign_in(
    store: &impl Records,
    hash: &TokenHash,
    now: Timestamp,
) -> Result<Option<Vec<u8>>, StoreError> {
    store.change(TakeSignIn { hash: *hash, now }).await
}

pub(crate) async fn sweep_credentials(store: &impl Records, now: Timestamp) -> Result<u64, StoreError> {
    let mut swept = 0;
    for sweep in [
        "DELETE FROM sessions WHERE token_hash IN
             (SELECT token_hash FROM sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
        "DELETE FROM user_tokens WHERE token_hash IN
             (SELECT token_hash FROM user_tokens WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
        "DELETE FROM invitations WHERE id IN
             (SELECT id FROM invitations WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
        "DELETE FROM sign_ins WHERE token_hash IN
             (SELECT token_hash FROM sign_ins WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
    ] {
        swept += store.run(sql(sweep).bind(now).bind(SWEPT)).await?;
    }
    Ok(swept)
}
