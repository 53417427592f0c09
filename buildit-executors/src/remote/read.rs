//! Reading a copy: commits, files, what changed.

use buildit::pipeline::GitContext;

use super::git::{Reach, run};
use super::mirror::LOCALLY;
use super::{Mirror, RemoteError};

/// How many paths of a change are told; one of more counts as a change of everything.
const MOST_PATHS: usize = 10_000;

/// How long the message of a commit may be, in bytes; a variable holds no more.
const LONGEST_MESSAGE: usize = 64 * 1024;

/// What names a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revision {
    /// The head of a branch.
    Branch(String),
    /// The commit of a tag.
    Tag(String),
    /// A commit by its id, of which the first 7 digits or more are given.
    Commit(String),
}

impl Revision {
    fn shown(&self) -> String {
        match self {
            Self::Branch(name) => format!("branch `{name}`"),
            Self::Tag(name) => format!("tag `{name}`"),
            Self::Commit(id) => format!("commit `{id}`"),
        }
    }
}

/// What a change is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The commit that the branch was at before.
    With(String),
    /// Where it has left this commit: the head of the branch that it is to be merged into.
    SinceLeaving(String),
}

/// A commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Described {
    /// Its id, in full.
    pub id: String,
    /// Its message.
    pub message: String,
    /// The name of its author.
    pub author: String,
    /// Their address.
    pub author_email: String,
}

impl Described {
    /// As a run is told of it.
    #[must_use]
    pub fn into_context(self) -> GitContext {
        let Self { id, message, author, author_email } = self;
        GitContext { sha: id, message, author, author_email, ..GitContext::default() }
    }
}

/// A branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Its name.
    pub name: String,
    /// The commit that it is at.
    pub commit: String,
    /// The first line of the commit's message.
    pub subject: String,
}

