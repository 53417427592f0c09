//! Webhooks of GitLab.

use serde::Deserialize;

use super::event::{Commit, ForgeEvent, PullRequest, Unreadable, body, text};

#[derive(Debug, Deserialize)]
struct Push {
    r#ref: Option<String>,
    before: Option<String>,
    after: Option<String>,
    /// The commit that a tag with a message of its own is of.
    checkout_sha: Option<String>,
    user_username: Option<String>,
    #[serde(default)]
    commits: Vec<PushedCommit>,
}

#[derive(Debug, Deserialize)]
struct PushedCommit {
    id: Option<String>,
    message: Option<String>,
    url: Option<String>,
    author: Option<Person>,
}

#[derive(Debug, Deserialize)]
struct Person {
    name: Option<String>,
    email: Option<String>,
}

#[derive(Debug, Deserialize)]
struct OfRequest {
    user: Option<User>,
    object_attributes: Option<Request>,
}

#[derive(Debug, Deserialize)]
struct User {
    username: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Request {
    action: Option<String>,
    iid: Option<u64>,
    title: Option<String>,
    url: Option<String>,
    source_branch: Option<String>,
    target_branch: Option<String>,
    source_project_id: Option<u64>,
    target_project_id: Option<u64>,
    source: Option<Project>,
    last_commit: Option<PushedCommit>,
    /// The head before, when an update brought commits.
    oldrev: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Project {
    git_http_url: Option<String>,
}

/// `Push Hook` and its like; a system hook says it in its body only, and is none of a repository.
pub(super) fn read(name: &str, raw: &[u8]) -> Result<ForgeEvent, Unreadable> {
    match name {
        "Push Hook" | "Tag Push Hook" => push(body(raw)?),
        "Merge Request Hook" => request(body(raw)?),
        other => Ok(ForgeEvent::ignored(format!("`{other}` starts nothing"))),
    }
}

fn push(push: Push) -> Result<ForgeEvent, Unreadable> {
    let reference = Unreadable::unless(push.r#ref, "reference")?;
    let after = Unreadable::unless(push.after, "commit")?;
    let sha = push.checkout_sha.unwrap_or_else(|| after.clone());
    let head = push.commits.into_iter().find(|commit| commit.id.as_deref() == Some(&sha));
    let commit = Commit { actor: text(push.user_username), ..commit_of(head, sha) };
    ForgeEvent::of_ref(&reference, &text(push.before), &after, commit)
}

fn request(of: OfRequest) -> Result<ForgeEvent, Unreadable> {
    let request = Unreadable::unless(of.object_attributes, "merge request")?;
    match (request.action.as_deref(), &request.oldrev) {
        (Some("open" | "reopen"), _) | (Some("update"), Some(_)) => {}
        (Some("update"), None) => return Ok(ForgeEvent::ignored("a merge request without new commits starts nothing")),
        (Some(action), _) => {
            return Ok(ForgeEvent::ignored(format!("a merge request with the action `{action}` starts nothing")));
        }
        (None, _) => return Ok(ForgeEvent::ignored("a merge request without an action starts nothing")),
    }
    let last = Unreadable::unless(request.last_commit, "commit")?;
    let sha = Unreadable::unless(last.id.clone(), "commit")?;
    let commit = Commit { actor: text(of.user.and_then(|user| user.username)), ..commit_of(Some(last), sha) };
    let request = PullRequest {
        number: request.iid.unwrap_or_default(),
        title: text(request.title),
        base: text(request.target_branch),
        head: text(request.source_branch),
        base_sha: String::new(),
        is_fork: request.source_project_id.is_none() || request.source_project_id != request.target_project_id,
        head_url: text(request.source.and_then(|project| project.git_http_url)),
        url: text(request.url),
    };
    ForgeEvent::of_request(request, commit)
}

fn commit_of(commit: Option<PushedCommit>, sha: String) -> Commit {
    let Some(commit) = commit else { return Commit { sha, ..Commit::default() } };
    let (author, email) = commit.author.map_or((None, None), |author| (author.name, author.email));
    Commit {
        sha,
        message: text(commit.message),
        author: text(author),
        author_email: text(email),
        actor: String::new(),
        url: text(commit.url),
    }
}
