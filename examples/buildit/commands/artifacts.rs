//! `buildit artifacts`.

use std::path::Path;
use std::sync::Arc;

use buildit::artifact::BlobStore;
use buildit::event::EventBody;
use buildit::id::{Digest, RunId, StageName};
use buildit::job::Artifact;
use buildit_executors::workspace::{Limits, load_archive, unpack};
use serde::Serialize;

use super::kept::find;
use crate::args::{ArtifactsArgs, DataOutput};
use crate::exit::{Exit, Failure, Outcome};
use crate::look::Look;
use crate::out::Out;
use crate::remote::failed;
use crate::session::{Records, each_event, records};
use crate::text::clean;

pub(crate) async fn artifacts(args: ArtifactsArgs, look: Look) -> Outcome {
    let records = records(&args.place).await?;
    let run = find(&*records, &args.run).await?;
    let mut left = left(&*records, run).await?;
    if let Some(name) = &args.name {
        left.retain(|left| left.artifact.name == *name);
        if left.is_empty() {
            return Err(Failure::usage(format!("the run has left no artifact `{name}`")));
        }
    }
    if let Some(folder) = &args.out {
        for left in &left {
            let fetched = records.artifact(run, &left.stage, &left.artifact).await?;
            fetch(&fetched.blobs, &left.artifact, folder).await?;
        }
    }
    let mut out = Out::stdout();
    for Left { stage, attempt, artifact } in &left {
        match args.output {
            DataOutput::Json => {
                let Artifact { name, digest, bytes, paths } = artifact;
                let line = Line { stage, attempt: *attempt, name, digest: *digest, bytes: *bytes, paths };
                out.line(&serde_json::to_string(&line).map_err(Failure::backend)?);
            }
            DataOutput::Human => {
                let files = if artifact.paths.len() == 1 { "file" } else { "files" };
                let what = format!("{} bytes, {} {files}", artifact.bytes, artifact.paths.len());
                let (name, theme) = (clean(&artifact.name), look.stdout());
                out.line(&format!("{}  {stage}  {}", theme.strong(&name), theme.faint(&what)));
            }
        }
    }
    if left.is_empty() && args.output == DataOutput::Human {
        Out::stderr().line("the run has left no artifacts");
    }
    Ok(Exit::Succeeded)
}

/// What an attempt left; attempt 0 is of an earlier run.
struct Left {
    stage: StageName,
    attempt: u32,
    artifact: Artifact,
}

#[derive(Serialize)]
struct Line<'a> {
    stage: &'a StageName,
    attempt: u32,
    name: &'a str,
    digest: Digest,
    bytes: u64,
    paths: &'a [String],
}

/// What the last attempts of a run's stages left.
async fn left(records: &dyn Records, run: RunId) -> Result<Vec<Left>, Failure> {
    let mut left: Vec<Left> = Vec::new();
    let read = each_event(records, run, 0, |event| {
        let (stage, attempt, products) = match event.body {
            EventBody::AttemptFinished { stage, attempt, outcome } => (stage, attempt, outcome.products),
            // Of an earlier run.
            EventBody::ResultTaken { stage, result } => (stage, 0, result.products),
            _ => return,
        };
        // What an earlier attempt left is no result any more.
        left.retain(|left| left.stage != stage);
        let artifacts = products.map(|products| products.artifacts).unwrap_or_default();
        left.extend(artifacts.into_iter().map(|artifact| Left { stage: stage.clone(), attempt, artifact }));
    });
    read.await.map_err(failed)?;
    Ok(left)
}

/// Lays an artifact out in this folder: nothing outside of it is touched, whatever the archive says.
async fn fetch(blobs: &Arc<dyn BlobStore>, artifact: &Artifact, folder: &Path) -> Result<(), Failure> {
    let refused = |error: std::io::Error| {
        Failure::Refused(anyhow::Error::new(error).context(format!("cannot make {}", folder.display())))
    };
    std::fs::create_dir_all(folder).map_err(refused)?;
    let to = folder.to_owned();
    let unpacked = load_archive(blobs, &artifact.digest, move |archive| unpack(archive, &to, Limits::strict())).await;
    unpacked.map_err(|error| {
        Failure::Backend(anyhow::Error::new(error).context(format!("cannot fetch `{}`", clean(&artifact.name))))
    })
}
