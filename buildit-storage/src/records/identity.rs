//! What is asked about users, organizations and tenants.

use buildit::account::{
    Invitation, LinkedAccount, Membership, Organization, Role, Tenant, TenantMember, TokenHash, User,
};
use buildit::id::{InvitationId, OrganizationId, TenantId, UserId};
use buildit::store::{StoreError, check_link, check_organization, check_tenant, check_text, check_user, is_fit};
use jiff::Timestamp;

use super::found::{CreateOrganization, Found, insert_user};
use super::invitation::{Accept, insert_invitation, read_invitation};
use super::link::{CreateLinked, Unlink, insert_link, read_link};
use super::member::{DeleteOrganization, RemoveMember, SetMember, read_member, select_member};
use super::tenant::{CreateTenant, DeleteTenant, read_tenant};
use super::{Records, Row, all, first, found as required, sql};
use crate::sql::number;

fn read_user(row: &mut Row) -> Result<User, StoreError> {
    Ok(User {
        id: row.take()?,
        email: row.take()?,
        email_verified: row.take()?,
        name: row.take()?,
        password_hash: row.take()?,
        created_at: row.take()?,
    })
}

fn read_organization(row: &mut Row) -> Result<Organization, StoreError> {
    Ok(Organization {
        id: row.take()?,
        name: row.take()?,
        plan: row.take()?,
        billing_email: row.take()?,
        created_at: row.take()?,
    })
}

pub(crate) async fn found(
    store: &impl Records,
    owner: User,
    organization: Organization,
    tenant: Tenant,
) -> Result<bool, StoreError> {
    check_user(&owner)?;
    check_organization(&organization)?;
    check_tenant(&tenant)?;
    store.change(Found { owner, organization, tenant }).await
}

pub(crate) async fn has_users(store: &impl Records) -> Result<bool, StoreError> {
    Ok(!store.read(sql("SELECT id FROM users LIMIT 1")).await?.is_empty())
}

pub(crate) async fn create_user(store: &impl Records, user: User) -> Result<(), StoreError> {
    check_user(&user)?;
    store.run(insert_user(&user)).await.map(drop)
}

pub(crate) async fn user(store: &impl Records, id: UserId) -> Result<Option<User>, StoreError> {
    let query = sql("SELECT id, email, email_verified, name, password_hash, created_at FROM users WHERE id = $1");
    first(store.read(query.bind(id)).await?, read_user)
}

