//! The ports of accounts, environments and policies on either database: what they do is written once, in `records`.

use std::time::Duration;

use async_trait::async_trait;
use buildit::account::{
    ApiKey, AuditEntry, AuditRecord, Invitation, LinkedAccount, Membership, Organization, Role, Session, Tenant,
    TenantMember, TokenHash, TokenPurpose, User,
};
use buildit::id::{ApiKeyId, InvitationId, OrganizationId, TenantId, UserId};
use buildit::store::{
    AuditFilter, AuditStore, CredentialStore, Environment, EnvironmentStore, IdentityStore, PolicyStore,
    RetentionPolicy, StoreError,
};
use jiff::Timestamp;

#[cfg(feature = "postgres")]
use crate::postgres::PostgresStore;
use crate::records::{audit, credential, environment, identity, policy};
#[cfg(feature = "sqlite")]
use crate::sqlite::SqliteStore;

/// Implements them for a store with records.
macro_rules! account_ports {
    ($store:ty) => {
        #[async_trait]
        impl IdentityStore for $store {
            async fn found(&self, owner: User, organization: Organization, tenant: Tenant) -> Result<bool, StoreError> {
                identity::found(self, owner, organization, tenant).await
            }

            async fn has_users(&self) -> Result<bool, StoreError> {
                identity::has_users(self).await
            }

            async fn create_user(&self, user: User) -> Result<(), StoreError> {
                identity::create_user(self, user).await
            }

            async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
                identity::user(self, id).await
            }

            async fn user_by_email(&self, email: &str) -> Result<Option<User>, StoreError> {
                identity::user_by_email(self, email).await
            }

            async fn change_user(&self, known: &User, to: User) -> Result<bool, StoreError> {
                identity::change_user(self, known, to).await
            }

            async fn create_linked_user(&self, user: User, link: LinkedAccount) -> Result<(), StoreError> {
                identity::create_linked_user(self, user, link).await
            }

            async fn link(&self, link: LinkedAccount) -> Result<(), StoreError> {
                identity::link(self, link).await
            }

            async fn linked_user(&self, issuer: &str, subject: &str) -> Result<Option<User>, StoreError> {
                identity::linked_user(self, issuer, subject).await
            }

            async fn links_of(&self, user: UserId) -> Result<Vec<LinkedAccount>, StoreError> {
                identity::links_of(self, user).await
            }

            async fn unlink(&self, user: UserId, issuer: &str, subject: &str) -> Result<bool, StoreError> {
                identity::unlink(self, user, issuer, subject).await
            }

            async fn create_organization(&self, organization: Organization, owner: UserId) -> Result<(), StoreError> {
                identity::create_organization(self, organization, owner).await
            }

            async fn organization(&self, id: OrganizationId) -> Result<Option<Organization>, StoreError> {
                identity::organization(self, id).await
            }

            async fn organization_named(&self, name: &str) -> Result<Option<Organization>, StoreError> {
                identity::organization_named(self, name).await
            }

            async fn update_organization(&self, organization: Organization) -> Result<(), StoreError> {
                identity::update_organization(self, organization).await
            }

            async fn delete_organization(&self, id: OrganizationId) -> Result<bool, StoreError> {
                identity::delete_organization(self, id).await
            }

            async fn organizations_of(&self, user: UserId) -> Result<Vec<(Organization, Role)>, StoreError> {
                identity::organizations_of(self, user).await
            }

            async fn members(
                &self,
                organization: OrganizationId,
                after: Option<UserId>,
                limit: usize,
            ) -> Result<Vec<(User, Membership)>, StoreError> {
                identity::members(self, organization, after, limit).await
            }

            async fn membership(
                &self,
                organization: OrganizationId,
                user: UserId,
            ) -> Result<Option<Membership>, StoreError> {
                identity::membership(self, organization, user).await
            }

            async fn tenant_member(&self, tenant: TenantId, user: UserId) -> Result<Option<TenantMember>, StoreError> {
                identity::tenant_member(self, tenant, user).await
            }

            async fn set_member(&self, member: Membership) -> Result<(), StoreError> {
                identity::set_member(self, member).await
            }

            async fn remove_member(&self, organization: OrganizationId, user: UserId) -> Result<bool, StoreError> {
                identity::remove_member(self, organization, user).await
            }

            async fn create_tenant(&self, tenant: Tenant) -> Result<(), StoreError> {
                identity::create_tenant(self, tenant).await
            }

            async fn tenant(&self, id: TenantId) -> Result<Option<Tenant>, StoreError> {
                identity::tenant(self, id).await
            }

            async fn tenant_named(
                &self,
                organization: OrganizationId,
                name: &str,
            ) -> Result<Option<Tenant>, StoreError> {
                identity::tenant_named(self, organization, name).await
            }

            async fn tenants(
                &self,
                organization: OrganizationId,
                after: Option<&str>,
                limit: usize,
            ) -> Result<Vec<Tenant>, StoreError> {
                identity::tenants(self, organization, after, limit).await
            }

            async fn rename_tenant(&self, id: TenantId, name: &str) -> Result<(), StoreError> {
                identity::rename_tenant(self, id, name).await
            }

            async fn delete_tenant(&self, id: TenantId) -> Result<bool, StoreError> {
                identity::delete_tenant(self, id).await
            }

            async fn create_invitation(&self, invitation: Invitation, hash: TokenHash) -> Result<(), StoreError> {
                identity::create_invitation(self, invitation, hash).await
            }

            async fn invitations(
                &self,
                organization: OrganizationId,
                after: Option<InvitationId>,
                limit: usize,
            ) -> Result<Vec<Invitation>, StoreError> {
                identity::invitations(self, organization, after, limit).await
            }

            async fn revoke_invitation(&self, id: InvitationId) -> Result<bool, StoreError> {
                identity::revoke_invitation(self, id).await
            }

            async fn invitation(&self, hash: &TokenHash, now: Timestamp) -> Result<Option<Invitation>, StoreError> {
                identity::invitation(self, hash, now).await
            }

            async fn accept_invitation(
                &self,
                hash: &TokenHash,
                user: UserId,
                now: Timestamp,
            ) -> Result<Option<Membership>, StoreError> {
                identity::accept_invitation(self, hash, user, now).await
            }
        }

        #[async_trait]
        impl CredentialStore for $store {
            async fn create_key(&self, key: ApiKey, hash: TokenHash) -> Result<(), StoreError> {
                credential::create_key(self, key, hash).await
            }

            async fn key(&self, hash: &TokenHash) -> Result<Option<ApiKey>, StoreError> {
                credential::key(self, hash).await
            }

            async fn keys(
                &self,
                tenant: TenantId,
                after: Option<ApiKeyId>,
                limit: usize,
            ) -> Result<Vec<ApiKey>, StoreError> {
                credential::keys(self, tenant, after, limit).await
            }

            async fn delete_key(&self, tenant: TenantId, id: ApiKeyId) -> Result<bool, StoreError> {
                credential::delete_key(self, tenant, id).await
            }

            async fn note_key_use(&self, id: ApiKeyId, at: Timestamp) -> Result<(), StoreError> {
                credential::note_key_use(self, id, at).await
            }

            async fn put_session(&self, hash: TokenHash, session: Session) -> Result<(), StoreError> {
                credential::put_session(self, hash, session).await
            }

            async fn session(&self, hash: &TokenHash, now: Timestamp) -> Result<Option<Session>, StoreError> {
                credential::session(self, hash, now).await
            }

            async fn delete_session(&self, hash: &TokenHash) -> Result<bool, StoreError> {
                credential::delete_session(self, hash).await
            }

            async fn delete_sessions_of(&self, user: UserId) -> Result<u64, StoreError> {
                credential::delete_sessions_of(self, user).await
            }

            async fn create_token(
                &self,
                hash: TokenHash,
                purpose: TokenPurpose,
                user: UserId,
                expires_at: Timestamp,
            ) -> Result<(), StoreError> {
                credential::create_token(self, hash, purpose, user, expires_at).await
            }

            async fn take_token(
                &self,
                hash: &TokenHash,
                purpose: TokenPurpose,
                now: Timestamp,
            ) -> Result<Option<UserId>, StoreError> {
                credential::take_token(self, hash, purpose, now).await
            }

            async fn delete_tokens_of(&self, user: UserId, purpose: TokenPurpose) -> Result<u64, StoreError> {
                credential::delete_tokens_of(self, user, purpose).await
            }

            async fn begin_sign_in(
                &self,
                hash: TokenHash,
                data: Vec<u8>,
                expires_at: Timestamp,
            ) -> Result<(), StoreError> {
                credential::begin_sign_in(self, hash, data, expires_at).await
            }

            async fn take_sign_in(&self, hash: &TokenHash, now: Timestamp) -> Result<Option<Vec<u8>>, StoreError> {
                credential::take_sign_in(self, hash, now).await
            }

            async fn sweep_credentials(&self, now: Timestamp) -> Result<u64, StoreError> {
                credential::sweep_credentials(self, now).await
            }
        }

        #[async_trait]
        impl AuditStore for $store {
            async fn audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
                audit::audit(self, entry).await
            }

            async fn audit_log(
                &self,
                filter: AuditFilter,
                before: Option<u64>,
                limit: usize,
            ) -> Result<Vec<AuditRecord>, StoreError> {
                audit::audit_log(self, filter, before, limit).await
            }
        }

        #[async_trait]
        impl EnvironmentStore for $store {
            async fn put_environment(&self, environment: Environment) -> Result<(), StoreError> {
                environment::put_environment(self, environment).await
            }

            async fn environment(&self, tenant: TenantId, name: &str) -> Result<Option<Environment>, StoreError> {
                environment::environment(self, tenant, name).await
            }

            async fn environments(
                &self,
                tenant: TenantId,
                after: Option<&str>,
                limit: usize,
            ) -> Result<Vec<Environment>, StoreError> {
                environment::environments(self, tenant, after, limit).await
            }

            async fn delete_environment(&self, tenant: TenantId, name: &str) -> Result<bool, StoreError> {
                environment::delete_environment(self, tenant, name).await
            }
        }

        #[async_trait]
        impl PolicyStore for $store {
            async fn put_policy(&self, policy: RetentionPolicy) -> Result<(), StoreError> {
                policy::put_policy(self, policy).await
            }

            async fn policy(&self, tenant: TenantId) -> Result<Option<RetentionPolicy>, StoreError> {
                policy::policy(self, tenant).await
            }

            async fn policies(
                &self,
                after: Option<TenantId>,
                limit: usize,
            ) -> Result<Vec<RetentionPolicy>, StoreError> {
                policy::policies(self, after, limit).await
            }

            async fn take_turn(&self, work: &str, now: Timestamp, every: Duration) -> Result<bool, StoreError> {
                policy::take_turn(self, work, now, every).await
            }
        }
    };
}

#[cfg(feature = "sqlite")]
account_ports!(SqliteStore);
#[cfg(feature = "postgres")]
account_ports!(PostgresStore);
