//! Keeping the result of an attempt that succeeded.

use super::super::host::RunHost;
use super::{ResultError, Results, log};
use crate::cached::KeptResult;
use crate::executor::JobContext;
use crate::id::ExecutorName;
use crate::job::{JobProducts, JobSpec};

/// An attempt that succeeded, as its executor got it.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Done<'a> {
    pub(in super::super) job: &'a JobSpec,
    pub(in super::super) executor: &'a ExecutorName,
    pub(in super::super) ctx: &'a JobContext,
}

impl Results {
    /// Keeps the result. That it cannot be kept is no failure: the stage runs again.
    pub(in super::super) async fn keep(&self, host: &RunHost, done: Done<'_>, products: Option<&JobProducts>) {
        if let Err(error) = self.try_keep(host, done, products).await {
            tracing::warn!(job = %done.job.id, %error, "a result cannot be kept");
        }
    }

    async fn try_keep(
        &self,
        host: &RunHost,
        Done { job, executor, ctx }: Done<'_>,
        products: Option<&JobProducts>,
    ) -> Result<(), ResultError> {
        let made_of = self.ingredients(job, executor, ctx.inputs(), ctx.secrets(), ctx.blobs()).await?;
        let result = KeptResult {
            key: made_of.key(),
            job: job.id.clone(),
            kept_at: host.core.clock.now(),
            products: products.map(|products| Box::new(products.clone())),
            log: log::keep(&host.core, &job.id).await?,
        };
        self.store.keep_result(&host.bus.scope, &result, &made_of.kept()).await?;
        Ok(())
    }
}