pub(crate) async fn user_by_email(store: &impl Records, email: &str) -> Result<Option<User>, StoreError> {
    if !is_fit(email) {
        return Ok(None);
    }
    let query = sql("SELECT id, email, email_verified, name, password_hash, created_at FROM users
         WHERE lower(email) = $1");
    first(store.read(query.bind(email.to_ascii_lowercase())).await?, read_user)
}

pub(crate) async fn change_user(store: &impl Records, known: &User, to: User) -> Result<bool, StoreError> {
    check_user(&to)?;
    let update = sql("UPDATE users SET email = $2, email_verified = $3, name = $4, password_hash = $5
         WHERE id = $1 AND email = $6 AND email_verified = $7 AND name = $8 AND password_hash IS NOT DISTINCT FROM $9");
    let update = update.bind(known.id).bind(to.email.clone()).bind(to.email_verified).bind(to.name);
    let update = update.bind(to.password_hash).bind(known.email.clone()).bind(known.email_verified);
    let update = update.bind(known.name.clone()).bind(known.password_hash.clone());
    if store.run(update.or_taken(format!("the address `{}`", to.email))).await? > 0 {
        return Ok(true);
    }
    match user(store, known.id).await? {
        Some(_) => Ok(false),
        None => Err(StoreError::NotFound(format!("user {}", known.id))),
    }
}

pub(crate) async fn create_linked_user(
    store: &impl Records,
    user: User,
    link: LinkedAccount,
) -> Result<(), StoreError> {
    check_user(&user)?;
    check_link(&link)?;
    if link.user != user.id {
        return Err(StoreError::NotFound(format!("user {}", link.user)));
    }
    store.change(CreateLinked { user, link }).await
}

pub(crate) async fn link(store: &impl Records, link: LinkedAccount) -> Result<(), StoreError> {
    check_link(&link)?;
    store.run(insert_link(&link)).await.map(drop)
}

pub(crate) async fn linked_user(store: &impl Records, issuer: &str, subject: &str) -> Result<Option<User>, StoreError> {
    if !is_fit(issuer) || !is_fit(subject) {
        return Ok(None);
    }
    let query = sql("SELECT u.id, u.email, u.email_verified, u.name, u.password_hash, u.created_at
         FROM linked_accounts l JOIN users u ON u.id = l.user_id WHERE l.issuer = $1 AND l.subject = $2");
    first(store.read(query.bind(issuer.to_owned()).bind(subject.to_owned())).await?, read_user)
}

pub(crate) async fn links_of(store: &impl Records, user: UserId) -> Result<Vec<LinkedAccount>, StoreError> {
    let query = sql("SELECT issuer, subject, user_id, label, created_at FROM linked_accounts
         WHERE user_id = $1 ORDER BY issuer, subject");
    all(store.read(query.bind(user)).await?, read_link)
}

pub(crate) async fn unlink(
    store: &impl Records,
    user: UserId,
    issuer: &str,
    subject: &str,
) -> Result<bool, StoreError> {
    if !is_fit(issuer) || !is_fit(subject) {
        return Ok(false);
    }
    let (issuer, subject) = (issuer.to_owned(), subject.to_owned());
    store.change(Unlink { user, issuer, subject }).await
}

pub(crate) async fn create_organization(
    store: &impl Records,
    organization: Organization,
    owner: UserId,
) -> Result<(), StoreError> {
    check_organization(&organization)?;
    store.change(CreateOrganization { organization, owner }).await
}

pub(crate) async fn organization(store: &impl Records, id: OrganizationId) -> Result<Option<Organization>, StoreError> {
    let query = sql("SELECT id, name, plan, billing_email, created_at FROM organizations WHERE id = $1");
    first(store.read(query.bind(id)).await?, read_organization)
}

pub(crate) async fn organization_named(store: &impl Records, name: &str) -> Result<Option<Organization>, StoreError> {
    if !is_fit(name) {
        return Ok(None);
    }
    let query = sql("SELECT id, name, plan, billing_email, created_at FROM organizations WHERE name = $1");
    first(store.read(query.bind(name.to_owned())).await?, read_organization)
}

pub(crate) async fn update_organization(store: &impl Records, organization: Organization) -> Result<(), StoreError> {
    check_organization(&organization)?;
    let Organization { id, name, plan, billing_email, .. } = organization;
    let update = sql("UPDATE organizations SET name = $2, plan = $3, billing_email = $4 WHERE id = $1");
    let update = update.bind(id).bind(name.clone()).bind(plan).bind(billing_email);
    let update = update.or_taken(format!("the name `{name}`"));
    required(store.run(update).await?, || format!("organization {id}"))
}

pub(crate) async fn delete_organization(store: &impl Records, id: OrganizationId) -> Result<bool, StoreError> {
    store.change(DeleteOrganization(id)).await
}

pub(crate) async fn organizations_of(
    store: &impl Records,
    user: UserId,
) -> Result<Vec<(Organization, Role)>, StoreError> {
    let query = sql("SELECT o.id, o.name, o.plan, o.billing_email, o.created_at, m.role
         FROM org_memberships m JOIN organizations o ON o.id = m.organization_id
         WHERE m.user_id = $1 ORDER BY o.name");
    all(store.read(query.bind(user)).await?, |row| Ok((read_organization(row)?, row.take()?)))
}

pub(crate) async fn members(
    store: &impl Records,
    organization: OrganizationId,
    after: Option<UserId>,
    limit: usize,
) -> Result<Vec<(User, Membership)>, StoreError> {
    // No id is the nil one, so all are after it.
    let query = sql("SELECT u.id, u.email, u.email_verified, u.name, u.password_hash, u.created_at,
             m.organization_id, m.user_id, m.role, m.invited_by, m.created_at
         FROM org_memberships m JOIN users u ON u.id = m.user_id
         WHERE m.organization_id = $1 AND m.user_id > $2 ORDER BY m.user_id LIMIT $3");
    let query = query.bind(organization).bind(after.unwrap_or(uuid::Uuid::nil().into())).bind(number(limit as u64));
    all(store.read(query).await?, |row| Ok((read_user(row)?, read_member(row)?)))
}

pub(crate) async fn membership(
    store: &impl Records,
    organization: OrganizationId,
    user: UserId,
) -> Result<Option<Membership>, StoreError> {
    first(store.read(select_member(organization, user)).await?, read_member)
}

pub(crate) async fn tenant_member(
    store: &impl Records,
    tenant: TenantId,
    user: UserId,
) -> Result<Option<TenantMember>, StoreError> {
    let query = sql("SELECT t.id, t.organization_id, t.name, t.created_at,
             u.id, u.email, u.email_verified, u.name, u.password_hash, u.created_at, m.role
         FROM tenants t JOIN org_memberships m ON m.organization_id = t.organization_id
             JOIN users u ON u.id = m.user_id
         WHERE t.id = $1 AND m.user_id = $2");
    first(store.read(query.bind(tenant).bind(user)).await?, |row| {
        Ok(TenantMember { tenant: read_tenant(row)?, user: read_user(row)?, role: row.take()? })
    })
}

pub(crate) async fn set_member(store: &impl Records, member: Membership) -> Result<(), StoreError> {
    store.change(SetMember(member)).await
}

pub(crate) async fn remove_member(
    store: &impl Records,
    organization: OrganizationId,
    user: UserId,
) -> Result<bool, StoreError> {
    store.change(RemoveMember { organization, user }).await
}

pub(crate) async fn create_tenant(store: &impl Records, tenant: Tenant) -> Result<(), StoreError> {
    check_tenant(&tenant)?;
    store.change(CreateTenant(tenant)).await
}

pub(crate) async fn tenant(store: &impl Records, id: TenantId) -> Result<Option<Tenant>, StoreError> {
    let query = sql("SELECT id, organization_id, name, created_at FROM tenants WHERE id = $1");
    first(store.read(query.bind(id)).await?, read_tenant)
}

pub(crate) async fn tenant_named(
    store: &impl Records,
    organization: OrganizationId,
    name: &str,
) -> Result<Option<Tenant>, StoreError> {
    if !is_fit(name) {
        return Ok(None);
    }
    let query = sql("SELECT id, organization_id, name, created_at FROM tenants
         WHERE organization_id = $1 AND name = $2");
    first(store.read(query.bind(organization).bind(name.to_owned())).await?, read_tenant)
}

pub(crate) async fn tenants(
    store: &impl Records,
    organization: OrganizationId,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Tenant>, StoreError> {
    after.map_or(Ok(()), |name| check_text("the name of a tenant", name))?;
    // No name is empty, so all are after that.
    let query = sql("SELECT id, organization_id, name, created_at FROM tenants
         WHERE organization_id = $1 AND name > $2 ORDER BY name LIMIT $3");
    let query = query.bind(organization).bind(after.unwrap_or_default().to_owned()).bind(number(limit as u64));
    all(store.read(query).await?, read_tenant)
}

pub(crate) async fn rename_tenant(store: &impl Records, id: TenantId, name: &str) -> Result<(), StoreError> {
    check_text("the name of a tenant", name)?;
    let rename = sql("UPDATE tenants SET name = $2 WHERE id = $1").bind(id).bind(name.to_owned());
    let renamed = store.run(rename.or_taken(format!("the name `{name}`"))).await?;
    required(renamed, || format!("tenant {id}"))
}

pub(crate) async fn delete_tenant(store: &impl Records, id: TenantId) -> Result<bool, StoreError> {
    store.change(DeleteTenant(id)).await
}

pub(crate) async fn create_invitation(
    store: &impl Records,
    invitation: Invitation,
    hash: TokenHash,
) -> Result<(), StoreError> {
    check_text("an address", &invitation.email)?;
    store.run(insert_invitation(&invitation, hash)).await.map(drop)
}

pub(crate) async fn invitations(
    store: &impl Records,
    organization: OrganizationId,
    after: Option<InvitationId>,
    limit: usize,
) -> Result<Vec<Invitation>, StoreError> {
    let query = sql("SELECT id, organization_id, email, role, invited_by, created_at, expires_at FROM invitations
         WHERE organization_id = $1 AND id > $2 ORDER BY id LIMIT $3");
    let query = query.bind(organization).bind(after.unwrap_or(uuid::Uuid::nil().into())).bind(number(limit as u64));
    all(store.read(query).await?, read_invitation)
}

pub(crate) async fn revoke_invitation(store: &impl Records, id: InvitationId) -> Result<bool, StoreError> {
    Ok(store.run(sql("DELETE FROM invitations WHERE id = $1").bind(id)).await? > 0)
}

pub(crate) async fn invitation(
    store: &impl Records,
    hash: &TokenHash,
    now: Timestamp,
) -> Result<Option<Invitation>, StoreError> {
    let query = sql("SELECT id, organization_id, email, role, invited_by, created_at, expires_at FROM invitations
         WHERE token_hash = $1 AND expires_at > $2");
    first(store.read(query.bind(*hash).bind(now)).await?, read_invitation)
}

pub(crate) async fn accept_invitation(
    store: &impl Records,
    hash: &TokenHash,
    user: UserId,
    now: Timestamp,
) -> Result<Option<Membership>, StoreError> {
    store.change(Accept { hash: *hash, user, now }).await
}