impl Mirror {
    /// The full id of the commit that this names, as the copy has it.
    ///
    /// # Errors
    ///
    /// [`RemoteError::NoRevision`] when it names none; any other [`RemoteError`] when the copy cannot be read.
    pub async fn resolve(&self, revision: &Revision) -> Result<String, RemoteError> {
        let none = || RemoteError::NoRevision(revision.shown());
        let reference = match revision {
            Revision::Branch(name) => format!("refs/heads/{name}"),
            Revision::Tag(name) => format!("refs/tags/{name}"),
            Revision::Commit(id) => {
                if !(7..=64).contains(&id.len()) || !id.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                    return Err(none());
                }
                id.clone()
            }
        };
        // A name with signs of its own, such as `main~3`, is no name.
        if !matches!(revision, Revision::Commit(_)) {
            self.local(&["check-ref-format", &reference]).await.map_err(|error| match error {
                RemoteError::Git(_) => none(),
                other => other,
            })?;
        }
        let said = self.local(&["rev-parse", "--quiet", "--verify", &format!("{reference}^{{commit}}")]).await;
        match said {
            Ok(id) => Ok(String::from_utf8_lossy(&id).trim().to_owned()),
            Err(RemoteError::Git(_)) => Err(none()),
            Err(error) => Err(error),
        }
    }

    /// Whether a commit, by its full id, is the head of a branch or comes before it.
    ///
    /// # Errors
    ///
    /// [`RemoteError::NoRevision`] when there is no such branch; any other [`RemoteError`] when the copy cannot be read.
    pub async fn is_within(&self, commit: &str, branch: &str) -> Result<bool, RemoteError> {
        let head = self.resolve(&Revision::Branch(branch.to_owned())).await?;
        match self.local(&["merge-base", "--is-ancestor", checked(commit)?, &head]).await {
            Ok(_) => Ok(true),
            Err(RemoteError::Git(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What there is to say of a commit, by its full id.
    ///
    /// # Errors
    ///
    /// [`RemoteError`] when it is not there or the copy cannot be read.
    pub async fn describe(&self, commit: &str) -> Result<Described, RemoteError> {
        let log = ["log", "-1", "--no-show-signature", "--format=%H%x00%an%x00%ae%x00%B%x00", checked(commit)?, "--"];
        let said = self.local(&log).await?;
        let said = String::from_utf8_lossy(&said);
        let mut parts = said.split('\0').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        let (id, author, author_email, message) = (next(), next(), next(), next());
        let message = message.trim_end_matches('\n');
        let end = message.floor_char_boundary(LONGEST_MESSAGE);
        Ok(Described { id, message: message[..end].to_owned(), author, author_email })
    }

    /// The files that a commit has at the top of this folder; of no folder when it is not there. Neither links nor other
    /// repositories are among them.
    ///
    /// # Errors
    ///
    /// [`RemoteError`] when the commit is not there or the copy cannot be read.
    pub async fn files(&self, commit: &str, folder: &str) -> Result<Vec<String>, RemoteError> {
        let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let mut list = vec!["ls-tree", "-z", "--full-tree", checked(commit)?];
        if !folder.is_empty() {
            list.extend(["--", folder.as_str()]);
        }
        let said = self.local(&list).await?;
        let entries = said.split(|&byte| byte == 0).filter_map(|entry| std::str::from_utf8(entry).ok());
        let file = |entry: &str| {
            let (about, path) = entry.split_once('\t')?;
            matches!(about.split(' ').next()?, "100644" | "100755").then(|| path.to_owned())
        };
        Ok(entries.filter_map(file).collect())
    }

    /// What a file of a commit holds; none when it has no such file, or a larger one.
    ///
    /// # Errors
    ///
    /// [`RemoteError`] when the copy cannot be read.
    pub async fn read(&self, commit: &str, path: &str, limit: u64) -> Result<Option<Vec<u8>>, RemoteError> {
        let object = format!("{}:{path}", checked(commit)?);
        // A folder has a size, too.
        let size = match self.local(&["cat-file", "-s", &object]).await {
            Ok(size) => String::from_utf8_lossy(&size).trim().parse::<u64>().unwrap_or(u64::MAX),
            Err(RemoteError::Git(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        if size > limit {
            return Ok(None);
        }
        match self.local(&["cat-file", "blob", &object]).await {
            Ok(content) => Ok(Some(content)),
            Err(RemoteError::Git(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The paths that a commit has changed; none where there is nothing to compare with, or too many have changed to be
    /// told.
    ///
    /// # Errors
    ///
    /// [`RemoteError`] when the copy cannot be read.
    pub async fn changes(&self, commit: &str, base: &Comparison) -> Result<Option<Vec<String>>, RemoteError> {
        let (from, how): (_, &[&str]) = match base {
            Comparison::With(before) => (before, &[]),
            Comparison::SinceLeaving(target) => (target, &["--merge-base"]),
        };
        let diff = ["diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--no-textconv"];
        let question = [&diff[..], how, &[checked(from)?, checked(commit)?, "--"]].concat();
        match self.local(&question).await {
            Ok(said) => {
                let paths = said.split(|&byte| byte == 0).filter(|path| !path.is_empty());
                let paths: Vec<_> = paths.map(|path| String::from_utf8_lossy(path).into_owned()).collect();
                Ok((paths.len() <= MOST_PATHS).then_some(paths))
            }
            // The commit before was overwritten, or the two have nothing in common.
            Err(RemoteError::Git(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The commit at which one has left the other; none where they have nothing in common, or one of them is not there.
    ///
    /// # Errors
    ///
    /// [`RemoteError`] when the copy cannot be read.
    pub async fn merge_base(&self, one: &str, other: &str) -> Result<Option<String>, RemoteError> {
        match self.local(&["merge-base", checked(one)?, checked(other)?]).await {
            Ok(said) => Ok(String::from_utf8_lossy(&said).lines().next().map(str::to_owned)),
            Err(RemoteError::Git(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The default branch, as the last fetch found it.
    ///
    /// # Errors
    ///
    /// [`RemoteError`] when the copy cannot be read.
    pub async fn default_branch(&self) -> Result<Option<String>, RemoteError> {
        match self.local(&["symbolic-ref", "--quiet", "HEAD"]).await {
            Ok(said) => Ok(String::from_utf8_lossy(&said).trim().strip_prefix("refs/heads/").map(str::to_owned)),
            Err(RemoteError::Git(_) | RemoteError::NoRevision(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Its branches, those with the newest commits first; at most `limit`.
    ///
    /// # Errors
    ///
    /// [`RemoteError`] when the copy cannot be read.
    pub async fn branches(&self, limit: usize) -> Result<Vec<Branch>, RemoteError> {
        let count = format!("--count={limit}");
        let format = "--format=%(refname)%00%(objectname)%00%(contents:subject)";
        let said = match self.local(&["for-each-ref", "--sort=-committerdate", &count, format, "refs/heads/"]).await {
            Err(RemoteError::NoRevision(_)) => return Ok(Vec::new()),
            said => said?,
        };
        let said = String::from_utf8_lossy(&said);
        let branch = |line: &str| {
            let mut parts = line.split('\0');
            let name = parts.next()?.strip_prefix("refs/heads/")?.to_owned();
            let (commit, subject) = (parts.next()?.to_owned(), parts.next()?.to_owned());
            Some(Branch { name, commit, subject })
        };
        Ok(said.lines().filter_map(branch).collect())
    }

    /// Whether the copy has this commit with its files.
    pub(super) async fn has(&self, commit: &str) -> bool {
        let object = format!("{commit}^{{tree}}");
        run(&self.repository(), &Reach::default(), LOCALLY, &["cat-file", "-e", &object]).await.is_ok()
    }
}

/// A full id of a commit, which is neither an option nor an expression.
pub(super) fn checked(commit: &str) -> Result<&str, RemoteError> {
    let is_id = matches!(commit.len(), 40 | 64) && commit.bytes().all(|digit| digit.is_ascii_hexdigit());
    if is_id { Ok(commit) } else { Err(RemoteError::NoRevision(Revision::Commit(commit.to_owned()).shown())) }
}
