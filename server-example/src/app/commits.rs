//! Commits of repositories: what runs of their pipelines are made of.

use std::fmt::{self, Debug};
use std::sync::Arc;

use buildit::config::{SourceError, SourceLoader};
use buildit::diagnostic::Diagnostic;
use buildit::pipeline::{CheckoutSpec, GitContext, PipelineSpec, RunContext};
use buildit::plan::Plan;
use buildit::store::Repository;
use buildit_executors::remote::{Comparison, Mirror, Remote, RemoteError, Revision, Snapshot, Trust, Wanted};
use tokio::runtime::Handle;

use super::pipelines::{self, LIMITS, Start};
use super::repositories::{self, revision, told};
use crate::problem::Problem;
use crate::state::ServerState;

/// The file of a repository that has one pipeline, and the folder of one that has several.
pub(crate) const FOLDER: &str = ".buildit";

/// A commit that the copy of its repository has.
#[derive(Debug)]
pub(crate) struct Commit {
    repository: Repository,
    mirror: Arc<Mirror>,
    remote: Remote,
    pub(crate) git: GitContext,
}

/// The commit that is asked for, as the repository has it now: that of the default branch when none is named.
pub(crate) async fn fetch(state: &ServerState, repository: &Repository, asked: &Start) -> Result<Commit, Problem> {
    let (mirror, remote) = repositories::fetch(state, repository).await?;
    find(repository, mirror, remote, asked).await
}

/// The same as the copy has it, which is fetched only if it was not yet.
pub(crate) async fn known(state: &ServerState, repository: &Repository, asked: &Start) -> Result<Commit, Problem> {
    let mirror = state.mirrors().of(repository.id);
    if mirror.branches(1).await.is_ok_and(|branches| !branches.is_empty()) {
        let remote = repositories::remote(state, repository).await?;
        return find(repository, mirror, remote, asked).await;
    }
    fetch(state, repository, asked).await
}

async fn find(repository: &Repository, mirror: Arc<Mirror>, remote: Remote, asked: &Start) -> Result<Commit, Problem> {
    let Start { branch, tag, commit, .. } = asked;
    let named = match revision(branch, tag, commit) {
        Some(named) => named,
        None => Revision::Branch(default_branch(repository, &mirror).await?),
    };
    let id = match mirror.resolve(&named).await {
        // A forge may have commits that are of no branch.
        Err(RemoteError::NoRevision(_)) if matches!(&named, Revision::Commit(id) if id.len() >= 40) => {
            let fetched = mirror.fetch_one(&remote, commit).await;
            fetched.map_err(|_| told(RemoteError::NoRevision(format!("commit `{commit}`"))))?;
            mirror.resolve(&named).await.map_err(told)?
        }
        found => found.map_err(told)?,
    };
    // Rules of environments go by the branch: nobody may call a commit what it is not.
    if !branch.is_empty() && !commit.is_empty() && !mirror.is_within(&id, branch).await.map_err(told)? {
        return Err(Problem::invalid(format!("the commit `{commit}` is not of the branch `{branch}`")));
    }
    let branch = match &named {
        Revision::Branch(name) => name.clone(),
        _ => branch.clone(),
    };
    let mut git = mirror.describe(&id).await.map_err(told)?.into_context();
    if !branch.is_empty() {
        git.reference = format!("refs/heads/{branch}");
    } else if let Revision::Tag(tag) = &named {
        (git.reference, git.tag) = (format!("refs/tags/{tag}"), tag.clone());
    }
    git.branch = branch;
    Ok(Commit { repository: repository.clone(), mirror, remote, git })
}

/// The branch that is meant when none is named.
pub(crate) async fn default_branch(repository: &Repository, mirror: &Mirror) -> Result<String, Problem> {
    if let Some(branch) = &repository.settings.default_branch {
        return Ok(branch.clone());
    }
    let found = mirror.default_branch().await.map_err(told)?;
    found.ok_or_else(|| Problem::invalid("the repository does not say which branch is meant: name one"))
}

impl Commit {
    /// One that a forge has told of.
    pub(crate) fn of_change(repository: &Repository, mirror: Arc<Mirror>, remote: Remote, git: GitContext) -> Self {
        Self { repository: repository.clone(), mirror, remote, git }
    }

    /// The paths of the files that are pipelines, or would be: `.buildit.kdl`, and those in `.buildit`.
    pub(crate) async fn files(&self) -> Result<Vec<String>, Problem> {
        let top = self.mirror.files(&self.git.sha, "").await.map_err(told)?;
        let mut files: Vec<String> = top.into_iter().filter(|path| path == pipelines::FILE).collect();
        let inner = self.mirror.files(&self.git.sha, FOLDER).await.map_err(told)?;
        files.extend(inner.into_iter().filter(|path| path.ends_with(".kdl")));
        files.truncate(repositories::MOST_PIPELINES);
        Ok(files)
    }

    /// The head of a branch of its repository, if there is one.
    pub(crate) async fn head_of(&self, branch: &str) -> Option<String> {
        self.mirror.resolve(&Revision::Branch(branch.to_owned())).await.ok()
    }

