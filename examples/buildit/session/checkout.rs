//! A commit of a repository of this machine, as a source.

use std::path::{Path, PathBuf};

use buildit::pipeline::CheckoutSpec;
use buildit_executors::source::{Git, GitCli, Source, SourceError};
use tempfile::TempDir;

use crate::exit::Failure;
use crate::source::repository;
use crate::text::clean;

/// A commit that was laid out, for as long as this is kept.
#[derive(Debug)]
pub(crate) struct Checkout {
    pub(crate) source: Source,
    /// Where it lies, unless the repository itself has it checked out.
    _folder: Option<TempDir>,
}

impl Checkout {
    /// The commit as the repository around this folder has it; the repository is left as it is.
    ///
    /// What is checked out there is taken when it is that very commit, with nothing changed and nothing added.
    pub(crate) async fn open(
        folder: &Path,
        commit: &str,
        checkout: &CheckoutSpec,
        excluded: &[PathBuf],
    ) -> Result<Self, Failure> {
        // It comes from a server, and goes to `git`.
        if !(7..=64).contains(&commit.len()) || !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let message = format!("the server keeps no source of that run, and `{}` is no commit", clean(commit));
            return Err(Failure::usage(message));
        }
        let absent = |place: String| {
            Failure::usage(format!(
                "the server keeps no source of that run, and {place} does not have its commit {commit}: fetch it there, or \
                 name a clone that has it with --source"
            ))
        };
        let root = repository(folder).ok_or_else(|| absent(format!("{} is no repository and", folder.display())))?;
        let git = GitCli::default();
        let name = format!("{commit}^{{commit}}");
        let question = ["rev-parse", "--verify", "--quiet", "--end-of-options", &name];
        let id = match git.ask(&root, &question).await {
            Err(SourceError::Git { .. }) => return Err(absent(format!("the repository {}", root.display()))),
            answer => String::from_utf8_lossy(&answer.map_err(Failure::refused)?).trim_end().to_owned(),
        };
        let here = Source::open(&root, excluded).await.map_err(Failure::refused)?;
        if here.git().sha == id && !here.git().dirty {
            return Ok(Self { source: here, _folder: None });
        }
        if checkout.submodules {
            return Err(Failure::usage(format!(
                "the server keeps no source of that run, which has submodules: check its commit {commit} out in {} with \
                 them, and run this again",
                root.display()
            )));
        }
        let parent = tempfile::tempdir().map_err(Failure::backend)?;
        let copy = parent.path().join("source");
        let from = root.to_str().ok_or_else(|| Failure::usage(format!("{} is not UTF-8", root.display())))?;
        // It borrows the objects, and runs no hook.
        let clone = ["clone", "--quiet", "--shared", "--no-checkout", "--template=", "--", from, "source"];
        git.ask(parent.path(), &clone).await.map_err(Failure::refused)?;
        git.ask(&copy, &["checkout", "--quiet", "--detach", &id]).await.map_err(Failure::refused)?;
        let source = Source::open(&copy, &[]).await.map_err(Failure::refused)?;
        Ok(Self { source, _folder: Some(parent) })
    }
}
