//! Invitations.

use async_trait::async_trait;
use buildit::account::{Invitation, Membership, TokenHash};
use buildit::id::UserId;
use buildit::store::StoreError;
use jiff::Timestamp;

use super::member::{insert_member, lock, read_member, select_member};
use super::{Change, Query, Row, Statements, first, sql};

pub(super) fn read_invitation(row: &mut Row) -> Result<Invitation, StoreError> {
    Ok(Invitation {
        id: row.take()?,
        organization: row.take()?,
        email: row.take()?,
        role: row.take()?,
        invited_by: row.take()?,
        created_at: row.take()?,
        expires_at: row.take()?,
    })
}

pub(super) fn insert_invitation(invitation: &Invitation, hash: TokenHash) -> Query {
    sql("INSERT INTO invitations (id, organization_id, email, role, invited_by, created_at, expires_at, token_hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
    .bind(invitation.id)
    .bind(invitation.organization)
    .bind(invitation.email.clone())
    .bind(invitation.role)
    .bind(invitation.invited_by)
    .bind(invitation.created_at)
    .bind(invitation.expires_at)
    .bind(hash)
    .or_taken("the id or the token of the invitation".into())
    .or_missing(format!("organization {}, or the one who invites,", invitation.organization))
}

#[derive(Debug)]
pub(super) struct Accept {
    pub(super) hash: TokenHash,
    pub(super) user: UserId,
    pub(super) now: Timestamp,
}

#[async_trait]
impl Change for Accept {
    type Answer = Option<Membership>;

    async fn change(&self, to: &mut dyn Statements) -> Result<Option<Membership>, StoreError> {
        let take = sql("DELETE FROM invitations WHERE token_hash = $1 AND expires_at > $2
             RETURNING id, organization_id, email, role, invited_by, created_at, expires_at");
        let taken = to.rows(take.bind(self.hash).bind(self.now)).await?;
        let Some(Invitation { organization, role, invited_by, .. }) = first(taken, read_invitation)? else {
            return Ok(None);
        };
        lock(to, organization).await?;
        let member = match first(to.rows(select_member(organization, self.user)).await?, read_member)? {
            Some(before) => Membership { role: before.role.max(role), ..before },
            None => Membership { organization, user: self.user, role, invited_by, created_at: self.now },
        };
        to.run(insert_member(&member)).await?;
        Ok(Some(member))
    }
}