    /// The commit at which it has left this one, if they have one in common.
    pub(crate) async fn left(&self, target: &str) -> Result<Option<String>, Problem> {
        self.mirror.merge_base(target, &self.git.sha).await.map_err(told)
    }

    /// The branch that is meant in its repository when none is named.
    pub(crate) async fn default_branch(&self) -> Result<Option<String>, Problem> {
        match &self.repository.settings.default_branch {
            Some(branch) => Ok(Some(branch.clone())),
            None => self.mirror.default_branch().await.map_err(told),
        }
    }

    /// The text of a file of it, if it has one that may be a pipeline.
    pub(crate) async fn text(&self, path: &str) -> Result<Option<String>, Problem> {
        let text = self.mirror.read(&self.git.sha, path, LIMITS.bytes as u64).await.map_err(told)?;
        Ok(text.map(|text| String::from_utf8_lossy(&text).into_owned()))
    }

    /// What a file of it says: the pipeline with what is odd about it, or what is wrong with it.
    pub(crate) async fn compile(
        &self,
        path: &str,
    ) -> Result<Result<(PipelineSpec, Vec<Diagnostic>), Vec<Diagnostic>>, Problem> {
        let files =
            Files { mirror: Arc::clone(&self.mirror), commit: self.git.sha.clone(), runtime: Handle::current() };
        let (path, defaults) = (path.to_owned(), self.repository.settings.checkout.clone());
        let read = move || {
            let text = match files.load(&path, LIMITS.bytes) {
                Ok(text) => text,
                Err(error) => return Err(vec![Diagnostic::error("unreadable-file", error.to_string())]),
            };
            let (mut spec, warnings) = pipelines::compile_file(&path, &text, Some(Arc::new(files)))?;
            spec.checkout = checkout(spec.checkout, defaults);
            Ok((spec, warnings))
        };
        tokio::task::spawn_blocking(read).await.map_err(|error| {
            tracing::error!(%error, "a pipeline of a repository cannot be read");
            Problem::internal()
        })
    }

    /// Puts it into the blob store, for a run of this pipeline. A copy that turns out to be broken is made anew.
    pub(crate) async fn snapshot(
        &self,
        state: &ServerState,
        spec: &PipelineSpec,
        trust: Trust,
    ) -> Result<Snapshot, Problem> {
        let checksums = match Plan::compile(spec, pipelines::EXPAND) {
            Ok(plan) => plan.checksums().into_iter().collect(),
            Err(found) => return Err(Problem::refused(&found.0)),
        };
        let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let wanted = Wanted {
            commit: self.git.sha.clone(),
            branch: given(&self.git.branch),
            tag: given(&self.git.tag),
            checkout: spec.checkout.clone(),
            checksums,
            trust,
        };
        let _turn = state.mirrors().turn().await;
        match self.mirror.snapshot(&self.remote, &wanted, state.blobs()).await {
            Err(RemoteError::Git(_) | RemoteError::NoRevision(_)) if trust == Trust::Writer => {
                self.mirror.forget().await.map_err(told)?;
                self.mirror.fetch(&self.remote).await.map_err(told)?;
                self.mirror.snapshot(&self.remote, &wanted, state.blobs()).await.map_err(told)
            }
            made => made.map_err(told),
        }
    }

    /// The paths that it has changed.
    pub(crate) async fn changes(&self, base: &Comparison) -> Result<Option<Vec<String>>, Problem> {
        self.mirror.changes(&self.git.sha, base).await.map_err(told)
    }

    /// What a run of it that somebody asks for is started with.
    pub(crate) fn context(&self) -> RunContext {
        RunContext { git: self.git.clone(), ..RunContext::default() }
    }
}

/// What a pipeline says of its checkout, and what the repository says where it says nothing.
fn checkout(said: CheckoutSpec, defaults: CheckoutSpec) -> CheckoutSpec {
    CheckoutSpec {
        depth: said.depth.or(defaults.depth),
        submodules: said.submodules || defaults.submodules,
        lfs: said.lfs || defaults.lfs,
    }
}

/// The files of a commit, for whoever may wait for them.
struct Files {
    mirror: Arc<Mirror>,
    commit: String,
    runtime: Handle,
}

impl Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("commit", &self.commit).finish_non_exhaustive()
    }
}

impl SourceLoader for Files {
    fn load(&self, path: &str, limit: usize) -> Result<String, SourceError> {
        let read = self.mirror.read(&self.commit, path, limit as u64);
        match self.runtime.block_on(read) {
            Ok(Some(bytes)) => String::from_utf8(bytes).map_err(|_| SourceError::NotText(path.to_owned())),
            Ok(None) => Err(SourceError::NotFound(path.to_owned())),
            Err(error) => Err(SourceError::Io { path: path.to_owned(), source: std::io::Error::other(error) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn a_pipeline_says_how_it_is_checked_out_and_else_its_repository_does() {
        let deep = CheckoutSpec { depth: NonZeroU32::new(50), submodules: true, lfs: false };
        let shallow = CheckoutSpec { depth: NonZeroU32::new(1), ..CheckoutSpec::default() };
        assert_eq!(checkout(CheckoutSpec::default(), deep.clone()), deep);
        assert_eq!(checkout(shallow, deep.clone()), CheckoutSpec { depth: NonZeroU32::new(1), ..deep });
    }
}
