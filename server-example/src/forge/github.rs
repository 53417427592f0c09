//! Webhooks of GitHub.

use serde::Deserialize;

use super::event::{Commit, ForgeEvent, PullRequest, Unreadable, body, text};

#[derive(Debug, Deserialize)]
pub(super) struct Push {
    r#ref: Option<String>,
    before: Option<String>,
    after: Option<String>,
    head_commit: Option<HeadCommit>,
    /// What Gitea says where it has no `head_commit`; the last is the newest at GitHub, the first at Gitea.
    #[serde(default)]
    commits: Vec<HeadCommit>,
    sender: Option<User>,
    #[serde(alias = "compare_url")]
    compare: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct HeadCommit {
    id: Option<String>,
    message: Option<String>,
    author: Option<Person>,
    url: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Person {
    name: Option<String>,
    email: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct User {
    login: Option<String>,
    /// What Gogs calls it.
    username: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct OfRequest {
    pub(super) action: Option<String>,
    number: Option<u64>,
    pull_request: Option<Request>,
    sender: Option<User>,
    changes: Option<Changes>,
}

#[derive(Debug, Deserialize)]
struct Request {
    number: Option<u64>,
    title: Option<String>,
    html_url: Option<String>,
    user: Option<User>,
    head: Option<Side>,
    base: Option<Side>,
}

#[derive(Debug, Deserialize)]
struct Side {
    r#ref: Option<String>,
    sha: Option<String>,
    /// None when the repository of a fork is gone.
    repo: Option<Repository>,
}

#[derive(Debug, Deserialize)]
struct Repository {
    full_name: Option<String>,
    clone_url: Option<String>,
}

/// What an edit changed.
#[derive(Debug, Deserialize)]
struct Changes {
    /// The target.
    base: Option<serde::de::IgnoredAny>,
    /// What Gitea calls it.
    r#ref: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Deleted {
    r#ref: Option<String>,
}

pub(super) fn read(name: &str, raw: &[u8]) -> Result<ForgeEvent, Unreadable> {
    match name {
        "ping" => Ok(ForgeEvent::Ping),
        "push" => body::<Push>(raw)?.event(),
        "pull_request" => body::<OfRequest>(raw)?.event(&["opened", "reopened", "synchronize"]),
        "delete" => deleted(raw),
        "create" => Ok(ForgeEvent::ignored("a push tells of the same")),
        other => Ok(ForgeEvent::ignored(format!("`{other}` starts nothing"))),
    }
}

/// A branch or tag that is gone.
pub(super) fn deleted(raw: &[u8]) -> Result<ForgeEvent, Unreadable> {
    let name = text(body::<Deleted>(raw)?.r#ref);
    let name = name.strip_prefix("refs/heads/").or(name.strip_prefix("refs/tags/")).unwrap_or(&name);
    Ok(ForgeEvent::Deleted { name: super::event::ref_name(name)? })
}

impl Push {
    pub(super) fn event(self) -> Result<ForgeEvent, Unreadable> {
        let reference = Unreadable::unless(self.r#ref, "reference")?;
        let after = Unreadable::unless(self.after, "commit")?;
        let is_head = |commit: &&HeadCommit| commit.id.as_deref() == Some(&after);
        let head = self.head_commit.or_else(|| self.commits.iter().find(is_head).cloned());
        let (author, message, url, id) = match head {
            Some(head) => (head.author, head.message, head.url, head.id),
            None => (None, None, None, None),
        };
        let (name, email) = author.map_or((None, None), |author| (author.name, author.email));
        let commit = Commit {
            // A tag with a message of its own is no commit itself.
            sha: id.unwrap_or_else(|| after.clone()),
            message: text(message),
            author: text(name),
            author_email: text(email),
            actor: login(self.sender),
            url: text(url.or(self.compare)),
        };
        ForgeEvent::of_ref(&reference, &text(self.before), &after, commit)
    }
}

impl OfRequest {
    /// What comes of it, when these actions start runs.
    pub(super) fn event(self, starting: &[&str]) -> Result<ForgeEvent, Unreadable> {
        let action = Unreadable::unless(self.action, "action")?;
        let is_retargeted =
            action == "edited" && self.changes.is_some_and(|changes| changes.base.is_some() || changes.r#ref.is_some());
        if !is_retargeted && !starting.contains(&action.as_str()) {
            return Ok(ForgeEvent::ignored(format!("a pull request that is `{action}` starts nothing")));
        }
        let request = Unreadable::unless(self.pull_request, "pull request")?;
        let (head, base) = (
            Unreadable::unless(request.head, "head of the pull request")?,
            Unreadable::unless(request.base, "target of the pull request")?,
        );
        let repository = |side: &Side| side.repo.as_ref().and_then(|repo| repo.full_name.clone());
        // Who has no repository any more had one that was not this one.
        let is_fork = repository(&head).is_none() || repository(&head) != repository(&base);
        let author = login(request.user);
        let commit = Commit {
            sha: text(head.sha),
            author: author.clone(),
            actor: Some(login(self.sender)).filter(|login| !login.is_empty()).unwrap_or(author),
            url: text(request.html_url.clone()),
            ..Commit::default()
        };
        let request = PullRequest {
            number: self.number.or(request.number).unwrap_or_default(),
            title: text(request.title),
            base: text(base.r#ref),
            head: text(head.r#ref),
            base_sha: text(base.sha),
            is_fork,
            head_url: text(head.repo.and_then(|repo| repo.clone_url)),
            url: text(request.html_url),
        };
        ForgeEvent::of_request(request, commit)
    }
}

fn login(user: Option<User>) -> String {
    text(user.and_then(|user| user.login.or(user.username)))
}
