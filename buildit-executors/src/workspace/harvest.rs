//! Gathering what a job left, by the same rules on every executor.

use std::io::{self, Read};
use std::sync::Arc;

use async_trait::async_trait;
use buildit::artifact::BlobStore;
use buildit::executor::JobContext;
use buildit::id::Digest;
use buildit::job::{Artifact, Cause, JobOutcome, JobProducts, JobSpec, SavedCache, Status};
use buildit::pipeline::{ArtifactSpec, ArtifactWhen};
use tokio::runtime::Handle;

use super::caches::CachePath;
use super::outputs::{MAX_OUTPUT_FILE, MAX_SUMMARY, parse_outputs, read_summary};
use super::{Entry, Kind, Limits, Packer, Selection, Times, WorkspaceError, load_archive, read_archive, store_archive};

/// How large a file of reports may be that is read; the parser takes several times as much memory.
pub const MAX_REPORT: u64 = 32 << 20;

/// The files of a job that has ended: a folder of this host, or a container's file system.
#[async_trait]
pub trait JobFiles: Send + Sync {
    /// The content of a file by which the job says something, cut at `limit` bytes; empty when there is none.
    ///
    /// # Errors
    ///
    /// [`WorkspaceError`] when it cannot be read.
    async fn read(&self, file: JobFile, limit: usize) -> Result<Vec<u8>, WorkspaceError>;

    /// Archives what is selected in the workspace; `None` when nothing is.
    ///
    /// # Errors
    ///
    /// [`WorkspaceError`], by [`is_of_the_job`](WorkspaceError::is_of_the_job), when the job or this machine is to
    /// blame.
    async fn archive(
        &self,
        selection: Selection,
        blobs: &Arc<dyn BlobStore>,
    ) -> Result<Option<Archived>, WorkspaceError>;

    /// Archives what is there of a cache; `None` when nothing is.
    ///
    /// # Errors
    ///
    /// As [`archive`](Self::archive).
    async fn archive_cache(
        &self,
        paths: Vec<CachePath>,
        blobs: &Arc<dyn BlobStore>,
    ) -> Result<Option<(Digest, u64)>, WorkspaceError>;
}

/// A file by which a job says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobFile {
    /// `$BUILDIT_OUTPUT`.
    Output,
    /// `$BUILDIT_SUMMARY`.
    Summary,
}

/// An archive that was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archived {
    /// Its address.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
    /// The files in it, sorted.
    pub paths: Vec<String>,
}

/// Adds what the job left to its outcome. A job that succeeded and left something bad, or not what it promised, has
/// failed with cause [`Cause::Output`]; one that did not succeed stays as it is.
///
/// # Errors
///
/// [`WorkspaceError`] when this machine or the blob store is to blame.
pub async fn harvest(
    files: &dyn JobFiles,
    job: &JobSpec,
    ctx: &JobContext,
    outcome: JobOutcome,
) -> Result<JobOutcome, WorkspaceError> {
    let mut harvest = Harvest { ctx, products: JobProducts::default(), problem: None };
    harvest.outputs(&files.read(JobFile::Output, MAX_OUTPUT_FILE + 1).await?);
    harvest.products.summary =
        read_summary(&files.read(JobFile::Summary, MAX_SUMMARY + 1).await?).map(|text| ctx.mask(&text).into());
    for spec in job.stage.artifacts.iter().filter(|spec| is_kept(spec.on, outcome.status)) {
        harvest.artifact(files, spec).await?;
    }
    if let Some(reports) = &job.stage.reports {
        harvest.reports(files, &reports.junit).await?;
    }
    if outcome.status == Status::Succeeded && harvest.problem.is_none() {
        harvest.caches(files, job).await?;
    }
    let Harvest { products, problem, .. } = harvest;
    let outcome = match problem {
        Some(problem) if outcome.status == Status::Succeeded => {
            JobOutcome { exit_code: outcome.exit_code, ..JobOutcome::failed_because(Cause::Output, ctx.mask(&problem)) }
        }
        _ => outcome,
    };
    Ok(outcome.with_products(products))
}

/// Reports as people are to read them: what tests print stands in them, so they are masked as a log is. Reports without a
/// secret stay as they are.
async fn masked(ctx: &JobContext, archived: Archived) -> Result<Archived, WorkspaceError> {
    let (blobs, digest) = (Arc::clone(ctx.blobs()), archived.digest);
    let looked = ctx.clone();
    let holds = load_archive(&blobs, &digest, move |archive| {
        let mut holds = false;
        read_archive(archive, Limits::strict(), |entry, content| {
            holds |= is_read(&entry) && looked.holds_secret(&text(content)?);
            Ok(())
        })?;
        Ok(holds)
    });
    if !holds.await? {
        return Ok(archived);
    }
    let (handle, from, ctx) = (Handle::current(), Arc::clone(&blobs), ctx.clone());
    let rewrite = move |to| {
        let mut packer = Packer::new(to, Times::Dropped);
        let masked = load_archive(&from, &digest, move |archive| {
            read_archive(archive, Limits::strict(), |mut entry, content| {
                if !is_read(&entry) {
                    return packer.add(&entry, content);
                }
                let masked = ctx.mask(&text(content)?);
                if let Kind::File(size) = &mut entry.kind {
                    *size = masked.len() as u64;
                }
                packer.add(&entry, &mut masked.as_bytes())
            })?;
            packer.finish()
        });
        Ok(((), handle.block_on(masked)?))
    };
    let (digest, bytes, ()) = store_archive(&blobs, rewrite).await?;
    Ok(Archived { digest, bytes, ..archived })
}

