//! What the headers of a webhook say.

use axum::http::HeaderMap;
pub(crate) use buildit::store::Forge;

/// The name of the event, in the order in which they are looked for: Gitea sends the header of GitHub too.
const EVENTS: [(Forge, &[&str]); 4] = [
    (Forge::Gitea, &["x-forgejo-event", "x-gitea-event", "x-gogs-event"]),
    (Forge::GitLab, &["x-gitlab-event"]),
    (Forge::Bitbucket, &["x-event-key"]),
    (Forge::GitHub, &["x-github-event"]),
];

/// The headers that tell one delivery from another, and that stay when it is sent again.
fn ids(forge: Forge) -> &'static [&'static str] {
    match forge {
        Forge::GitHub => &["x-github-delivery"],
        Forge::GitLab => &["idempotency-key", "x-gitlab-event-uuid"],
        Forge::Gitea => &["x-forgejo-delivery", "x-gitea-delivery", "x-gogs-delivery"],
        Forge::Bitbucket => &["x-request-uuid"],
    }
}

/// How long an id may be; what is longer is none of a forge.
const LONGEST_ID: usize = 200;

pub(super) fn header<'a>(headers: &'a HeaderMap, names: &[&str]) -> Option<&'a str> {
    names.iter().find_map(|name| headers.get(*name)?.to_str().ok()).map(str::trim).filter(|text| !text.is_empty())
}

/// The forge that sends such headers.
pub(crate) fn forge_of(headers: &HeaderMap) -> Option<Forge> {
    EVENTS.iter().find(|(_, names)| header(headers, names).is_some()).map(|(forge, _)| *forge)
}

/// The name of the event.
pub(crate) fn event_name(forge: Forge, headers: &HeaderMap) -> Option<&str> {
    EVENTS.iter().find(|(of, _)| *of == forge).and_then(|(_, names)| header(headers, names))
}

/// What tells this delivery from another.
pub(crate) fn delivery_id(forge: Forge, headers: &HeaderMap) -> Option<&str> {
    header(headers, ids(forge)).filter(|id| id.len() <= LONGEST_ID)
}
