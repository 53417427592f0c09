//! Webhooks of Bitbucket.

use serde::Deserialize;

use super::event::{Commit, ForgeEvent, PullRequest, Unreadable, body, text};

#[derive(Debug, Deserialize)]
struct OfPush {
    push: Option<Push>,
    actor: Option<User>,
}

#[derive(Debug, Deserialize)]
struct Push {
    #[serde(default)]
    changes: Vec<Change>,
}

#[derive(Debug, Deserialize)]
struct Change {
    new: Option<Reference>,
    old: Option<Reference>,
}

#[derive(Debug, Deserialize)]
struct Reference {
    r#type: Option<String>,
    name: Option<String>,
    target: Option<Target>,
}

#[derive(Debug, Deserialize)]
struct Target {
    hash: Option<String>,
    message: Option<String>,
    author: Option<Author>,
    links: Option<Links>,
}

#[derive(Debug, Deserialize)]
struct Author {
    /// `Name <address>`.
    raw: Option<String>,
}

#[derive(Debug, Deserialize)]
struct User {
    username: Option<String>,
    nickname: Option<String>,
    display_name: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Links {
    html: Option<Link>,
}

#[derive(Debug, Deserialize)]
struct Link {
    href: Option<String>,
}

#[derive(Debug, Deserialize)]
struct OfRequest {
    pullrequest: Option<Request>,
    actor: Option<User>,
}

#[derive(Debug, Deserialize)]
struct Request {
    id: Option<u64>,
    title: Option<String>,
    source: Option<Side>,
    destination: Option<Side>,
    author: Option<User>,
    links: Option<Links>,
}

#[derive(Debug, Deserialize)]
struct Side {
    commit: Option<Target>,
    branch: Option<Branch>,
    repository: Option<Repository>,
}

#[derive(Debug, Deserialize)]
struct Branch {
    name: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Repository {
    full_name: Option<String>,
    links: Option<Links>,
}

/// A push may change several branches at once.
pub(super) fn read(name: &str, raw: &[u8]) -> Result<Vec<ForgeEvent>, Unreadable> {
    match name {
        "diagnostics:ping" => Ok(vec![ForgeEvent::Ping]),
        "repo:push" => {
            let of: OfPush = body(raw)?;
            let actor = name_of(of.actor);
            let push = Unreadable::unless(of.push, "push")?;
            push.changes.into_iter().map(|change| push_event(change, &actor)).collect()
        }
        "pullrequest:created" | "pullrequest:updated" => Ok(vec![request(body(raw)?)?]),
        other => Ok(vec![ForgeEvent::ignored(format!("`{other}` starts nothing"))]),
    }
}

fn push_event(change: Change, actor: &str) -> Result<ForgeEvent, Unreadable> {
    let before = change.old.as_ref().and_then(|old| old.target.as_ref()?.hash.clone());
    let is_new = change.new.is_some();
    let side = Unreadable::unless(change.new.or(change.old), "branch that changed")?;
    let name = text(side.name);
    let reference = match side.r#type.as_deref() {
        Some("branch" | "named_branch") => format!("refs/heads/{name}"),
        Some("tag" | "annotated_tag") => format!("refs/tags/{name}"),
        _ => return Ok(ForgeEvent::ignored(format!("`{name}` is neither a branch nor a tag"))),
    };
    let target = Unreadable::unless(side.target, "commit")?;
    let commit = Commit { actor: actor.to_owned(), ..commit_of(target) };
    let after = if is_new { commit.sha.clone() } else { String::new() };
    ForgeEvent::of_ref(&reference, &text(before), &after, commit)
}

fn request(of: OfRequest) -> Result<ForgeEvent, Unreadable> {
    let request = Unreadable::unless(of.pullrequest, "pull request")?;
    let head = Unreadable::unless(request.source, "head of the pull request")?;
    let base = Unreadable::unless(request.destination, "target of the pull request")?;
    let name = |side: &Side| side.repository.as_ref().and_then(|repository| repository.full_name.clone());
    let is_fork = name(&head).is_none() || name(&head) != name(&base);
    let url = href(request.links);
    let author = name_of(request.author);
    let commit = Commit {
        author: author.clone(),
        actor: Some(name_of(of.actor)).filter(|name| !name.is_empty()).unwrap_or(author),
        url: url.clone(),
        ..commit_of(Unreadable::unless(head.commit, "commit")?)
    };
    let request = PullRequest {
        number: request.id.unwrap_or_default(),
        title: text(request.title),
        base: text(base.branch.and_then(|branch| branch.name)),
        head: text(head.branch.and_then(|branch| branch.name)),
        base_sha: text(base.commit.and_then(|commit| commit.hash)),
        is_fork,
        head_url: href(head.repository.and_then(|repository| repository.links)),
        url,
    };
    ForgeEvent::of_request(request, commit)
}

fn commit_of(target: Target) -> Commit {
    let raw = text(target.author.and_then(|author| author.raw));
    let (author, email) = match raw.rsplit_once('<') {
        Some((name, email)) => (name.trim().to_owned(), email.trim_end_matches('>').to_owned()),
        None => (raw, String::new()),
    };
    let (sha, message, url) = (text(target.hash), text(target.message), href(target.links));
    Commit { sha, message, author, author_email: email, actor: String::new(), url }
}

fn href(links: Option<Links>) -> String {
    text(links.and_then(|links| links.html?.href))
}

fn name_of(user: Option<User>) -> String {
    text(user.and_then(|user| user.nickname.or(user.username).or(user.display_name)))
}
