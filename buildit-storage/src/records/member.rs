//! Who belongs to an organization. Whoever changes that, or what tenants it has, locks
//! the organization, so that two at once leave an owner, and no tenant without it.

use async_trait::async_trait;
use buildit::account::{Membership, Role};
use buildit::id::{OrganizationId, UserId};
use buildit::store::StoreError;

use super::{Change, Query, Row, Statements, first, sql};

pub(super) fn read_member(row: &mut Row) -> Result<Membership, StoreError> {
    Ok(Membership {
        organization: row.take()?,
        user: row.take()?,
        role: row.take()?,
        invited_by: row.take()?,
        created_at: row.take()?,
    })
}

pub(super) fn select_member(organization: OrganizationId, user: UserId) -> Query {
    sql("SELECT organization_id, user_id, role, invited_by, created_at FROM org_memberships
         WHERE organization_id = $1 AND user_id = $2")
    .bind(organization)
    .bind(user)
}

/// Adds a member, or changes the role of one.
pub(super) fn insert_member(member: &Membership) -> Query {
    sql("INSERT INTO org_memberships (organization_id, user_id, role, invited_by, created_at)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (organization_id, user_id) DO UPDATE SET role = excluded.role")
    .bind(member.organization)
    .bind(member.user)
    .bind(member.role)
    .bind(member.invited_by)
    .bind(member.created_at)
    .or_missing(format!("user {}, or the one who invites,", member.user))
}

/// Holds whoever changes the members of an organization up until this transaction ends; whether it is there.
pub(super) async fn lock(to: &mut dyn Statements, organization: OrganizationId) -> Result<bool, StoreError> {
    let lock = sql("UPDATE organizations SET plan = plan WHERE id = $1").bind(organization);
    Ok(to.run(lock).await? > 0)
}

/// Refuses to leave an organization without the last of its owners.
async fn check_not_last(to: &mut dyn Statements, organization: OrganizationId, user: UserId) -> Result<(), StoreError> {
    let owners = sql("SELECT user_id FROM org_memberships WHERE organization_id = $1 AND role = $2 LIMIT 2");
    let owners = to.rows(owners.bind(organization).bind(Role::Owner)).await?;
    let is_only = owners.len() == 1 && first(owners, Row::take)? == Some(user);
    if is_only { Err(StoreError::LastOwner) } else { Ok(()) }
}

#[derive(Debug)]
pub(super) struct SetMember(pub(super) Membership);

#[async_trait]
impl Change for SetMember {
    type Answer = ();

    async fn change(&self, to: &mut dyn Statements) -> Result<(), StoreError> {
        let Membership { organization, user, role, .. } = self.0;
        if !lock(to, organization).await? {
            return Err(StoreError::NotFound(format!("organization {organization}")));
        }
        if role < Role::Owner {
            check_not_last(to, organization, user).await?;
        }
        to.run(insert_member(&self.0)).await.map(drop)
    }
}

#[derive(Debug)]
pub(super) struct RemoveMember {
    pub(super) organization: OrganizationId,
    pub(super) user: UserId,
}

#[async_trait]
impl Change for RemoveMember {
    type Answer = bool;

    async fn change(&self, to: &mut dyn Statements) -> Result<bool, StoreError> {
        let Self { organization, user } = *self;
        if !lock(to, organization).await? {
            return Ok(false);
        }
        check_not_last(to, organization, user).await?;
        let remove = sql("DELETE FROM org_memberships WHERE organization_id = $1 AND user_id = $2");
        if to.run(remove.bind(organization).bind(user)).await? == 0 {
            return Ok(false);
        }
        let keys = sql("DELETE FROM api_keys WHERE user_id = $2
             AND tenant_id IN (SELECT id FROM tenants WHERE organization_id = $1)");
        to.run(keys.bind(organization).bind(user)).await?;
        Ok(true)
    }
}

/// Its members and invitations go with it, by their references.
#[derive(Debug)]
pub(super) struct DeleteOrganization(pub(super) OrganizationId);

#[async_trait]
impl Change for DeleteOrganization {
    type Answer = bool;

    async fn change(&self, to: &mut dyn Statements) -> Result<bool, StoreError> {
        if !lock(to, self.0).await? {
            return Ok(false);
        }
        let tenants = sql("SELECT id FROM tenants WHERE organization_id = $1 LIMIT 1").bind(self.0);
        if !to.rows(tenants).await?.is_empty() {
            return Err(StoreError::HasTenants(self.0));
        }
        Ok(to.run(sql("DELETE FROM organizations WHERE id = $1").bind(self.0)).await? > 0)
    }
}
