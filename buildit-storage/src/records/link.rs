//! Accounts elsewhere that let users in. Whoever removes one locks the user, so that two at once leave a way in.

use async_trait::async_trait;
use buildit::account::{LinkedAccount, User};
use buildit::id::UserId;
use buildit::store::StoreError;

use super::found::insert_user;
use super::{Change, Query, Row, Statements, sql};

pub(super) fn read_link(row: &mut Row) -> Result<LinkedAccount, StoreError> {
    Ok(LinkedAccount {
        issuer: row.take()?,
        subject: row.take()?,
        user: row.take()?,
        label: row.take()?,
        created_at: row.take()?,
    })
}

pub(super) fn insert_link(link: &LinkedAccount) -> Query {
    sql("INSERT INTO linked_accounts (issuer, subject, user_id, label, created_at) VALUES ($1, $2, $3, $4, $5)")
        .bind(link.issuer.clone())
        .bind(link.subject.clone())
        .bind(link.user)
        .bind(link.label.clone())
        .bind(link.created_at)
        .or_taken(format!("the account at `{}`", link.issuer))
        .or_missing(format!("user {}", link.user))
}

/// A user with the account elsewhere that lets them in.
#[derive(Debug)]
pub(super) struct CreateLinked {
    pub(super) user: User,
    pub(super) link: LinkedAccount,
}

#[async_trait]
impl Change for CreateLinked {
    type Answer = ();

    async fn change(&self, to: &mut dyn Statements) -> Result<(), StoreError> {
        to.run(insert_user(&self.user)).await?;
        to.run(insert_link(&self.link)).await.map(drop)
    }
}

#[derive(Debug)]
pub(super) struct Unlink {
    pub(super) user: UserId,
    pub(super) issuer: String,
    pub(super) subject: String,
}

#[async_trait]
impl Change for Unlink {
    type Answer = bool;

    async fn change(&self, to: &mut dyn Statements) -> Result<bool, StoreError> {
        to.run(sql("UPDATE users SET name = name WHERE id = $1").bind(self.user)).await?;
        let remove = sql("DELETE FROM linked_accounts WHERE issuer = $1 AND subject = $2 AND user_id = $3");
        let remove = remove.bind(self.issuer.clone()).bind(self.subject.clone()).bind(self.user);
        if to.run(remove).await? == 0 {
            return Ok(false);
        }
        let left = sql("SELECT id FROM users WHERE id = $1 AND (password_hash IS NOT NULL
             OR EXISTS (SELECT user_id FROM linked_accounts WHERE user_id = $1))");
        // What is refused is undone.
        if to.rows(left.bind(self.user)).await?.is_empty() { Err(StoreError::LastWayIn) } else { Ok(true) }
    }
}
