//! Users and organizations that are new.

use async_trait::async_trait;
use buildit::account::{Membership, Organization, Role, Tenant, User};
use buildit::id::UserId;
use buildit::store::StoreError;

use super::member::insert_member;
use super::tenant::insert_tenant;
use super::{Change, Query, Statements, sql};

pub(super) fn insert_user(user: &User) -> Query {
    sql("INSERT INTO users (id, email, email_verified, name, password_hash, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)")
    .bind(user.id)
    .bind(user.email.clone())
    .bind(user.email_verified)
    .bind(user.name.clone())
    .bind(user.password_hash.clone())
    .bind(user.created_at)
    .or_taken(format!("the address `{}`, or the id of the user,", user.email))
}

fn insert_organization(organization: &Organization) -> Query {
    sql("INSERT INTO organizations (id, name, plan, billing_email, created_at) VALUES ($1, $2, $3, $4, $5)")
        .bind(organization.id)
        .bind(organization.name.clone())
        .bind(organization.plan.clone())
        .bind(organization.billing_email.clone())
        .bind(organization.created_at)
        .or_taken(format!("the name `{}`, or the id of the organization,", organization.name))
}

/// An organization with its owner.
#[derive(Debug)]
pub(super) struct CreateOrganization {
    pub(super) organization: Organization,
    pub(super) owner: UserId,
}

#[async_trait]
impl Change for CreateOrganization {
    type Answer = ();

    async fn change(&self, to: &mut dyn Statements) -> Result<(), StoreError> {
        let Organization { id, created_at, .. } = self.organization;
        to.run(insert_organization(&self.organization)).await?;
        let owner = Membership { organization: id, user: self.owner, role: Role::Owner, invited_by: None, created_at };
        to.run(insert_member(&owner)).await.map(drop)
    }
}

/// The first user of all, with an organization and a tenant.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) owner: User,
    pub(super) organization: Organization,
    pub(super) tenant: Tenant,
}

#[async_trait]
impl Change for Found {
    type Answer = bool;

    async fn change(&self, to: &mut dyn Statements) -> Result<bool, StoreError> {
        // Whoever founds at the same time waits here, and sees the user afterwards.
        to.run(sql("UPDATE installation SET founded_at = founded_at WHERE place = 1")).await?;
        if !to.rows(sql("SELECT id FROM users LIMIT 1")).await?.is_empty() {
            return Ok(false);
        }
        to.run(sql("UPDATE installation SET founded_at = $1 WHERE place = 1").bind(self.owner.created_at)).await?;
        to.run(insert_user(&self.owner)).await?;
        let organization = self.organization.clone();
        CreateOrganization { organization, owner: self.owner.id }.change(to).await?;
        to.run(insert_tenant(&self.tenant)).await?;
        Ok(true)
    }
}