/// Whether it is held in memory: a larger file is no report that anybody reads.
fn is_read(entry: &Entry) -> bool {
    matches!(entry.kind, Kind::File(size) if size <= MAX_REPORT)
}

/// The text of a file; a report in no encoding of Unicode is none that is read.
fn text(content: &mut dyn Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    content.read_to_end(&mut bytes)?;
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// Whether an artifact is kept after this result.
#[must_use]
pub fn is_kept(on: ArtifactWhen, status: Status) -> bool {
    match on {
        ArtifactWhen::Always => true,
        ArtifactWhen::Success => status == Status::Succeeded,
        ArtifactWhen::Failure => status != Status::Succeeded,
    }
}

struct Harvest<'a> {
    ctx: &'a JobContext,
    products: JobProducts,
    problem: Option<String>,
}

impl Harvest<'_> {
    fn refuse(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }

    /// The job's fault is a problem of the job; anything else is an error.
    fn blame(&mut self, what: &str, error: WorkspaceError) -> Result<(), WorkspaceError> {
        if !error.is_of_the_job() {
            return Err(error);
        }
        self.refuse(format!("{what}: {error}"));
        Ok(())
    }

    fn outputs(&mut self, file: &[u8]) {
        let outputs = match parse_outputs(file) {
            Ok(outputs) => outputs,
            Err(error) => return self.refuse(error.to_string()),
        };
        for (key, value) in outputs {
            if self.ctx.holds_secret(&value) || self.ctx.holds_secret(&key) {
                self.refuse(format!("the output `{key}` holds a secret"));
            } else {
                self.products.outputs.insert(key, value);
            }
        }
    }

    async fn artifact(&mut self, files: &dyn JobFiles, spec: &ArtifactSpec) -> Result<(), WorkspaceError> {
        let name = spec.name.as_ref().unwrap_or(&spec.path);
        let archived = match Selection::new([spec.path.as_str()]) {
            Ok(selection) => files.archive(selection, self.ctx.blobs()).await,
            Err(error) => Err(error),
        };
        match archived {
            Ok(Some(archived)) => {
                let artifact = self.named(name, archived);
                self.products.artifacts.push(artifact);
            }
            Ok(None) if spec.optional => {}
            Ok(None) => self.refuse(format!("no file matches the artifact `{}`", spec.path)),
            Err(error) => self.blame(&format!("artifact `{name}`"), error)?,
        }
        Ok(())
    }

    /// Reports that are not there are no problem: the tests may not have come that far.
    async fn reports(&mut self, files: &dyn JobFiles, globs: &[String]) -> Result<(), WorkspaceError> {
        let archived = match Selection::new(globs.iter().map(String::as_str)) {
            Ok(selection) => files.archive(selection, self.ctx.blobs()).await,
            Err(error) => Err(error),
        };
        let archived = match archived {
            Ok(Some(archived)) => masked(self.ctx, archived).await.map(Some),
            archived => archived,
        };
        match archived {
            Ok(archived) => {
                self.products.reports = archived.map(|archived| self.named("junit", archived));
                Ok(())
            }
            Err(error) => self.blame("reports", error),
        }
    }

    async fn caches(&mut self, files: &dyn JobFiles, job: &JobSpec) -> Result<(), WorkspaceError> {
        for cache in self.ctx.inputs().caches.iter().filter(|cache| !cache.exact) {
            let saved = match CachePath::parse_all(&cache.paths) {
                Ok(paths) => files.archive_cache(paths, self.ctx.blobs()).await,
                Err(error) => Err(error.into()),
            };
            match saved {
                Ok(Some((digest, bytes))) => {
                    let (name, key) = (cache.name.clone(), cache.key.clone());
                    self.products.caches.push(SavedCache { name, key, digest, bytes });
                }
                Ok(None) => {}
                // A cache that cannot be saved costs time later, and is no reason to fail what succeeded.
                Err(error) => tracing::warn!(job = %job.id, cache = cache.name, %error, "a cache was not saved"),
            }
        }
        Ok(())
    }

    fn named(&self, name: &str, archived: Archived) -> Artifact {
        let paths = archived.paths.iter().map(|path| self.ctx.mask(path)).collect();
        Artifact { name: self.ctx.mask(name), digest: archived.digest, bytes: archived.bytes, paths }
    }
}
