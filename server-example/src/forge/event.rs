//! What happened at a forge, whichever it is.

use serde::de::DeserializeOwned;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ForgeEvent {
    /// A branch has a new head.
    Push {
        branch: String,
        /// The head that it had; none for a new branch.
        before: Option<String>,
        commit: Commit,
    },
    /// There is a new tag.
    Tag { tag: String, commit: Commit },
    /// A pull request was opened or reopened, or has a new head or target.
    PullRequest { request: PullRequest, commit: Commit },
    /// A branch or a tag is gone.
    Deleted { name: String },
    /// The forge tries whether somebody is there.
    Ping,
    /// Nothing that starts a run.
    Ignored { why: String },
}

/// The commit that it is about, as far as the forge tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Commit {
    /// Its id, which some forges abbreviate to 12 digits.
    pub(crate) sha: String,
    pub(crate) message: String,
    pub(crate) author: String,
    pub(crate) author_email: String,
    /// Who did it, by the name that they have at the forge.
    pub(crate) actor: String,
    /// Its page.
    pub(crate) url: String,
}

/// A pull request, called a merge request by some.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PullRequest {
    pub(crate) number: u64,
    pub(crate) title: String,
    /// The branch that it is to be merged into.
    pub(crate) base: String,
    /// The branch that it is of.
    pub(crate) head: String,
    /// The head of the target, where the forge tells it.
    pub(crate) base_sha: String,
    /// Whether its branch is in another repository, which anybody may have made.
    pub(crate) is_fork: bool,
    /// The address of that repository, to clone; empty where the forge does not tell it.
    pub(crate) head_url: String,
    /// Its page.
    pub(crate) url: String,
}

/// A delivery that makes no sense.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Unreadable {
    /// It is no JSON of that event.
    #[error("the body is not what the forge says for this event")]
    Body(#[from] serde_json::Error),
    /// Something that it must have is missing or no such thing.
    #[error("the body has no {0}")]
    Missing(&'static str),
}

/// How long the name of a branch or tag may be: what file systems bear.
const LONGEST_REF: usize = 250;

impl Unreadable {
    /// Refuses a body that says nothing here.
    pub(super) fn unless<T>(value: Option<T>, what: &'static str) -> Result<T, Self> {
        value.ok_or(Self::Missing(what))
    }
}

impl ForgeEvent {
    pub(super) fn ignored(why: impl Into<String>) -> Self {
        Self::Ignored { why: why.into() }
    }

    /// A push of this reference, `refs/heads/…` or `refs/tags/…`, from one commit to another, of which one may be none.
    pub(super) fn of_ref(reference: &str, before: &str, after: &str, commit: Commit) -> Result<Self, Unreadable> {
        let branch = reference.strip_prefix("refs/heads/");
        let tag = reference.strip_prefix("refs/tags/");
        let Some(name) = branch.or(tag) else {
            return Ok(Self::ignored(format!("`{reference}` is neither a branch nor a tag")));
        };
        let name = ref_name(name)?;
        if is_none(after) {
            return Ok(Self::Deleted { name });
        }
        let commit = Commit { sha: sha(&commit.sha)?, ..commit };
        if branch.is_none() {
            return Ok(Self::Tag { tag: name, commit });
        }
        let before = if is_none(before) { None } else { Some(sha(before)?) };
        Ok(Self::Push { branch: name, before, commit })
    }

    /// A pull request whose head is to be built.
    pub(super) fn of_request(request: PullRequest, commit: Commit) -> Result<Self, Unreadable> {
        let commit = Commit { sha: sha(&commit.sha)?, ..commit };
        let base_sha = if is_none(&request.base_sha) { String::new() } else { sha(&request.base_sha)? };
        let (base, head) = (ref_name(&request.base)?, ref_name(&request.head)?);
        let request = PullRequest { base, head, base_sha, ..request };
        if request.number == 0 {
            return Err(Unreadable::Missing("number of the pull request"));
        }
        Ok(Self::PullRequest { request, commit })
    }
}

/// A body of this shape.
pub(super) fn body<T: DeserializeOwned>(body: &[u8]) -> Result<T, Unreadable> {
    Ok(serde_json::from_slice(body)?)
}

/// A text that may be null or missing.
pub(super) fn text(value: Option<String>) -> String {
    // Nothing that reads it later takes a NUL.
    value.map(|text| text.replace('\0', "\u{fffd}")).unwrap_or_default()
}

/// Whether this is how a forge says that there is no commit.
fn is_none(sha: &str) -> bool {
    sha.bytes().all(|digit| digit == b'0')
}

fn sha(text: &str) -> Result<String, Unreadable> {
    let is_one = (7..=64).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    Unreadable::unless((is_one && !is_none(text)).then(|| text.to_ascii_lowercase()), "commit")
}

/// A name that git takes for a branch or tag, as far as it matters to whoever reads it.
pub(crate) fn ref_name(name: &str) -> Result<String, Unreadable> {
    let is_odd = |character: char| character.is_control() || " ~^:?*[\\".contains(character);
    let is_one = !name.is_empty()
        && name.len() <= LONGEST_REF
        && !name.contains(is_odd)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.starts_with(['-', '/'])
        && !name.ends_with(['/', '.']);
    Unreadable::unless(is_one.then(|| name.to_owned()), "name of a branch or tag")
}
