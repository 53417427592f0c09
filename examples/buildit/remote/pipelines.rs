//! The pipelines of a server.

use buildit::event::RunStatus;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Client;
use crate::exit::Failure;

/// A pipeline of a server.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Pipeline {
    pub(crate) id: String,
    pub(crate) name: String,
    created_at: Timestamp,
    updated_at: Timestamp,
    pub(crate) last_run: Option<LastRun>,
}

/// The latest run of a pipeline.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct LastRun {
    id: String,
    pub(crate) number: u64,
    pub(crate) status: RunStatus,
    pub(crate) created_at: Timestamp,
}

/// The pipeline of this name.
pub(crate) async fn named(client: &Client, name: &str) -> Result<Pipeline, Failure> {
    let found: Vec<Pipeline> = client.list(&["pipelines"], &[("search", name)], usize::MAX).await?;
    let found = found.into_iter().find(|pipeline| pipeline.name == name);
    found.ok_or_else(|| {
        Failure::usage(format!("there is no pipeline `{name}` on this server; `buildit pipelines` lists them"))
    })
}
