//! Tenants.

use async_trait::async_trait;
use buildit::account::Tenant;
use buildit::id::TenantId;
use buildit::store::StoreError;

use super::member::lock;
use super::{Change, Query, Row, Statements, sql};

pub(super) fn read_tenant(row: &mut Row) -> Result<Tenant, StoreError> {
    Ok(Tenant { id: row.take()?, organization: row.take()?, name: row.take()?, created_at: row.take()? })
}

pub(super) fn insert_tenant(tenant: &Tenant) -> Query {
    sql("INSERT INTO tenants (id, organization_id, name, created_at) VALUES ($1, $2, $3, $4)")
        .bind(tenant.id)
        .bind(tenant.organization)
        .bind(tenant.name.clone())
        .bind(tenant.created_at)
        .or_taken(format!("the name `{}`, or the id of the tenant,", tenant.name))
        .or_missing(format!("organization {}", tenant.organization))
}

/// Its organization is held, so that nobody deletes it meanwhile.
#[derive(Debug)]
pub(super) struct CreateTenant(pub(super) Tenant);

#[async_trait]
impl Change for CreateTenant {
    type Answer = ();

    async fn change(&self, to: &mut dyn Statements) -> Result<(), StoreError> {
        lock(to, self.0.organization).await?;
        to.run(insert_tenant(&self.0)).await.map(drop)
    }
}

/// Its keys go with it, by their reference.
#[derive(Debug)]
pub(super) struct DeleteTenant(pub(super) TenantId);

#[async_trait]
impl Change for DeleteTenant {
    type Answer = bool;

    async fn change(&self, to: &mut dyn Statements) -> Result<bool, StoreError> {
        let of_tenant = "SELECT 1 WHERE EXISTS (SELECT 1 FROM pipelines WHERE tenant_id = $1 AND id IS NOT NULL)
             OR EXISTS (SELECT 1 FROM pipeline_runs WHERE tenant_id = $1)
             OR EXISTS (SELECT 1 FROM job_queue WHERE tenant_id = $1)
             OR EXISTS (SELECT 1 FROM repositories WHERE tenant_id = $1)";
        if !to.rows(sql("SELECT id FROM tenants WHERE id = $1").bind(self.0)).await?.is_empty()
            && !to.rows(sql(of_tenant).bind(self.0)).await?.is_empty()
        {
            return Err(StoreError::NotEmpty(self.0));
        }
        to.run(sql("DELETE FROM environments WHERE tenant_id = $1").bind(self.0)).await?;
        to.run(sql("DELETE FROM retention_policies WHERE tenant_id = $1").bind(self.0)).await?;
        // The names that its runs had made, of which none is left.
        to.run(sql("DELETE FROM pipelines WHERE tenant_id = $1 AND id IS NULL").bind(self.0)).await?;
        Ok(to.run(sql("DELETE FROM tenants WHERE id = $1").bind(self.0)).await? > 0)
    }
}
